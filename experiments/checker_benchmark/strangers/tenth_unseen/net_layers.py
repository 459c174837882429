"""Layers: hypergraphs, experts, adapters, norms, complex numbers and quantisers."""

import jax
import jax.numpy as jnp
from jax import lax

from experiments.checker_benchmark.strangers.record import (
    Stranger,
    Twin,
    collect,
    normal,
    positive,
)

CASES: list[Stranger] = []
case = collect(CASES)


def incidence(rng):
    H = jnp.asarray([[1, 0, 1], [1, 1, 0], [0, 1, 0], [0, 1, 1], [1, 0, 0]])
    return normal(rng, 5, 4), positive(rng, 3), H.astype(jnp.float32)


@case(
    "HGNN's convolution in dhg, with learned weights of hyperedges",
    "hypergraph layer",
    incidence,
    Twin(
        "degree",
        "path|term",
        "weights",
        "The weights' gradient through the nodes' degrees is dropped.",
    ),
    Twin(
        "unnormalised edges",
        "factor|term|ratio",
        "weights",
        "Messages in the weights' gradient are not divided by the sizes of edges.",
    ),
    Twin(
        "one side",
        "factor|power|ratio",
        "weights",
        "Only one of the two roots of the degree is differentiated.",
    ),
    options=lambda plain: {"nondiff": ("H",)},
    scales=(0.3, 1.0, 3.0),
    fixed=(2,),
)
def hypergraph_convolution(slip):
    # x [n, d], weights [e], H [n, e] of zeros and ones
    def parts(weights, H):
        dv = (H * weights).sum(1)
        de = H.sum(0)
        return dv, de

    def plain(x, weights, H):
        dv, de = parts(weights, H)
        s = 1 / jnp.sqrt(dv)
        return s[:, None] * (H @ ((weights / de)[:, None] * (H.T @ (s[:, None] * x))))

    conv = jax.custom_vjp(plain)

    def conv_fwd(x, weights, H):
        return plain(x, weights, H), (x, weights, H)

    def conv_bwd(res, g):
        x, weights, H = res
        dv, de = parts(weights, H)
        s = 1 / jnp.sqrt(dv)
        up = H.T @ (s[:, None] * g)
        msg = H.T @ (s[:, None] * x)
        dx = s[:, None] * (H @ ((weights / de)[:, None] * up))
        dweights = jnp.einsum("ed,ed->e", up, msg)
        if slip != "unnormalised edges":
            dweights = dweights / de
        ds = (g * (H @ ((weights / de)[:, None] * msg))).sum(1)
        if slip != "one side":
            ds = ds + (x * (H @ ((weights / de)[:, None] * up))).sum(1)
        ddv = -0.5 * ds * s**3
        if slip != "degree":
            dweights = dweights + H.T @ ddv
        return dx, dweights, jnp.zeros_like(H)

    conv.defvjp(conv_fwd, conv_bwd)
    return conv, plain


def phasors(rng):
    return normal(rng, 4, 3) + 1j * normal(rng, 4, 3), normal(rng, 3)


@case(
    "cardioid activation of complex networks for MRI (cvnn) in jax ports",
    "complex activation",
    phasors,
    Twin(
        "holomorphic",
        "term|path",
        "z",
        "The phase's own gradient is left out, as if the gate were a constant.",
    ),
    Twin(
        "conjugate",
        "sign|term|function",
        "z",
        "The phase's gradient is that of the conjugate.",
    ),
    Twin(
        "imaginary bias",
        "function|term|operand|residual",
        "shift",
        "The shift's gradient takes the imaginary part of the product.",
    ),
    narrow=False,
)
def complex_cardioid(slip):
    def plain(z, shift):
        return 0.5 * (1 + jnp.cos(jnp.angle(z) + shift)) * z

    cardioid = jax.custom_vjp(plain)

    def fwd(z, shift):
        return plain(z, shift), (z, shift)

    def bwd(res, ct):
        z, shift = res
        # JAX hands over and wants back the gradient that is not conjugated
        phase = jnp.angle(z) + shift
        gate = 0.5 * (1 + jnp.cos(phase))
        inner = (ct * z).imag if slip == "imaginary bias" else (ct * z).real
        dphase = -0.5 * jnp.sin(phase) * inner
        right = -0.5 * jnp.sin(phase) * (ct * z).real
        # d angle = Im(dz / z) = Re(-1j dz / z)
        turn = (1j if slip == "conjugate" else -1j) * right / z
        dz = gate * ct
        if slip != "holomorphic":
            dz = dz + turn
        return dz, dphase.sum(0)

    cardioid.defvjp(fwd, bwd)
    return cardioid, plain


@case(
    "top-k activation of sparse autoencoders that hands back its indices, in jax",
    "selection with integer outputs",
    lambda rng: (normal(rng, 4, 6), normal(rng, 6), 2),
    Twin(
        "wrong row",
        "index|axis|operand|region",
        "acts",
        "Gradients are put back one feature further.",
    ),
    Twin(
        "bias once",
        "duplicates|index|sum",
        "bias",
        "A feature that several rows select keeps one row's gradient.",
    ),
    Twin(
        "negative ones",
        "mask|region|path",
        "acts bias",
        "Selected values below 0 have a gradient though the output is 0.",
        witness=lambda rng: (normal(rng, 4, 6, mean=-2.0), normal(rng, 6), 2),
    ),
)
def top_k_with_indices(slip):
    def plain(acts, bias, k):
        v, i = lax.top_k(acts + bias, k)
        return jax.nn.relu(v), i

    top = jax.custom_vjp(plain, nondiff_argnums=(2,))

    def fwd(acts, bias, k):
        v, i = lax.top_k(acts + bias, k)
        return (jax.nn.relu(v), i), (v, i, acts.shape[1])

    def bwd(k, res, cts):
        v, i, width = res
        dv, _ = cts
        if slip != "negative ones":
            dv = jnp.where(v > 0, dv, 0)
        row = jnp.arange(len(i))[:, None]
        to = (i + 1) % width if slip == "wrong row" else i
        dacts = jnp.zeros((len(i), width), dv.dtype).at[row, to].set(dv)
        if slip == "bias once":
            return dacts, jnp.zeros(width, dv.dtype).at[i].set(dv)
        return dacts, jnp.zeros(width, dv.dtype).at[i].add(dv)

    top.defvjp(fwd, bwd)
    return top, plain

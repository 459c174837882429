"""Layers: hypergraphs, experts, adapters, norms, complex numbers and quantisers."""

import jax
import jax.numpy as jnp
import numpy as np
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


def sorted_tokens(rng):
    sizes = jnp.asarray([2, 3, 1], jnp.int32)
    return normal(rng, 6, 4), normal(rng, 3, 4, 2), sizes


@case(
    "grouped matmul of mixtures of experts (megablox in MaxText), tokens sorted",
    "ragged product",
    sorted_tokens,
    Twin(
        "transposed weight",
        "transpose|operand|function|residual",
        "lhs",
        "The tokens' gradient takes the weights of the next expert.",
    ),
    Twin(
        "one of a group",
        "duplicates|index|sum",
        "rhs",
        "Each expert's gradient is its last token's.",
    ),
    narrow=True,
)
def ragged_group_matmul(slip):
    def owners(group_sizes, m, n):
        ends = jnp.cumsum(group_sizes)
        which = (jnp.arange(m)[:, None] >= ends[None]).sum(1)
        return jnp.minimum(which, n - 1)

    def plain(lhs, rhs, group_sizes):
        who = owners(group_sizes, lhs.shape[0], rhs.shape[0])
        return jnp.einsum("mk,mkn->mn", lhs, rhs[who])

    gmm = jax.custom_vjp(plain)

    def gmm_fwd(lhs, rhs, group_sizes):
        return plain(lhs, rhs, group_sizes), (lhs, rhs, group_sizes)

    def gmm_bwd(residual, grad):
        lhs, rhs, group_sizes = residual
        who = owners(group_sizes, lhs.shape[0], rhs.shape[0])
        if slip == "transposed weight":
            dlhs = jnp.einsum("mn,mkn->mk", grad, jnp.roll(rhs, -1, 0)[who])
        else:
            dlhs = jnp.einsum("mn,mkn->mk", grad, rhs[who])
        each = lhs[:, :, None] * grad[:, None, :]
        if slip == "one of a group":
            drhs = jnp.zeros_like(rhs).at[who].set(each)
        else:
            drhs = jax.ops.segment_sum(each, who, num_segments=rhs.shape[0])
        return dlhs, drhs, np.zeros(group_sizes.shape, jax.dtypes.float0)

    gmm.defvjp(gmm_fwd, gmm_bwd)
    return gmm, plain


@case(
    "LoKr of LyCORIS: an adapter that is a Kronecker product, in jax ports",
    "low-rank adapter",
    lambda rng: (
        normal(rng, 5, 6),
        normal(rng, 6, 4),
        {"w1": normal(rng, 3, 2), "a": normal(rng, 2, 1), "b": normal(rng, 1, 2)},
        0.5,
    ),
    Twin(
        "scale",
        "factor|ratio|option",
        "adapter",
        "The adapter's gradients lack the scale.",
    ),
    Twin(
        "adapter's input",
        "term|path",
        "x",
        "The input's gradient goes through the frozen weight alone.",
    ),
    Twin(
        "axes exchanged",
        "transpose|axis|swap|index",
        "adapter",
        "The gradient of the small factor takes the axes of the other one.",
    ),
)
def lokr_dense(slip):
    def kron(p):
        w2 = p["a"] @ p["b"]
        big = jnp.einsum("ij,kl->ikjl", p["w1"], w2)
        return big.reshape(big.shape[0] * big.shape[1], -1)

    def plain(x, frozen, adapter, scale):
        return x @ (frozen + scale * kron(adapter))

    dense = jax.custom_vjp(plain, nondiff_argnums=(3,))

    def fwd(x, frozen, adapter, scale):
        return plain(x, frozen, adapter, scale), dict(x=x, w=frozen, p=adapter)

    def bwd(scale, r, dy):
        x, w, p = r["x"], r["w"], r["p"]
        w2 = p["a"] @ p["b"]
        dW = x.T @ dy
        dx = dy @ w.T
        if slip != "adapter's input":
            dx = dx + scale * dy @ kron(p).T
        s = 1.0 if slip == "scale" else scale
        four = s * dW.reshape(p["w1"].shape[0], w2.shape[0], -1, w2.shape[1])
        dw1 = jnp.einsum("ikjl,kl->ij", four, w2)
        if slip == "axes exchanged":
            dw2 = jnp.einsum("ikjl,ij->kl", four, p["w1"]).T
        else:
            dw2 = jnp.einsum("ikjl,ij->kl", four, p["w1"])
        return dx, dW, {"w1": dw1, "a": dw2 @ p["b"].T, "b": p["a"].T @ dw2}

    dense.defvjp(fwd, bwd)
    return dense, plain


@case(
    "GDN of learned compression (tensorflow_compression) in jax ports",
    "normalisation across channels",
    lambda rng: (normal(rng, 3, 4), positive(rng, 4), positive(rng, 4, 4)),
    Twin(
        "own channel",
        "term|path",
        "x",
        "What a channel does to the norm of all is left out.",
    ),
    Twin(
        "gamma's transpose",
        "transpose",
        "x",
        "Gamma is not transposed on the way back.",
    ),
    Twin(
        "squares",
        "power|function|operand|residual",
        "gamma",
        "Gamma's gradient takes the inputs instead of their squares.",
    ),
    scales=(0.3, 1.0, 3.0),
)
def generalized_divisive_normalisation(slip):
    def plain(x, beta, gamma):
        return x * lax.rsqrt(beta + jnp.square(x) @ gamma.T)

    gdn = jax.custom_vjp(plain)

    def gdn_fwd(x, beta, gamma):
        norm = beta + jnp.square(x) @ gamma.T
        return x * lax.rsqrt(norm), (x, gamma, norm)

    def gdn_bwd(aux, ct):
        x, gamma, norm = aux
        r = lax.rsqrt(norm)
        dn = -0.5 * ct * x * r / norm
        cross = dn @ (gamma.T if slip == "gamma's transpose" else gamma)
        dx = ct * r
        if slip != "own channel":
            dx = dx + 2 * x * cross
        sq = x if slip == "squares" else x * x
        return dx, dn.sum(0), dn.T @ sq

    gdn.defvjp(gdn_fwd, gdn_bwd)
    return gdn, plain


@case(
    "complex dense layer with CReLU (complextorch) in jax",
    "complex layer",
    lambda rng: (
        normal(rng, 4, 3) + 1j * normal(rng, 4, 3),
        normal(rng, 3, 2) + 1j * normal(rng, 3, 2),
        normal(rng, 2) + 1j * normal(rng, 2),
    ),
    Twin(
        "conjugate weight",
        "sign|function|term|transpose|operand",
        "x",
        "The weight is conjugated, as other frameworks do it.",
    ),
    Twin(
        "one mask",
        "mask|region|predicate|operand|residual",
        "x w b",
        "The imaginary part is let through by the sign of the real one.",
    ),
    narrow=False,
)
def complex_crelu_dense(slip):
    def crelu(z):
        return lax.complex(jax.nn.relu(z.real), jax.nn.relu(z.imag))

    def plain(x, w, b):
        return crelu(x @ w + b)

    dense = jax.custom_vjp(plain)

    def fwd(x, w, b):
        z = x @ w + b
        return crelu(z), (x, w, z.real > 0, z.imag > 0)

    def bwd(saved, ct):
        x, w, pr, pi = saved
        if slip == "one mask":
            pi = pr
        dz = lax.complex(ct.real * pr, ct.imag * pi)
        W = w.conj() if slip == "conjugate weight" else w
        return dz @ W.T, x.T @ dz, dz.sum(0)

    dense.defvjp(fwd, bwd)
    return dense, plain

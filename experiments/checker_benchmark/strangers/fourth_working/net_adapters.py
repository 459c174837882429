"""Adapters, experts and quantisers: low ranks, routers, codes and clipped ranges."""

import jax
import jax.numpy as jnp

from experiments.checker_benchmark.strangers.record import (
    Stranger,
    Twin,
    collect,
    normal,
)

CASES: list[Stranger] = []
case = collect(CASES)


def hadamard(rng):
    params = {
        "a1": normal(rng, 5, 2, std=0.5),
        "b1": normal(rng, 2, 4, std=0.5),
        "a2": normal(rng, 5, 2, std=0.5),
        "b2": jnp.zeros((2, 4)),
    }
    return normal(rng, 3, 5), normal(rng, 5, 4), params, 1.0


def trained_hadamard(rng):
    x, base, params, alpha = hadamard(rng)
    return x, base, params | {"b2": normal(rng, 2, 4, std=0.5)}, alpha


@case(
    "Hadamard products of low ranks (LoHa) of peft and LyCORIS, in JAX trainers",
    "low-rank adapter",
    hadamard,
    Twin(
        "other factor",
        "factor|operand|swap",
        "params",
        "The second pair is pulled back through itself and not through the first.",
    ),
    Twin(
        "scaling",
        "ratio|factor|option",
        "params",
        "alpha over the rank is in the forward only.",
    ),
    Twin(
        "base alone",
        "term|path|operand",
        "x",
        "The input's gradient passes the frozen weights and not the adapter.",
        witness=trained_hadamard,
    ),
    options=lambda plain: {"nondiff": ("base",)},
)
def loha_dense(slip):
    def update(params, alpha):
        one, two = params["a1"] @ params["b1"], params["a2"] @ params["b2"]
        return one, two, alpha / params["a1"].shape[1]

    def plain(x, base, params, alpha):
        one, two, scale = update(params, alpha)
        return x @ (base + scale * one * two)

    dense = jax.custom_vjp(plain, nondiff_argnums=(3,))

    def fwd(x, base, params, alpha):
        return plain(x, base, params, alpha), (x, base, params)

    def bwd(alpha, res, g):
        x, base, params = res
        one, two, scale = update(params, alpha)
        w = base if slip == "base alone" else base + scale * one * two
        dw = x.T @ g
        if slip != "scaling":
            dw = scale * dw
        done, dtwo = dw * two, dw * (two if slip == "other factor" else one)
        grads = {
            "a1": done @ params["b1"].T,
            "b1": params["a1"].T @ done,
            "a2": dtwo @ params["b2"].T,
            "b2": params["a2"].T @ dtwo,
        }
        return g @ w.T, jnp.zeros_like(base), grads

    dense.defvjp(fwd, bwd)
    return dense, plain


def orthogonal(rng):
    return normal(rng, 3, 6), normal(rng, 6, 4), jnp.zeros((2, 3, 3))


def turned(rng):
    return normal(rng, 3, 6), normal(rng, 6, 4), normal(rng, 2, 3, 3, std=0.4)


@case(
    "orthogonal fine-tuning (OFT), blocks by the Cayley transform, in JAX trainers",
    "orthogonal adapter",
    orthogonal,
    Twin(
        "skew part",
        "transpose|term|path",
        "raw",
        "The gradient is not made skew, as the parameter is in the forward.",
    ),
    Twin(
        "inverse not transposed",
        "transpose|operand",
        "raw",
        "The cotangent is solved for with the matrix, not with its transpose.",
        witness=turned,
    ),
    Twin(
        "numerator only",
        "term|path|ratio|factor",
        "raw",
        "Of I + S and the inverse of I - S the first alone is pulled back.",
    ),
    options=lambda plain: {"nondiff": ("base",)},
    scales=(0.1, 1.0, 3.0),
    narrow=False,
)
def oft_cayley_dense(slip):
    def rotations(raw):
        skew = raw - jnp.swapaxes(raw, -1, -2)
        eye = jnp.eye(raw.shape[-1], dtype=raw.dtype)
        return eye - skew, jnp.linalg.solve(eye - skew, eye + skew)

    def blocks(x, raw):
        return x.reshape(*x.shape[:-1], *raw.shape[:2])

    @jax.custom_vjp
    def dense(x, base, raw):
        turned = jnp.einsum("nbi,bij->nbj", blocks(x, raw), rotations(raw)[1])
        return turned.reshape(x.shape) @ base

    def fwd(x, base, raw):
        return dense.fun(x, base, raw), (x, base, raw)

    def bwd(res, g):
        x, base, raw = res
        bottom, r = rotations(raw)
        dturned = blocks(g @ base.T, raw)
        dx = jnp.einsum("nbj,bij->nbi", dturned, r).reshape(x.shape)
        dr = jnp.einsum("nbi,nbj->bij", blocks(x, raw), dturned)
        back = bottom if slip == "inverse not transposed" else bottom.mT
        dtop = jnp.linalg.solve(back, dr)
        dskew = dtop
        if slip != "numerator only":
            dskew = dskew + dtop @ r.mT
        if slip != "skew part":
            dskew = dskew - dskew.mT
        return dx, jnp.zeros_like(base), dskew

    dense.defvjp(fwd, bwd)
    return dense, dense.fun


def learned_clip(args, dy):
    x, alpha, _ = args
    inside = (x >= 0) & (x < alpha)
    return jnp.where(inside, dy, 0), jnp.where(x >= alpha, dy, 0).sum()


def above(rng):
    return normal(rng, 4, 6), jnp.float32(0.8), 4


@case(
    "parametrised clipping of activations (PACT) in quantised flax networks",
    "quantisation",
    above,
    Twin(
        "clipped from above",
        "mask|region|predicate",
        "x",
        "Inputs above alpha are pulled back as those below are.",
    ),
    Twin(
        "where alpha acts",
        "mask|region|predicate|sign",
        "alpha",
        "alpha gets the cotangents of the inputs that are not clipped.",
    ),
    Twin(
        "mean",
        "ratio|sum|factor",
        "alpha",
        "The scalar's gradient is a mean over the entries.",
    ),
    options=lambda plain: {"surrogate": learned_clip},
    fixed=(1,),
)
def pact_relu(slip):
    def plain(x, alpha, bits):
        steps = (2**bits - 1) / alpha
        clipped = jnp.clip(x, 0, alpha)
        return jnp.round(clipped * steps) / steps

    act = jax.custom_vjp(plain, nondiff_argnums=(2,))

    def fwd(x, alpha, bits):
        return plain(x, alpha, bits), (x, alpha)

    def bwd(bits, res, g):
        x, alpha = res
        inside = (x >= 0) & (x < alpha)
        if slip == "clipped from above":
            inside = x >= 0
        high = x >= alpha
        if slip == "where alpha acts":
            high = x < alpha
        dalpha = jnp.where(high, g, 0)
        dalpha = dalpha.mean() if slip == "mean" else dalpha.sum()
        return jnp.where(inside, g, 0), dalpha

    act.defvjp(fwd, bwd)
    return act, plain

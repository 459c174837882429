"""Transforms of random variables with two outputs: the result and its volume."""

import jax
import jax.numpy as jnp

from experiments.checker_benchmark.strangers.record import (
    Stranger,
    Twin,
    collect,
    draw,
    normal,
)

CASES: list[Stranger] = []
case = collect(CASES)


@case(
    "numpyro.distributions.transforms.CorrCholeskyTransform",
    "transform with two outputs",
    lambda rng: (normal(rng, 6, std=0.5), 4),
    Twin(
        "what is left of the row",
        "term|path",
        "x",
        "An entry moves itself only, not those right of it.",
    ),
    Twin(
        "its own length",
        "index|region|mask|elements",
        "x",
        "The entries right of it, but not that on the diagonal.",
    ),
    Twin(
        "volume of the rows",
        "term|factor|ratio",
        "x",
        "The log-determinant's slope is that of the tanh alone.",
    ),
    narrow=False,
)
def corr_cholesky_transform(slip):
    """Factor of a correlation matrix of n rows, with the log-determinant."""

    def square(x, n):
        rows, columns = jnp.tril_indices(n, -1)
        return jnp.zeros((n, n), x.dtype).at[rows, columns].set(x)

    def forward(x, n):
        raw = square(x, n)
        far = 2 * (jnp.log(2.0) - raw - jax.nn.softplus(-2 * raw))
        t = jnp.tanh(jnp.clip(raw, -1, 1))
        gone = jnp.where(jnp.abs(raw) < 1, jnp.log1p(-t * t), far)
        gone = jnp.tril(gone, -1).astype(x.dtype)
        before = (jnp.cumsum(gone, 1) - gone) / 2
        ratio = jnp.tril(jnp.tanh(raw), -1) + jnp.eye(n, dtype=x.dtype)
        left = jnp.tril(jnp.exp(before))
        volume = (gone + jnp.tril(before, -1)).sum()
        return (ratio * left, volume), (ratio, left)

    def plain(x, n):
        return forward(x, n)[0]

    transform = jax.custom_vjp(plain, nondiff_argnums=(1,))

    def fwd(x, n):
        out, (ratio, left) = forward(x, n)
        return out, (out[0], ratio, left, x)

    def bwd(n, res, cotangents):
        tril, ratio, left, x = res
        dtril, dvolume = cotangents
        weighted = jnp.tril(dtril * tril, -1 if slip == "its own length" else 0)
        later = jnp.cumsum(weighted[:, ::-1], 1)[:, ::-1] - weighted
        slope = 1 / jnp.cosh(square(x, n)) ** 2
        by_raw = slope * left * dtril
        if slip != "what is left of the row":
            by_raw = by_raw - ratio * later
        k = jnp.arange(n, dtype=x.dtype)
        right = k[:, None] - k - 1
        if slip == "volume of the rows":
            right = jnp.zeros_like(right)
        by_raw = by_raw - dvolume * ratio * (2 + right)
        return (by_raw[jnp.tril_indices(n, -1)],)

    transform.defvjp(fwd, bwd)
    return transform, plain


@case(
    "planar flows in distrax and FlowJAX",
    "transform with two outputs",
    draw(z=(5, 3), w=(3,), u=(3,), bias=()),
    Twin(
        "curvature",
        "term|path",
        "z w bias",
        "The log-determinant's slope by the pre-activation is left out.",
    ),
    Twin(
        "absolute value",
        "sign|ratio|term",
        "z w u bias",
        "The determinant is taken to be positive.",
        witness=lambda rng: (
            normal(rng, 5, 3),
            jnp.array([1.0, 0.5, 1.0], jnp.float32),
            jnp.array([-2.0, -1.0, -1.5], jnp.float32),
            normal(rng),
        ),
    ),
    Twin(
        "direct path",
        "term|path",
        "z",
        "The identity of the residual form is left out.",
    ),
)
def planar_flow(slip):
    """z + u tanh(w z + b) and the log of its determinant's absolute value."""

    def parts(z, w, u, bias):
        t = jnp.tanh(z @ w + bias)
        return t, 1 + (1 - t * t) * (u @ w)

    @jax.custom_vjp
    def flow(z, w, u, bias):
        t, determinant = parts(z, w, u, bias)
        return z + t[:, None] * u, jnp.log(jnp.abs(determinant))

    def fwd(z, w, u, bias):
        return flow.fun(z, w, u, bias), (z, w, u, bias)

    def bwd(res, cotangents):
        z, w, u, bias = res
        dy, dlog = cotangents
        t, determinant = parts(z, w, u, bias)
        if slip == "absolute value":
            determinant = jnp.abs(determinant)
        by_det = dlog / determinant
        slope = 1 - t * t
        dt = dy @ u
        if slip != "curvature":
            dt = dt - 2 * by_det * t * (u @ w)
        da = dt * slope
        along = (by_det * slope).sum()
        dz = da[:, None] * w
        if slip != "direct path":
            dz = dz + dy
        return dz, da @ z + along * u, t @ dy + along * w, da.sum()

    flow.defvjp(fwd, bwd)
    return flow, flow.fun

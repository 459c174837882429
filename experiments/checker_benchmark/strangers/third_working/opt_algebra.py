"""Factorisations: a rank-one update of Cholesky's, and a thin QR."""

import jax
import jax.numpy as jnp
from jax import lax
from jax.scipy.linalg import solve_triangular

from experiments.checker_benchmark.strangers.record import (
    Stranger,
    Twin,
    collect,
    draw,
    normal,
    positive,
)

CASES: list[Stranger] = []
case = collect(CASES)


def factor_and_update(multiplier: float):
    def args(rng):
        factor = jnp.tril(0.3 * normal(rng, 4, 4), -1) + jnp.diag(positive(rng, 4))
        return factor, normal(rng, 4), jnp.float32(multiplier)

    return args


@case(
    "tfp.substrates.jax.math.cholesky_update",
    "factorisation",
    factor_and_update(1.0),
    Twin(
        "diagonal not halved",
        "factor|ratio|region|index",
        "factor update multiplier",
        "The diagonal of the triangle's part is counted in whole.",
    ),
    Twin(
        "multiplier",
        "factor|ratio|operand|option",
        "update",
        "It is left out of the gradient of the vector.",
        witness=factor_and_update(0.5),
    ),
    Twin("upper triangle", "mask|region", "factor", "Entries not read have gradients."),
    options=lambda plain: {"edges": False},
    narrow=False,
    scales=(1.0,),
)
def cholesky_update(slip):
    """The factor of L L' + multiplier * v v', in O(n^2) operations."""

    def plain(factor, update, multiplier):
        lower = jnp.tril(factor)
        whole = lower @ lower.T + multiplier * jnp.outer(update, update)
        return jnp.linalg.cholesky(whole)

    @jax.custom_vjp
    def chol_update(factor, update, multiplier):
        n = len(update)

        def column(j, state):
            lower, new, w, b = state
            old, wj = lower[:, j], w[j]
            square = old[j] ** 2
            gamma = square * b + multiplier * wj**2
            diagonal = jnp.sqrt(square + multiplier / b * wj**2)
            w = w - wj * old / old[j]
            below = diagonal * (old / old[j] + multiplier * wj / gamma * w)
            k = jnp.arange(n)
            below = jnp.where(k > j, below, jnp.where(k == j, diagonal, 0))
            return lower, new.at[:, j].set(below), w, b + multiplier * wj**2 / square

        lower = jnp.tril(factor)
        one = jnp.ones((), factor.dtype)
        start = lower, jnp.zeros_like(lower), update, one
        return lax.fori_loop(0, n, column, start)[1]

    def fwd(factor, update, multiplier):
        new = chol_update(factor, update, multiplier)
        return new, (jnp.tril(factor), update, multiplier, new)

    def bwd(res, g):
        lower, update, multiplier, new = res
        phi = jnp.tril(new.T @ g)
        if slip != "diagonal not halved":
            phi = phi - jnp.diag(jnp.diagonal(phi)) / 2
        left = solve_triangular(new, phi, lower=True, trans=1)
        s = solve_triangular(new, left.T, lower=True, trans=1).T
        s = (s + s.T) / 2
        dfactor = 2 * s @ lower
        if slip != "upper triangle":
            dfactor = jnp.tril(dfactor)
        along = s @ update
        dupdate = 2 * along * (1 if slip == "multiplier" else multiplier)
        return dfactor, dupdate, update @ along

    chol_update.defvjp(fwd, bwd)
    return chol_update, plain


@case(
    "lineax.QR and orthogonal layers: thin QR with a positive diagonal",
    "factorisation",
    draw(a=(5, 3)),
    Twin(
        "other triangle",
        "transpose|region|mask",
        "a",
        "The upper triangle is copied, which has no part of the cotangent.",
    ),
    Twin(
        "diagonal twice",
        "factor|ratio|region|index",
        "a",
        "The triangle and its transpose are added with the diagonal in both.",
    ),
    Twin("solve not transposed", "transpose|operand", "a", "Divided by R, not R'."),
    options=lambda plain: {"edges": False},
    narrow=False,
)
def thin_qr(slip):
    @jax.custom_vjp
    def qr(a):
        q, r = jnp.linalg.qr(a)
        sign = jnp.where(jnp.diagonal(r) < 0, -1, 1).astype(a.dtype)
        return q * sign, sign[:, None] * r

    def fwd(a):
        q, r = qr.fun(a)
        return (q, r), (q, r)

    def bwd(res, cotangents):
        q, r = res
        dq, dr = cotangents
        m = r @ dr.T - dq.T @ q
        if slip == "other triangle":
            m = m.T
        below = jnp.tril(m, -1)
        middle = jnp.diag(jnp.diagonal(m))
        if slip == "diagonal twice":
            middle = 2 * middle
        back = dq + q @ (below + below.T + middle)
        if slip == "solve not transposed":
            return (solve_triangular(r, back.T, trans=1).T,)
        return (solve_triangular(r, back.T).T,)

    qr.defvjp(fwd, bwd)
    return qr, qr.fun

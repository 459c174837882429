"""Linear solves: by factors, by sweeps, and those of generalised least squares."""

import jax
import jax.numpy as jnp
from jax import lax
from jax.scipy.linalg import cho_solve, solve_triangular

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


@case(
    "generalised least squares with autocorrelated errors in JAX econometrics",
    "linear solver",
    draw(x=(9, 3), y=(9,), raw=()),
    Twin(
        "first row",
        "term|factor|edge",
        "x y raw",
        "The first row's factor, the root of 1 - rho squared, is not pulled back.",
    ),
    Twin(
        "normal matrix",
        "term|path",
        "x raw",
        "The regressors' gradient lacks the part of the normal matrix.",
    ),
    Twin(
        "rho of its square",
        "factor|path|ratio",
        "raw",
        "The tanh that keeps rho below one is not pulled back.",
    ),
    narrow=False,
)
def gls_estimate(slip):
    ridge, most = 1e-2, 0.95

    def transform(a, rho):
        first = jnp.sqrt(1 - rho * rho) * a[:1]
        return jnp.concatenate([first, a[1:] - rho * a[:-1]])

    def solve(x, b):
        return jnp.linalg.solve(x.T @ x + ridge * jnp.eye(x.shape[1], dtype=x.dtype), b)

    def plain(x, y, raw):
        rho = most * jnp.tanh(raw)
        xs, ys = transform(x, rho), transform(y, rho)
        return solve(xs, xs.T @ ys)

    estimate = jax.custom_vjp(plain)

    def fwd(x, y, raw):
        beta = plain(x, y, raw)
        return beta, (x, y, raw, beta)

    def bwd(res, g):
        x, y, raw, beta = res
        t = jnp.tanh(raw)
        rho = most * t
        root = jnp.sqrt(1 - rho * rho)
        xs, ys = transform(x, rho), transform(y, rho)
        adjoint = solve(xs, g)
        dys = xs @ adjoint
        dxs = jnp.outer(ys - xs @ beta, adjoint)
        if slip != "normal matrix":
            dxs = dxs - jnp.outer(dys, beta)

        def back(da, a):
            later = jnp.concatenate([da[1:], jnp.zeros_like(da[:1])])
            first = da[:1] if slip == "first row" else root * da[:1]
            drho = -(da[1:] * a[:-1]).sum()
            if slip != "first row":
                drho = drho - rho / root * (da[:1] * a[:1]).sum()
            return jnp.concatenate([first, da[1:]]) - rho * later, drho

        (dx, one), (dy, two) = back(dxs, x), back(dys, y)
        through = 1 if slip == "rho of its square" else most * (1 - t) * (1 + t)
        return dx, dy, (one + two) * through

    estimate.defvjp(fwd, bwd)
    return estimate, plain


@case(
    "inv_quad_logdet of gpytorch in JAX Gaussian processes (GPJax, cola)",
    "solve and log-determinant with two outputs",
    draw(factor=(6, 3), y=(6, 2), raw=()),
    Twin(
        "log-determinant's half",
        "factor|ratio|term",
        "factor raw",
        "The inverse in the log-determinant's gradient is halved.",
    ),
    Twin(
        "once for two",
        "factor|ratio|duplicates",
        "factor",
        "The factor stands in the matrix twice, its gradient is taken once.",
    ),
    Twin(
        "sign of the inverse",
        "sign",
        "factor raw",
        "The quadratic form's gradient has the sign of the matrix, not its inverse.",
    ),
    narrow=False,
)
def inv_quad_logdet(slip):
    def cholesky(factor, raw):
        noise = jax.nn.softplus(raw) + 1e-2
        eye = jnp.eye(factor.shape[0], dtype=factor.dtype)
        return jnp.linalg.cholesky(factor @ factor.T + noise * eye)

    def plain(factor, y, raw):
        chol = cholesky(factor, raw)
        quad = jnp.square(solve_triangular(chol, y, lower=True)).sum(0)
        return quad, 2 * jnp.log(jnp.diagonal(chol)).sum()

    forms = jax.custom_vjp(plain)

    def fwd(factor, y, raw):
        return plain(factor, y, raw), (factor, y, raw, cholesky(factor, raw))

    def bwd(res, cts):
        factor, y, raw, chol = res
        dquad, dlog = cts
        solved = cho_solve((chol, True), y)
        inverse = cho_solve((chol, True), jnp.eye(len(y), dtype=y.dtype))
        way = 1 if slip == "sign of the inverse" else -1
        half = 0.5 if slip == "log-determinant's half" else 1.0
        dk = way * (solved * dquad) @ solved.T + half * dlog * inverse
        twice = 1 if slip == "once for two" else 2
        draw = jnp.trace(dk) * jax.nn.sigmoid(raw)
        return twice * dk @ factor, 2 * solved * dquad, draw

    forms.defvjp(fwd, bwd)
    return forms, plain


def factors(rng):
    low = 0.4 * jnp.tril(normal(rng, 2, 3, 3), -1)
    return (low + jax.vmap(jnp.diag)(positive(rng, 2, 3)),)


@case(
    "cholesky_inverse of pytorch in JAX ports",
    "inverse from a triangular factor",
    factors,
    Twin(
        "one half of the cotangent",
        "term|transpose",
        "tril",
        "The cotangent is not symmetrised: only one of the factor's places counts.",
    ),
    Twin(
        "upper half",
        "mask|region|index",
        "tril",
        "The factor's unused upper half gets a gradient.",
    ),
    Twin(
        "inverse not transposed",
        "transpose",
        "tril",
        "The factor's inverse stands where its transpose should.",
    ),
    narrow=False,
)
def cholesky_inverse(slip):
    def inverse(tril):
        eye = jnp.broadcast_to(jnp.eye(tril.shape[-1], dtype=tril.dtype), tril.shape)
        return solve_triangular(tril, eye, lower=True)

    @jax.custom_vjp
    def covariance(tril):
        w = inverse(tril)
        return jnp.einsum("...ki,...kj->...ij", w, w)

    def fwd(tril):
        return covariance.fun(tril), tril

    def bwd(tril, g):
        w = inverse(tril)
        sigma = jnp.einsum("...ki,...kj->...ij", w, w)
        both = g
        if slip != "one half of the cotangent":
            both = g + jnp.swapaxes(g, -1, -2)
        last = w if slip == "inverse not transposed" else jnp.swapaxes(w, -1, -2)
        dtril = -sigma @ both @ last
        return (dtril if slip == "upper half" else jnp.tril(dtril),)

    covariance.defvjp(fwd, bwd)
    return covariance, covariance.fun


@case(
    "Gauss-Seidel sweeps with an implicit gradient, as in jaxopt and lineax",
    "linear solver by sweeps",
    draw(m=(5, 5), b=(5, 2)),
    Twin(
        "not transposed",
        "transpose",
        "m b",
        "The adjoint is solved with the matrix itself.",
    ),
    Twin(
        "added diagonal",
        "term|path",
        "m",
        "The diagonal which is added depends on the matrix: that is left out.",
    ),
    Twin(
        "one sweep back",
        "precision|function|ratio|term",
        "m b",
        "The adjoint gets a single sweep.",
    ),
    narrow=False,
)
def gauss_seidel_solve(slip):
    def dominant(m):
        return m + jnp.diag((m * m + 1).sum(-1))

    def sweeps(a, b, count):
        low, up = jnp.tril(a), jnp.triu(a, 1)

        def sweep(x, _):
            return solve_triangular(low, b - up @ x, lower=True), None

        return lax.scan(sweep, jnp.zeros_like(b), length=count)[0]

    def plain(m, b):
        return sweeps(dominant(m), b, 50)

    solve = jax.custom_vjp(plain)

    def fwd(m, b):
        x = plain(m, b)
        return x, (m, x)

    def bwd(res, g):
        m, x = res
        a = dominant(m)
        turned = a if slip == "not transposed" else a.T
        db = sweeps(turned, g, 1 if slip == "one sweep back" else 50)
        da = -db @ x.T
        if slip == "added diagonal":
            return da, db
        return da + 2 * m * jnp.diagonal(da)[:, None], db

    solve.defvjp(fwd, bwd)
    return solve, plain

"""Functions of matrices: shrunk, inverted, compared, and a damped step."""

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


def spread(rng):
    root = normal(rng, 4, 4)
    return root @ root.T / 4 + 0.5 * jnp.eye(4, dtype=jnp.float32)


@case(
    "singular value thresholding, the proximal map of the nuclear norm, for optax",
    "proximal map",
    lambda rng: (normal(rng, 5, 3), jnp.float32(1.5)),
    Twin(
        "rotations",
        "term|path|operand|function",
        "x",
        "The antisymmetric part is weighted as the symmetric part is.",
    ),
    Twin(
        "beyond the columns",
        "term|path",
        "x",
        "What is orthogonal to the singular vectors is left out.",
    ),
    Twin(
        "threshold of all",
        "mask|region|sum",
        "threshold",
        "Singular values below the threshold count in its gradient.",
    ),
    narrow=False,
    scales=(0.5, 1.0, 2.0),
)
def nuclear_norm_prox(slip):
    """Singular values less a threshold, at least zero."""

    @jax.custom_vjp
    def shrink(x, threshold):
        u, s, vt = jnp.linalg.svd(x, full_matrices=False)
        return (u * jnp.maximum(s - threshold, 0)) @ vt

    def fwd(x, threshold):
        u, s, vt = jnp.linalg.svd(x, full_matrices=False)
        kept = jnp.maximum(s - threshold, 0)
        return (u * kept) @ vt, (u, s, vt, kept)

    def over(a, b):
        return jnp.where(b > 0, a / jnp.where(b > 0, b, 1), 0)

    def bwd(res, g):
        u, s, vt, kept = res
        inner = u.T @ g @ vt.T
        on = kept > 0
        both, some = on[:, None] & on, on[:, None] | on
        gap = jnp.where(both | ~some, 1, s[:, None] - s)
        stretch = jnp.where(both, 1, (kept[:, None] - kept) / gap)
        turn = over(kept[:, None] + kept, s[:, None] + s)
        if slip == "rotations":
            turn = stretch
        even, odd = (inner + inner.T) / 2, (inner - inner.T) / 2
        dx = u @ (stretch * even + turn * odd) @ vt
        if slip != "beyond the columns":
            ratio = over(kept, s)
            left, right = g @ vt.T, u.T @ g
            dx = dx + ((left - u @ inner) * ratio) @ vt
            dx = dx + (u * ratio) @ (right - inner @ vt)
        counted = jnp.ones_like(on) if slip == "threshold of all" else on
        return dx, -jnp.where(counted, jnp.diag(inner), 0).sum()

    shrink.defvjp(fwd, bwd)
    return shrink, shrink.fun


@case(
    "log-Euclidean means of covariances: the logarithm of a positive matrix",
    "matrix function",
    lambda rng: (spread(rng),),
    Twin(
        "diagonal",
        "term|mask|elements|zero|region",
        "a",
        "Equal indices are left out, as they are for eigenvectors.",
    ),
    Twin(
        "as of numbers",
        "function|operand|factor|path",
        "a",
        "The cotangent is multiplied by the inverse, as if the two commuted.",
    ),
    Twin(
        "basis",
        "transpose",
        "a",
        "The eigenvectors are transposed on the way back.",
    ),
    narrow=False,
    scales=(0.5, 1.0, 2.0),
)
def spd_log(slip):
    """Of the symmetric part, which has positive eigenvalues."""

    def parts(a):
        return jnp.linalg.eigh((a + a.T) / 2)

    @jax.custom_vjp
    def log(a):
        w, v = parts(a)
        return (v * jnp.log(w)) @ v.T

    def fwd(a):
        w, v = parts(a)
        return (v * jnp.log(w)) @ v.T, (w, v)

    def bwd(res, g):
        w, v = res
        g = (g + g.T) / 2
        if slip == "as of numbers":
            d = (v / w) @ v.T @ g
            return ((d + d.T) / 2,)
        gap = w[:, None] - w
        same = gap == 0
        safe = jnp.where(same, 1, gap)
        quotients = jnp.log1p(safe / w) / safe
        quotients = jnp.where(same, 0 if slip == "diagonal" else 1 / w, quotients)
        inner = quotients * (v.T @ g @ v)
        return (v.T @ inner @ v if slip == "basis" else v @ inner @ v.T,)

    log.defvjp(fwd, bwd)
    return log, log.fun


@case(
    "one step of optimistix.LevenbergMarquardt, damped by the identity or the diagonal",
    "optimiser's step",
    lambda rng: (*draw(x=(3,), jacobian=(6, 3), residual=(6,))(rng), 0.1, True),
    Twin(
        "scaling's path",
        "term|path",
        "jacobian",
        "The diagonal that scales the damping is held fixed.",
    ),
    Twin(
        "one side of the product",
        "transpose|term|factor",
        "jacobian",
        "Of the Jacobian's two places in the normal matrix one is counted, twice.",
    ),
    Twin(
        "rows of the right-hand side",
        "term|path",
        "jacobian",
        "The Jacobian in the right-hand side is held fixed.",
    ),
    narrow=False,
    scales=(0.5, 1.0, 2.0),
)
def levenberg_marquardt_step(slip):
    """x less the damped Gauss-Newton step."""

    def system(jacobian, damping, scaled):
        gram = jacobian.T @ jacobian
        diagonal = jnp.diag(gram) if scaled else jnp.ones(len(gram), gram.dtype)
        return gram + damping * jnp.diag(diagonal)

    def plain(x, jacobian, residual, damping, scaled):
        a = system(jacobian, damping, scaled)
        return x - jnp.linalg.solve(a, jacobian.T @ residual)

    step = jax.custom_vjp(plain, nondiff_argnums=(3, 4))

    def fwd(x, jacobian, residual, damping, scaled):
        a = system(jacobian, damping, scaled)
        move = jnp.linalg.solve(a, jacobian.T @ residual)
        return x - move, (jacobian, residual, a, move)

    def bwd(damping, scaled, res, g):
        jacobian, residual, a, move = res
        v = -jnp.linalg.solve(a, g)
        da = -jnp.outer(v, move)
        both = 2 * da if slip == "one side of the product" else da + da.T
        djacobian = jacobian @ both
        if slip != "rows of the right-hand side":
            djacobian = djacobian + jnp.outer(residual, v)
        if scaled and slip != "scaling's path":
            djacobian = djacobian + 2 * damping * jacobian * jnp.diag(da)
        return g, djacobian, jacobian @ v

    step.defvjp(fwd, bwd)
    return step, plain

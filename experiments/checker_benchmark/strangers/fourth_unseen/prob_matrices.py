"""Eigenvalues, blocks on three diagonals, and an elliptic integral."""

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


@case(
    "jnp.linalg.eigh with a guard for equal eigenvalues, in covariance models",
    "factorisation",
    lambda rng: (symmetric(rng, 4),),
    Twin(
        "differences the other way",
        "sign|transpose|ratio|term",
        "a",
        "The differences of eigenvalues have the other sign.",
    ),
    Twin(
        "symmetry of the input",
        "transpose|mask|region|elements",
        "a",
        "The gradient is given to the lower triangle, as if only that were read.",
    ),
    Twin(
        "values only",
        "term|path|zero",
        "a",
        "The cotangent of the vectors is dropped.",
    ),
    narrow=False,
)
def symmetric_eigh(slip):
    """Eigenvalues in rising order and eigenvectors of (a + a') / 2."""

    @jax.custom_vjp
    def eigh(a):
        values, vectors = jnp.linalg.eigh((a + a.T) / 2, symmetrize_input=False)
        return values, vectors

    def fwd(a):
        out = eigh.fun(a)
        return out, out

    def bwd(res, cotangents):
        values, vectors = res
        dvalues, dvectors = cotangents
        gaps = values - values[:, None]
        if slip == "differences the other way":
            gaps = -gaps
        equal = gaps == 0
        turned = jnp.where(equal, 0, vectors.T @ dvectors / jnp.where(equal, 1, gaps))
        inner = jnp.diag(dvalues)
        if slip != "values only":
            inner = inner + turned
        da = vectors @ inner @ vectors.T
        da = (da + da.T) / 2
        if slip == "symmetry of the input":
            da = 2 * jnp.tril(da, -1) + jnp.diag(jnp.diagonal(da))
        return (da,)

    eigh.defvjp(fwd, bwd)
    return eigh, eigh.fun


def symmetric(rng, n):
    a = normal(rng, n, n)
    return (a + a.T) / 2


def blocks(rng):
    diagonal = 0.3 * normal(rng, 4, 2, 2)
    diagonal = diagonal + diagonal.transpose(0, 2, 1) + 3 * jnp.eye(2)
    return diagonal.astype(jnp.float32), 0.5 * normal(rng, 3, 2, 2)


@case(
    "state-space precision matrices: block-tridiagonal log-determinants (dynamax)",
    "log-determinant",
    blocks,
    Twin(
        "blocks after",
        "term|path",
        "diagonal lower",
        "A block moves its own complement, not those that follow.",
    ),
    Twin(
        "both places of a lower block",
        "factor|ratio|term|path",
        "lower",
        "It stands on both sides of the complement; one is accumulated.",
    ),
    Twin(
        "complement of the next",
        "residual|index|operand",
        "lower",
        "The factor right of the block is the next complement's inverse.",
    ),
    narrow=False,
)
def block_tridiagonal_logdet(slip):
    """Of a symmetric matrix, from its diagonal blocks and those below; by a scan."""

    def complements(diagonal, lower):
        def step(before, pair):
            block, below = pair
            now = block - below @ jnp.linalg.solve(before, below.T)
            return now, now

        rest = lax.scan(step, diagonal[0], (diagonal[1:], lower))[1]
        return jnp.concatenate([diagonal[:1], rest])

    @jax.custom_vjp
    def logdet(diagonal, lower):
        return jnp.linalg.slogdet(complements(diagonal, lower))[1].sum()

    def fwd(diagonal, lower):
        s = complements(diagonal, lower)
        return jnp.linalg.slogdet(s)[1].sum(), (jnp.linalg.inv(s), lower)

    def bwd(res, g):
        inverses, lower = res

        def back(after, row):
            inverse, other, below = row
            down = after @ below @ inverse.T
            up = after.T @ below @ inverse
            if slip == "complement of the next":
                down, up = after @ below @ other.T, after.T @ below @ other
            if slip == "both places of a lower block":
                up = jnp.zeros_like(up)
            through = inverse.T @ below.T @ after @ below @ inverse.T
            if slip == "blocks after":
                through = jnp.zeros_like(through)
            now = g * inverse.T + through
            return now, (now, -(down + up))

        last = g * inverses[-1].T
        rows = inverses[:-1], inverses[1:], lower
        _, (before, dlower) = lax.scan(back, last, rows, reverse=True)
        return jnp.concatenate([before, last[None]]), dlower

    logdet.defvjp(fwd, bwd)
    return logdet, logdet.fun


@case(
    "complete elliptic integrals of pendulums and filters, by arithmetic means",
    "special function",
    lambda rng: (positive(rng, 5, low=0.05, high=0.95),),
    Twin(
        "modulus for parameter",
        "factor|ratio|function|operand",
        "m",
        "The slope is that by k, where m is its square.",
    ),
    Twin(
        "complementary parameter",
        "factor|ratio|operand|term",
        "m",
        "1 - m is missing below the line.",
    ),
    Twin(
        "parameter of zero",
        "edge|nan|finite",
        "m",
        "0 / 0 at m = 0, where the slope is pi / 8.",
        witness=lambda rng: (jnp.array([0.0, 0.3, 0.0], jnp.float32),),
    ),
    narrow=False,
    scales=(0.1, 1.0),
)
def elliptic_k(slip):
    """K(m) for 0 <= m < 1."""
    steps = 6

    def means(m):
        a, b = jnp.ones_like(m), jnp.sqrt(1 - m)
        total = jnp.zeros_like(m)
        for n in range(steps):
            half = (a - b) / 2
            total = total + 2.0**n * half**2
            a, b = (a + b) / 2, jnp.sqrt(a * b)
        return a, total

    @jax.custom_vjp
    def ellipk(m):
        return jnp.pi / 2 / means(m)[0]

    def fwd(m):
        return ellipk.fun(m), m

    def bwd(m, g):
        a, total = means(m)
        k = jnp.pi / 2 / a
        zero = m == 0
        share = jnp.where(zero, 0, total / jnp.where(zero, 1, m))
        if slip == "parameter of zero":
            share = total / m
        slope = k * (0.5 - share) / 2
        if slip != "complementary parameter":
            slope = slope / (1 - m)
        if slip == "modulus for parameter":
            slope = slope * 2 * jnp.sqrt(m)
        return (g * slope,)

    ellipk.defvjp(fwd, bwd)
    return ellipk, ellipk.fun

"""Linear algebra of every day: solves, determinants, forms, covariances."""

import jax
import jax.numpy as jnp
from jax.scipy.linalg import cho_solve

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


def factor_and_sides(rng):
    lower = jnp.tril(normal(rng, 4, 4, std=0.4), -1) + jnp.diag(positive(rng, 4))
    return lower, normal(rng, 4, 2)


@case(
    "cho_solve of scipy in tinygp and GPJax",
    "linear solver",
    factor_and_sides,
    Twin(
        "one side of the product",
        "term|sum|factor|transpose",
        "factor",
        "L L' is differentiated by its first factor only.",
    ),
    Twin(
        "upper triangle",
        "mask|term",
        "factor",
        "The entries above the diagonal, which are not read, have a gradient.",
    ),
    narrow=False,
)
def cholesky_solve(slip):
    def plain(factor, b):
        return cho_solve((factor, True), b)

    solve = jax.custom_vjp(plain)

    def fwd(factor, b):
        x = plain(factor, b)
        return x, (factor, x)

    def bwd(res, g):
        factor, x = res
        db = cho_solve((factor, True), g)
        da = -db @ x.T
        both = da if slip == "one side of the product" else da + da.T
        df = both @ jnp.tril(factor)
        return df if slip == "upper triangle" else jnp.tril(df), db

    solve.defvjp(fwd, bwd)
    return solve, plain


def grams(rng):
    x = normal(rng, 2, 3, 5)
    return x @ x.transpose(0, 2, 1) / 5, 0.1


@case(
    "log-determinant by Cholesky with jitter in GPJax and numpyro",
    "log-determinant",
    grams,
    Twin(
        "jitter",
        "option|term|eps",
        "matrix",
        "The inverse in the gradient is that of the matrix without jitter.",
    ),
    Twin(
        "half of it",
        "factor|ratio",
        "matrix",
        "The 2 of the sum over the factor's diagonal is forgotten.",
    ),
    narrow=False,
)
def logdet_spd(slip):
    def factor(matrix, jitter):
        eye = jnp.eye(matrix.shape[-1], dtype=matrix.dtype)
        return jnp.linalg.cholesky(matrix + jitter * eye)

    def plain(matrix, jitter):
        diagonal = jnp.diagonal(factor(matrix, jitter), axis1=-2, axis2=-1)
        return 2 * jnp.log(diagonal).sum(-1)

    logdet = jax.custom_vjp(plain, nondiff_argnums=(1,))

    def fwd(matrix, jitter):
        return plain(matrix, jitter), matrix

    def bwd(jitter, matrix, g):
        if slip == "jitter":
            jitter = 0.0
        eye = jnp.eye(matrix.shape[-1], dtype=matrix.dtype)

        def inverse(one):
            return cho_solve((factor(one, jitter), True), eye)

        scale = 0.5 if slip == "half of it" else 1
        return (scale * g[:, None, None] * jax.vmap(inverse)(matrix),)

    logdet.defvjp(fwd, bwd)
    return logdet, plain


def rank_one(rng):
    left, right = normal(rng, 5, std=0.3), normal(rng, 5, std=0.3)
    return positive(rng, 5), left, right, normal(rng, 5)


@case(
    "Sherman-Morrison solve with a diagonal, as in lineax issues and quasi-Newton code",
    "linear solver",
    rank_one,
    Twin(
        "not transposed",
        "transpose|swap",
        "diagonal left right b",
        "The backward solve has u v' where v u' belongs.",
    ),
    Twin(
        "factors interchanged",
        "swap",
        "left right",
        "The gradients of the two vectors are interchanged.",
    ),
    fixed=(1, 2),
    narrow=False,
)
def sherman_morrison_solve(slip):
    def solve_with(diagonal, left, right, b):
        y, z = b / diagonal, left / diagonal
        return y - z * (right @ y) / (1 + right @ z)

    solve = jax.custom_vjp(solve_with)

    def fwd(diagonal, left, right, b):
        x = solve_with(diagonal, left, right, b)
        return x, (diagonal, left, right, x)

    def bwd(res, g):
        diagonal, left, right, x = res
        if slip == "not transposed":
            db = solve_with(diagonal, left, right, g)
        else:
            db = solve_with(diagonal, right, left, g)
        dleft, dright = -db * (right @ x), -(left @ db) * x
        if slip == "factors interchanged":
            dleft, dright = dright, dleft
        return -db * x, dleft, dright, db

    solve.defvjp(fwd, bwd)
    return solve, solve_with


@case(
    "jnp.cov with its mean, in jaxopt examples and whitening layers",
    "covariance with two outputs",
    lambda rng: (normal(rng, 6, 3), 1),
    Twin(
        "degrees of freedom",
        "option|ratio|factor",
        "x",
        "The gradient is divided by n, whatever ddof says.",
    ),
    Twin(
        "one side",
        "transpose|sum|factor",
        "x",
        "The covariance's cotangent is taken as symmetric.",
    ),
    Twin(
        "mean's output",
        "cotangent|term",
        "x",
        "The cotangent of the mean is dropped.",
    ),
)
def sample_covariance(slip):
    def plain(x, ddof):
        mean = x.mean(0)
        centred = x - mean
        return mean, centred.T @ centred / (len(x) - ddof)

    moments = jax.custom_vjp(plain, nondiff_argnums=(1,))

    def fwd(x, ddof):
        return plain(x, ddof), x

    def bwd(ddof, x, g):
        dmean, dcov = g
        n = len(x)
        both = 2 * dcov if slip == "one side" else dcov + dcov.T
        dx = (x - x.mean(0)) @ both
        dx = dx / (n if slip == "degrees of freedom" else n - ddof)
        return (dx if slip == "mean's output" else dx + dmean / n,)

    moments.defvjp(fwd, bwd)
    return moments, plain


@case(
    "batched quadratic form x' A x in lineax-based code and energy models",
    "quadratic form",
    draw(matrix=(3, 3), x=(5, 3)),
    Twin(
        "taken as symmetric",
        "transpose|term|factor",
        "x",
        "2 A x for (A + A') x.",
    ),
    Twin(
        "cotangent of the rows",
        "cotangent|factor",
        "matrix",
        "The rows' outer products are summed without their cotangents.",
    ),
)
def quadratic_form(slip):
    def plain(matrix, x):
        return jnp.einsum("ni,ij,nj->n", x, matrix, x)

    form = jax.custom_vjp(plain)

    def fwd(matrix, x):
        return plain(matrix, x), (matrix, x)

    def bwd(res, g):
        matrix, x = res
        other = matrix if slip == "taken as symmetric" else matrix.T
        dx = g[:, None] * (x @ (matrix.T + other.T))
        own = jnp.ones_like(g) if slip == "cotangent of the rows" else g
        return jnp.einsum("n,ni,nj->ij", own, x, x), dx

    form.defvjp(fwd, bwd)
    return form, plain


@case(
    "fill of a symmetric matrix by its triangle (vech) in optimistix-style code",
    "packing",
    draw(packed=(2, 6)),
    Twin(
        "one triangle",
        "term|sum|factor",
        "packed",
        "Off the diagonal only the lower entry's cotangent is taken.",
    ),
    Twin(
        "diagonal twice",
        "factor|duplicates",
        "packed",
        "Both triangles are summed, and the diagonal with both.",
    ),
)
def vech_to_symmetric(slip):
    def places(size):
        n = int((2 * size) ** 0.5)
        return n, *jnp.tril_indices(n)

    def plain(packed):
        n, i, j = places(packed.shape[-1])
        out = jnp.zeros((*packed.shape[:-1], n, n), packed.dtype)
        return out.at[..., i, j].set(packed).at[..., j, i].set(packed)

    unpack = jax.custom_vjp(plain)

    def fwd(packed):
        return plain(packed), None

    def bwd(_, g):
        _, i, j = places(g.shape[-1] * (g.shape[-1] + 1) // 2)
        lower, upper = g[..., i, j], g[..., j, i]
        if slip == "one triangle":
            return (lower,)
        if slip == "diagonal twice":
            return (lower + upper,)
        return (jnp.where(i == j, lower, lower + upper),)

    unpack.defvjp(fwd, bwd)
    return unpack, plain

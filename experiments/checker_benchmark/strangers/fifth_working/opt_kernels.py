"""Kernels, scoring rules, a projection and a line search."""

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


def forecasts(rng):
    middle = normal(rng, 6)
    return middle - 1, middle + 1, middle + normal(rng, 6), 0.1


@case(
    "tinygp.kernels.ExpSineSquared",
    "kernel matrix",
    lambda rng: (normal(rng, 5), normal(rng, 4), jnp.float32(1.5), jnp.float32(1.0)),
    Twin(
        "second point's sign",
        "sign|ratio",
        "z",
        "Both points get gradients of the same sign.",
    ),
    Twin(
        "period",
        "factor|ratio|operand",
        "period",
        "Its gradient lacks the distance over the period.",
    ),
    Twin(
        "double angle",
        "factor|ratio|function|operand",
        "x z period",
        "The sine's square is differentiated as the sine.",
    ),
    narrow=False,
    scales=(0.5, 1.0, 2.0),
)
def periodic_kernel(slip):
    """Periodic covariances between two sets of times."""

    @jax.custom_vjp
    def kernel(x, z, period, length):
        s = jnp.sin(jnp.pi * (x[:, None] - z) / period)
        return jnp.exp(-2 * s * s / length**2)

    def fwd(x, z, period, length):
        k = kernel.fun(x, z, period, length)
        return k, (x, z, period, length, k)

    def bwd(res, g):
        x, z, period, length, k = res
        gap = x[:, None] - z
        angle = jnp.pi * gap / period
        s, c = jnp.sin(angle), jnp.cos(angle)
        if slip == "double angle":
            by_angle = -2 * g * k * c / length**2
        else:
            by_angle = -4 * g * k * s * c / length**2
        pull = by_angle * jnp.pi / period
        dz = pull.sum(0) if slip == "second point's sign" else -pull.sum(0)
        turns = pull if slip == "period" else pull * gap / period
        dlength = (4 * g * k * s * s).sum() / length**3
        return pull.sum(1), dz, -turns.sum(), dlength

    kernel.defvjp(fwd, bwd)
    return kernel, kernel.fun


@case(
    "interval scores (Winkler) of forecasts, as in scoringrules and gluonts ports",
    "scoring rule",
    forecasts,
    Twin(
        "width",
        "term|path",
        "lower upper",
        "The interval's width has no gradient.",
    ),
    Twin(
        "tail's weight",
        "factor|ratio|option",
        "lower upper observed",
        "A miss weighs 1 / alpha, not 2 / alpha.",
    ),
    Twin(
        "mean",
        "sum|factor|ratio",
        "lower upper observed",
        "The rows' gradients are of the sum, not of the mean.",
    ),
)
def interval_score(slip):
    """Mean of widths, and of misses on either side times 2 / alpha."""

    def plain(lower, upper, observed, alpha):
        below = jnp.where(observed < lower, lower - observed, 0)
        above = jnp.where(observed > upper, observed - upper, 0)
        return (upper - lower + 2 / alpha * (below + above)).mean()

    score = jax.custom_vjp(plain, nondiff_argnums=(3,))

    def fwd(lower, upper, observed, alpha):
        signs = observed < lower, observed > upper
        return plain(lower, upper, observed, alpha), (lower, signs)

    def bwd(alpha, res, g):
        lower, (below, above) = res
        weight = (1 if slip == "tail's weight" else 2) / alpha
        each = g if slip == "mean" else g / lower.size
        under = jnp.where(below, weight, 0).astype(lower.dtype)
        over = jnp.where(above, weight, 0).astype(lower.dtype)
        width = 0 if slip == "width" else 1
        return each * (under - width), each * (width - over), each * (over - under)

    score.defvjp(fwd, bwd)
    return score, plain


@case(
    "jaxopt.projection.projection_halfspace on the rows of a batch",
    "projection",
    lambda rng: (*draw(x=(6, 3), a=(3,))(rng), jnp.float32(0.5)),
    Twin(
        "normal's length",
        "term|path",
        "a",
        "The normal's squared length is held fixed.",
    ),
    Twin(
        "rows within",
        "mask|region|predicate",
        "x a b",
        "Rows that are not moved are treated as those that are.",
    ),
    Twin(
        "offset's sign",
        "sign|ratio",
        "b",
        "The offset gets the margin's gradient.",
    ),
    narrow=False,
)
def halfspace_projection(slip):
    """The nearest points whose product with a is at most b."""

    @jax.custom_vjp
    def project(x, a, b):
        excess = x @ a - b
        return x - jnp.outer(jnp.where(excess > 0, excess, 0) / (a @ a), a)

    def fwd(x, a, b):
        return project.fun(x, a, b), (x, a, b)

    def bwd(res, g):
        x, a, b = res
        square = a @ a
        excess = x @ a - b
        outside = jnp.ones_like(excess, bool) if slip == "rows within" else excess > 0
        moved = jnp.where(outside, excess, 0) / square
        along = jnp.where(outside, g @ a, 0) / square
        da = -moved @ g - along @ x
        if slip != "normal's length":
            da = da + 2 * (moved @ along) * a
        db = -along.sum() if slip == "offset's sign" else along.sum()
        return g - jnp.outer(along, a), da, db

    project.defvjp(fwd, bwd)
    return project, project.fun

"""Projections, constrained fits, sorting and acquisition as layers."""

import jax
import jax.numpy as jnp
from jax.scipy.stats import norm

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
    "jaxopt.projection.projection_affine_set, with its matrix and offsets learned",
    "projection",
    draw(x=(6,), a=(3, 6), b=(3,)),
    Twin(
        "row space",
        "term|path|operand",
        "a",
        "The cotangent is not projected where the multipliers meet it.",
    ),
    Twin(
        "point before",
        "residual|operand",
        "a",
        "The point before the projection stands where the projected one should.",
    ),
    Twin(
        "offsets' sign",
        "sign",
        "b",
        "The offsets' gradient has the sign of the residual.",
    ),
    narrow=False,
)
def affine_set_projection(slip):
    """The point nearest to x with a y = b."""

    def multipliers(x, a, b):
        return jnp.linalg.solve(a @ a.T, a @ x - b)

    @jax.custom_vjp
    def project(x, a, b):
        return x - a.T @ multipliers(x, a, b)

    def fwd(x, a, b):
        lam = multipliers(x, a, b)
        y = x - a.T @ lam
        return y, (x, a, lam, y)

    def bwd(res, g):
        x, a, lam, y = res
        u = jnp.linalg.solve(a @ a.T, a @ g)
        dx = g - a.T @ u
        point = x if slip == "point before" else y
        da = -jnp.outer(u, point) - jnp.outer(lam, g if slip == "row space" else dx)
        return dx, da, -u if slip == "offsets' sign" else u

    project.defvjp(fwd, bwd)
    return project, project.fun


@case(
    "non-negative least squares (scipy.optimize.nnls) as a layer, as jaxopt would",
    "implicit solver",
    draw(a=(8, 4), b=(8,)),
    Twin(
        "bounds",
        "mask|region|predicate",
        "a b",
        "Coordinates that are held at zero are solved for as well.",
    ),
    Twin(
        "residual",
        "term|path",
        "a",
        "The residual's part in the matrix' gradient is left out.",
    ),
    Twin(
        "residual's sign",
        "sign|term",
        "a",
        "The residual is the prediction less the data.",
    ),
    narrow=False,
)
def nonnegative_least_squares(slip):
    """Projected gradients find the support; then the normal equations are solved."""

    def support(a, b):
        gram, right = a.T @ a, a.T @ b
        size = 1 / jnp.linalg.eigvalsh(gram)[-1]

        def step(_, x):
            return jnp.maximum(x - size * (gram @ x - right), 0)

        x = jax.lax.fori_loop(0, 400, step, jnp.zeros_like(right))
        return jax.lax.stop_gradient(x) > 0

    def system(a, on):
        held = jnp.diag(jnp.where(on, 0, 1).astype(a.dtype))
        return (a.T @ a) * (on[:, None] & on) + held

    def plain(a, b):
        on = support(jax.lax.stop_gradient(a), jax.lax.stop_gradient(b))
        return jnp.linalg.solve(system(a, on), jnp.where(on, a.T @ b, 0))

    fit = jax.custom_vjp(plain)

    def fwd(a, b):
        x = plain(a, b)
        return x, (a, b, x)

    def bwd(res, g):
        a, b, x = res
        on = jnp.ones_like(x, bool) if slip == "bounds" else x > 0
        u = jnp.linalg.solve(system(a, on), jnp.where(on, g, 0))
        db = a @ u
        da = -jnp.outer(db, x)
        rest = a @ x - b if slip == "residual's sign" else b - a @ x
        if slip != "residual":
            da = da + jnp.outer(rest, u)
        return da, db

    fit.defvjp(fwd, bwd)
    return fit, plain


@case(
    "SoftSort (Prillo and Eisenschlos) in JAX ranking code: relaxed permutations",
    "sorting",
    lambda rng: (normal(rng, 2, 5), jnp.float32(1.0)),
    Twin(
        "sorted scores",
        "term|path",
        "scores",
        "The sorted scores are held fixed.",
    ),
    Twin(
        "order",
        "index|transpose|swap",
        "scores",
        "The sorted scores' gradient is permuted once more, not put back.",
    ),
    Twin(
        "softmax over ranks",
        "axis|sum",
        "scores temperature",
        "The softmax is taken back over the ranks, not over the items.",
    ),
)
def soft_sort(slip):
    """Rows for ranks from the highest score on, columns for items."""

    def gaps(scores):
        order = jnp.argsort(-scores, axis=-1)
        ranked = jnp.take_along_axis(scores, order, -1)
        return order, ranked[..., :, None] - scores[..., None, :]

    def plain(scores, temperature):
        _, gap = gaps(scores)
        return jax.nn.softmax(-jnp.abs(gap) / temperature, -1)

    relax = jax.custom_vjp(plain)

    def fwd(scores, temperature):
        p = plain(scores, temperature)
        return p, (scores, temperature, p)

    def bwd(res, g):
        scores, temperature, p = res
        order, gap = gaps(scores)
        axis = -2 if slip == "softmax over ranks" else -1
        dlogits = p * (g - (g * p).sum(axis, keepdims=True))
        dgap = -dlogits * jnp.sign(gap) / temperature
        dscores, dranked = -dgap.sum(-2), dgap.sum(-1)
        back = order if slip == "order" else jnp.argsort(order, axis=-1)
        if slip != "sorted scores":
            dscores = dscores + jnp.take_along_axis(dranked, back, -1)
        dtemperature = (dlogits * jnp.abs(gap)).sum() / temperature**2
        return dscores, dtemperature

    relax.defvjp(fwd, bwd)
    return relax, plain


def candidates(rng):
    return normal(rng, 6), positive(rng, 6), jnp.float32(-0.5)


def known_points(rng):
    mean, std, best = candidates(rng)
    return mean, std.at[2].set(0).at[4].set(0), best


@case(
    "expected improvement of bayesian optimisation in JAX (bayex, trieste ports)",
    "acquisition",
    candidates,
    Twin(
        "known points",
        "edge|nan|finite",
        "std",
        "Points of no deviation divide by zero on the way back.",
        witness=known_points,
    ),
    Twin(
        "density's slope",
        "term|path",
        "mean std best",
        "The normal density is held fixed, its distribution function is not.",
    ),
    Twin(
        "incumbent",
        "sign",
        "best",
        "The best value pulls as the means do.",
    ),
    narrow=False,
)
def expected_improvement(slip):
    """Of a minimum; nothing is left to chance where the deviation is zero."""

    def parts(mean, std, best):
        known = std == 0
        gain = best - mean
        return known, gain, gain / jnp.where(known, 1, std)

    def plain(mean, std, best):
        known, gain, z = parts(mean, std, best)
        chance = gain * norm.cdf(z) + std * norm.pdf(z)
        return jnp.where(known, jnp.maximum(gain, 0), chance)

    def fwd(mean, std, best):
        return plain(mean, std, best), (mean, std, best)

    @jax.custom_vjp
    def improvement(mean, std, best):
        return plain(mean, std, best)

    def bwd(res, g):
        known, gain, z = parts(*res)
        below = 0.5 * (jnp.sign(gain) + 1)  # half at a tie, as jnp.maximum has it
        dgain = jnp.where(known, below, norm.cdf(z))
        dstd = norm.pdf(z)
        if slip == "known points":
            z = gain / res[1]
            dstd = dstd * z / z
        if slip == "density's slope":
            dgain = jnp.where(known, dgain, dgain + z * dstd)
            dstd = dstd - z * z * dstd
        dstd = dstd if slip == "known points" else jnp.where(known, 0, dstd)
        dgain = g * dgain
        dbest = -dgain.sum() if slip == "incumbent" else dgain.sum()
        return -dgain, g * dstd, dbest

    improvement.defvjp(fwd, bwd)
    return improvement, plain

"""Bugs of products, sums of exponentials, scatters and losses, with their threads."""

import jax
import jax.numpy as jnp
from jax import lax

from experiments.checker_benchmark.strangers.record import (
    Stranger,
    Twin,
    collect,
    draw,
    integers,
    normal,
)

CASES: list[Stranger] = []
case = collect(CASES)


@case(
    "tracel-ai/burn#4069",
    "vector product",
    draw(a=(4, 3), b=(4, 3)),
    Twin("as reported", "sign|swap", "b", "The second factor's gradient is negated."),
    kind="bug",
    name="cross_product burn#4069",
)
def cross_product(slip):
    @jax.custom_vjp
    def cross(a, b):
        return jnp.cross(a, b)

    def fwd(a, b):
        return jnp.cross(a, b), (a, b)

    def bwd(res, g):
        a, b = res
        return jnp.cross(b, g), jnp.cross(a, g) if slip else jnp.cross(g, a)

    cross.defvjp(fwd, bwd)
    return cross, cross.fun


def where_args(high):
    def args(rng):
        a = normal(rng, 3, 5)
        where = jnp.asarray(rng.random((3, 5)) < 0.7).at[:, 0].set(True)
        return a.at[0, 4].set(high or a[0, 4]), where.at[0, 4].set(False)

    return args


@case(
    "jax-ml/jax#23842",
    "stable sum of exponentials",
    where_args(None),
    Twin(
        "as reported",
        "edge|nan|finite|mask|region|predicate",
        "a",
        "An entry that is left out and is large has an exponential of infinity.",
        witness=where_args(1000.0),
    ),
    kind="bug",
    name="where_logsumexp jax#23842",
)
def where_logsumexp(slip):
    def plain(a, where):
        top = jnp.where(where, a, -jnp.inf).max(-1, keepdims=True)
        top = lax.stop_gradient(jnp.where(jnp.isfinite(top), top, 0))
        total = jnp.exp(jnp.where(where, a - top, -jnp.inf)).sum(-1)
        some = where.any(-1)
        return jnp.where(
            some, jnp.log(jnp.where(some, total, 1)) + top[..., 0], -jnp.inf
        )

    @jax.custom_vjp
    def logsumexp(a, where):
        return plain(a, where)

    def fwd(a, where):
        y = plain(a, where)
        return y, (a, where, y)

    def bwd(res, g):
        a, where, y = res
        gap = a - y[..., None]
        if slip:
            return jnp.where(where, g[..., None], 0) * jnp.exp(gap), None
        weight = jnp.exp(jnp.where(where, gap, -jnp.inf))
        return jnp.where(where, g[..., None] * weight, 0), None

    logsumexp.defvjp(fwd, bwd)
    return logsumexp, plain


def factors(rows):
    def args(rng):
        return normal(rng, 4, 3), integers(rng, 4, rows, 3), normal(rng, 3, 3)

    return args


@case(
    "pytorch/pytorch#188843",
    "scatter",
    factors(3),
    Twin(
        "as reported",
        "mask|region|predicate|elements|index|zero",
        "source",
        "Rows of the source that no index uses are given the first row's gradient.",
        witness=factors(1),
    ),
    kind="bug",
    name="scatter_product pytorch#188843",
)
def scatter_product(slip):
    def spread(base, index, source):
        """The factor of each index's row for each entry of the base, or 1."""
        hit = index[:, None] == jnp.arange(len(base))[:, None]
        return hit, jnp.where(hit, source[: len(index), None], 1)

    @jax.custom_vjp
    def multiply(base, index, source):
        return base * spread(base, index, source)[1].prod(0)

    def fwd(base, index, source):
        return multiply.fun(base, index, source), (base, index, source)

    def bwd(res, g):
        base, index, source = res
        hit, factor = spread(base, index, source)
        one = jnp.ones_like(factor[:1])
        before = jnp.cumprod(jnp.concatenate([one, factor[:-1]]), 0)
        after = jnp.concatenate([factor[1:], one])
        after = jnp.flip(jnp.cumprod(jnp.flip(after, 0), 0), 0)
        used = jnp.where(hit, g * base * before * after, 0).sum(1)
        if slip and len(index) == 1:
            dsource = used * source[:1] / source
        else:
            unused = jnp.zeros_like(source[len(index) :])
            dsource = jnp.concatenate([used, unused])
        return g * factor.prod(0), None, dsource

    multiply.defvjp(fwd, bwd)
    return multiply, multiply.fun


@case(
    "flagos-ai/FlagGems#5212",
    "loss with an option",
    lambda rng: (*draw(x=(4, 3), target=(4, 3))(rng), "mean"),
    Twin(
        "as reported",
        "elements|mask|region|index|zero|path|ratio|factor",
        "x target",
        "The scalar cotangent is read as an array: past its end memory is read.",
    ),
    kind="bug",
    name="mse_loss FlagGems#5212",
)
def mse_loss(slip):
    def plain(x, target, reduction):
        each = (x - target) ** 2
        return each if reduction == "none" else getattr(each, reduction)()

    loss = jax.custom_vjp(plain, nondiff_argnums=(2,))

    def fwd(x, target, reduction):
        return plain(x, target, reduction), (x, target)

    def bwd(reduction, res, g):
        x, target = res
        if slip:
            at = jnp.arange(x.size)
            g = g.reshape(-1).at[at].get(mode="fill", fill_value=0).reshape(x.shape)
        scale = 2 / x.size if reduction == "mean" else 2
        dx = scale * (x - target) * g
        return dx, -dx

    loss.defvjp(fwd, bwd)
    return loss, plain

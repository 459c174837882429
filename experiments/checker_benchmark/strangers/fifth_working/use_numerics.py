"""Safe forms of statistics and errors that people write for their own projects."""

import dataclasses

import jax
import jax.numpy as jnp

from experiments.checker_benchmark.strangers.record import (
    Stranger,
    Twin,
    collect,
    normal,
    positive,
)

CASES: list[Stranger] = []
case = collect(CASES)


@jax.tree_util.register_dataclass
@dataclasses.dataclass
class Statistics:
    mean: dict
    std: dict


def constant_row(rng):
    x = normal(rng, 4, 5).at[1].set(0.5)
    return x, -1, 1, False


@case(
    "standard deviations with a gradient of 0 at constant rows, in feature scalers",
    "spread",
    lambda rng: (normal(rng, 4, 5), -1, 1, False),
    Twin(
        "constant rows",
        "edge|nan|finite",
        "x",
        "Where all numbers are the same, 0 is divided by 0.",
        witness=constant_row,
    ),
    Twin(
        "divided by n",
        "ratio|factor|option",
        "x",
        "The gradient is that of ddof=0.",
    ),
    Twin(
        "axis 0",
        "sum|axis|transpose|option|index",
        "x",
        "The cotangent is put back on the last axis, whichever was reduced.",
        witness=lambda rng: (normal(rng, 5, 5), 0, 1, False),
    ),
)
def safe_std(slip):
    def plain(x, axis, ddof, keepdims):
        off = x - x.mean(axis, keepdims=True)
        variance = (off * off).sum(axis, keepdims=keepdims) / (x.shape[axis] - ddof)
        zero = variance == 0
        return jnp.where(zero, 0, jnp.sqrt(jnp.where(zero, 1, variance)))

    std = jax.custom_vjp(plain, nondiff_argnums=(1, 2, 3))

    def fwd(x, axis, ddof, keepdims):
        y = plain(x, axis, ddof, keepdims)
        return y, (x, y)

    def bwd(axis, ddof, keepdims, res, g):
        x, y = res
        if not keepdims:
            back = -1 if slip == "axis 0" else axis
            g, y = jnp.expand_dims(g, back), jnp.expand_dims(y, back)
        count = x.shape[axis] - (0 if slip == "divided by n" else ddof)
        off = x - x.mean(axis, keepdims=True)
        if slip == "constant rows":
            return (g * off / (count * y),)
        return (g * jnp.where(y == 0, 0, off / (count * jnp.where(y == 0, 1, y))),)

    std.defvjp(fwd, bwd)
    return std, plain


def forecasts(rng):
    return positive(rng, 4, 3), positive(rng, 4, 3), jnp.ones((4, 3), bool)


def with_gaps(rng):
    forecast, actual, _ = forecasts(rng)
    seen = jnp.ones((4, 3), bool).at[1, 2].set(False).at[3].set(False)
    return forecast, actual, seen


def nothing_sold(rng):
    forecast, actual, seen = forecasts(rng)
    return forecast.at[0, 1].set(0), actual.at[0, 1].set(0), seen


@case(
    "symmetric percentage errors of forecasts with missing months",
    "loss with a mask",
    forecasts,
    Twin(
        "denominator held",
        "term|path",
        "forecast",
        "The forecast in the denominator is taken as given.",
    ),
    Twin(
        "mean of all",
        "ratio|factor|mask|sum",
        "forecast actual",
        "Divided by the number of all months, with those that are missing.",
        witness=with_gaps,
    ),
    Twin(
        "nothing sold",
        "edge|nan|finite",
        "forecast actual",
        "Where forecast and sales are 0, 0 is divided by 0.",
        witness=nothing_sold,
    ),
)
def smape_loss(slip):
    """Mean over the months seen of 2 |f - a| / (|f| + |a|), 0 where both are 0."""

    def pieces(forecast, actual):
        size = jnp.abs(forecast) + jnp.abs(actual)
        return forecast - actual, size == 0, jnp.where(size == 0, 1, size)

    def plain(forecast, actual, seen):
        gap, zero, size = pieces(forecast, actual)
        error = jnp.where(zero, 0, 2 * jnp.abs(gap) / size)
        count = jnp.maximum(seen.sum(), 1).astype(error.dtype)
        return jnp.where(seen, error, 0).sum() / count

    loss = jax.custom_vjp(plain)

    def fwd(forecast, actual, seen):
        return plain(forecast, actual, seen), (forecast, actual, seen)

    def bwd(res, g):
        forecast, actual, seen = res
        gap, zero, size = pieces(forecast, actual)
        if slip == "nothing sold":
            zero, size = jnp.zeros_like(zero), jnp.abs(forecast) + jnp.abs(actual)
        count = seen.size if slip == "mean of all" else jnp.maximum(seen.sum(), 1)
        weight = jnp.where(seen & ~zero, g / jnp.asarray(count, g.dtype), 0)
        down = 2 * jnp.abs(gap) / size**2
        sign = 2 * jnp.sign(gap) / size
        dforecast = sign
        if slip != "denominator held":
            dforecast = dforecast - down * jnp.sign(forecast)
        return weight * dforecast, weight * (-sign - down * jnp.sign(actual)), None

    loss.defvjp(fwd, bwd)
    return loss, plain


@case(
    "observation normalisation of brax, statistics in a dataclass",
    "normalisation with a dataclass",
    lambda rng: (
        {"joints": normal(rng, 3, 4), "speed": normal(rng, 3, 2)},
        Statistics(
            {"joints": normal(rng, 4, std=0.1), "speed": normal(rng, 2, std=0.1)},
            {"joints": positive(rng, 4), "speed": positive(rng, 2)},
        ),
        5.0,
    ),
    Twin(
        "clipped entries",
        "mask|region|predicate",
        "observation statistics",
        "What is clipped has a gradient.",
        witness=lambda rng: (
            {"joints": 9 * normal(rng, 3, 4), "speed": 9 * normal(rng, 3, 2)},
            Statistics(
                {"joints": normal(rng, 4), "speed": normal(rng, 2)},
                {"joints": positive(rng, 4), "speed": positive(rng, 2)},
            ),
            5.0,
        ),
    ),
    Twin(
        "clipped numbers",
        "residual|operand|factor|ratio",
        "statistics",
        "The scale's gradient is multiplied by the observation, mean and all.",
    ),
    fixed=(1,),
)
def normalize_observations(slip):
    def plain(observation, statistics, largest):
        def one(x, mean, std):
            return jnp.clip((x - mean) / std, -largest, largest)

        return jax.tree.map(one, observation, statistics.mean, statistics.std)

    scale = jax.custom_vjp(plain, nondiff_argnums=(2,))

    def fwd(observation, statistics, largest):
        return plain(observation, statistics, largest), (observation, statistics)

    def bwd(largest, res, g):
        observation, statistics = res

        def one(x, mean, std, d):
            z = (x - mean) / std
            inside = jnp.abs(z) < largest
            d = d if slip == "clipped entries" else jnp.where(inside, d, 0)
            kept = x / std if slip == "clipped numbers" else z
            return d / std, -d.sum(0) / std, -(d * kept).sum(0) / std

        mean, std = statistics.mean, statistics.std
        three = jax.tree.map(one, observation, mean, std, g)
        dx, dmean, dstd = jax.tree.transpose(
            jax.tree.structure(observation), jax.tree.structure((0, 0, 0)), three
        )
        return dx, Statistics(dmean, dstd)

    scale.defvjp(fwd, bwd)
    return scale, plain

"""Survival, panels, autoregressions and tails."""

import jax
import jax.numpy as jnp

from experiments.checker_benchmark.strangers.record import (
    Stranger,
    Twin,
    collect,
    draw,
    integers,
    normal,
    positive,
)

CASES: list[Stranger] = []
case = collect(CASES)


def patients(rng):
    events = jnp.asarray(rng.random(10) < 0.8).at[0].set(True)
    return normal(rng, 10), integers(rng, 4, 10), events


@case(
    "Cox models with Efron's ties, as in lifelines, months as times",
    "survival",
    patients,
    Twin(
        "ties of Breslow",
        "term|path",
        "scores",
        "The share of tied events that is taken off has no gradient.",
    ),
    Twin(
        "censored at the time",
        "mask|region|predicate",
        "scores",
        "Of the censored, those of the same time are taken off too.",
    ),
    Twin(
        "after the time",
        "region|index|predicate|mask",
        "scores",
        "Those at the time itself are no longer at risk.",
    ),
    narrow=False,
    scales=(0.3, 1.0, 3.0),
)
def efron_partial_likelihood(slip):
    """Negative, a mean over the events, which are at least one."""

    def shares(times, events):
        same = (times[:, None] == times) * events  # of events j at the time of i
        before = jnp.tril(same, -1).sum(1)
        return before / jnp.maximum(same.sum(1), 1)

    def taken(times, events):
        """How much of j is in the sum that belongs to event i."""
        at_risk = (times >= times[:, None]).astype(events.dtype)
        tied = (times[:, None] == times) * events
        return at_risk - shares(times, events)[:, None] * tied

    def plain(scores, times, events):
        events = events.astype(scores.dtype)
        top = jax.lax.stop_gradient(scores.max())
        sums = taken(times, events) @ jnp.exp(scores - top)
        each = events * (scores - top - jnp.log(sums))
        return -each.sum() / events.sum()

    @jax.custom_vjp
    def loss(scores, times, events):
        return plain(scores, times, events)

    def fwd(scores, times, events):
        return plain(scores, times, events), (scores, times, events)

    def bwd(res, g):
        scores, times, events = res
        events = events.astype(scores.dtype)
        risk = jnp.exp(scores - scores.max())
        inside = taken(times, events)
        sums = inside @ risk
        equal = times[:, None] == times
        share = shares(times, events)[:, None]
        if slip == "ties of Breslow":
            inside = inside + share * equal * events
        if slip == "censored at the time":
            inside = inside - share * equal * (1 - events)
        if slip == "after the time":
            inside = jnp.where(equal, 0, inside)
        pulled = (events / sums) @ inside * risk
        return g * (pulled - events) / events.sum(), None, None

    loss.defvjp(fwd, bwd)
    return loss, plain


def panel(rng):
    return normal(rng, 9, 2), positive(rng, 9), integers(rng, 3, 9)


def unweighted_firm(rng):
    x, weights, group = panel(rng)
    group = group.at[:3].set(1)
    return x, jnp.where(group == 1, 0, weights), group


@case(
    "within transformation of panels (pyfixest's JAX backend), weighted",
    "segments",
    panel,
    Twin(
        "own adjoint",
        "transpose|operand|term|factor",
        "x",
        "The gradient is demeaned as the data are, weights in the same place.",
    ),
    Twin(
        "weights' centre",
        "term|path",
        "weights",
        "The weights in the denominator are held fixed.",
    ),
    Twin(
        "groups of no weight",
        "edge|nan|finite",
        "x weights",
        "A group whose weights are all zero divides by zero.",
        witness=unweighted_firm,
    ),
    narrow=False,
)
def fixed_effects_demean(slip):
    count = 4  # the last group is empty

    def sums(values, group):
        return jax.ops.segment_sum(values, group, count)

    def inverse(weights, group):
        total = sums(weights, group)
        return jnp.where(total > 0, 1 / jnp.where(total > 0, total, 1), 0)

    def plain(x, weights, group):
        means = sums(weights[:, None] * x, group) * inverse(weights, group)[:, None]
        return x - means[group]

    demean = jax.custom_vjp(plain)

    def fwd(x, weights, group):
        y = plain(x, weights, group)
        return y, (y, x, weights, group)

    def bwd(res, g):
        y, x, weights, group = res
        over = inverse(weights, group)
        if slip == "groups of no weight":
            over = 1 / sums(weights, group)
        weighted = weights[:, None]
        if slip == "own adjoint":
            dx = g - (sums(weighted * g, group) * over[:, None])[group]
        else:
            dx = g - weighted * (sums(g, group) * over[:, None])[group]
        from_mean = x if slip == "weights' centre" else y
        pulled = (sums(g, group) * over[:, None])[group]
        return dx, -(from_mean * pulled).sum(-1), None

    demean.defvjp(fwd, bwd)
    return demean, plain


@case(
    "stationary autoregressions by partial autocorrelations (statsmodels' transform)",
    "transform",
    draw(raw=(4,)),
    Twin(
        "reversed coefficients",
        "term|path",
        "raw",
        "The coefficients that are subtracted in reverse order have no gradient.",
    ),
    Twin(
        "order before",
        "residual|operand|index",
        "raw",
        "Coefficients of the order at hand stand where those of the last should.",
    ),
    Twin(
        "half",
        "factor|ratio",
        "raw",
        "The half in the hyperbolic tangent is forgotten.",
    ),
    narrow=False,
    scales=(0.3, 1.0, 2.0),
)
def pacf_to_ar(slip):
    """Levinson and Durbin's recursion, from the first order to the last."""

    def orders(partial):
        phi, kept = partial[:0], []
        for k in range(len(partial)):
            kept.append(phi)
            shorter = phi - partial[k] * phi[::-1]
            phi = jnp.concatenate([shorter, partial[k : k + 1]])
        return phi, kept

    @jax.custom_vjp
    def coefficients(raw):
        return orders(jnp.tanh(raw / 2))[0]

    def fwd(raw):
        partial = jnp.tanh(raw / 2)
        phi, kept = orders(partial)
        return phi, (partial, [*kept, phi])

    def bwd(res, g):
        partial, kept = res
        dpartial = []
        for k in reversed(range(len(partial))):
            before = kept[k + 1][:k] if slip == "order before" else kept[k]
            dpartial.append(g[k] - g[:k] @ before[::-1])
            rest = g[:k]
            if slip != "reversed coefficients":
                rest = rest - partial[k] * g[:k][::-1]
            g = rest
        slope = 1 - partial * partial
        if slip != "half":
            slope = slope / 2
        return (jnp.stack(dpartial[::-1]) * slope,)

    coefficients.defvjp(fwd, bwd)
    return coefficients, coefficients.fun

"""A shrinkage, penalties of residuals and of jumps, censored durations."""

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


def noisy(rng):
    return normal(rng, 3, 8, std=2.0), positive(rng, 2, low=0.3, high=1.0)


@case(
    "wavelet shrinkage with learned thresholds in denoising toolboxes (ptwt ports)",
    "wavelet transform",
    noisy,
    Twin(
        "threshold's sign",
        "sign|factor",
        "thresholds",
        "The kept details' signs are left out of the thresholds' gradient.",
    ),
    Twin(
        "small details",
        "mask|region|predicate",
        "x",
        "Details below the threshold get a gradient.",
    ),
    Twin(
        "levels reversed",
        "index|swap|transpose",
        "thresholds",
        "The gradient of the finest threshold is given to the coarsest.",
    ),
)
def haar_shrinkage(slip):
    root = 0.5**0.5

    def split(x):
        even, odd = x[:, ::2], x[:, 1::2]
        return root * (even + odd), root * (even - odd)

    def join(low, high):
        pair = jnp.stack([low + high, low - high], axis=-1)
        return root * pair.reshape(len(low), -1)

    def kept(detail, threshold):
        large = jnp.abs(detail) > threshold
        return large, jnp.where(large, detail - threshold * jnp.sign(detail), 0)

    def analysis(x, count):
        details = []
        for _ in range(count):
            x, high = split(x)
            details.append(high)
        return x, details

    def synthesis(low, details):
        for high in details[::-1]:
            low = join(low, high)
        return low

    @jax.custom_vjp
    def shrink(x, thresholds):
        low, details = analysis(x, len(thresholds))
        return synthesis(
            low, [kept(d, t)[1] for d, t in zip(details, thresholds, strict=True)]
        )

    def fwd(x, thresholds):
        low, details = analysis(x, len(thresholds))
        small = [kept(d, t)[1] for d, t in zip(details, thresholds, strict=True)]
        return synthesis(low, small), (details, thresholds)

    def bwd(res, g):
        details, thresholds = res
        low, ups = analysis(g, len(thresholds))
        through, dthresholds = [], []
        for up, detail, threshold in zip(ups, details, thresholds, strict=True):
            large = kept(detail, threshold)[0]
            side = 1 if slip == "threshold's sign" else jnp.sign(detail)
            dthresholds.append(-jnp.where(large, up * side, 0).sum())
            through.append(up if slip == "small details" else jnp.where(large, up, 0))
        if slip == "levels reversed":
            dthresholds = dthresholds[::-1]
        return synthesis(low, through), jnp.stack(dthresholds)

    shrink.defvjp(fwd, bwd)
    return shrink, shrink.fun


def residuals(rng):
    return normal(rng, 5, 3, std=2.0), normal(rng, 3), positive(rng, 5)


@case(
    "Geman-McClure kernel with learned widths in open3d and theseus ports",
    "robust loss",
    residuals,
    Twin(
        "width fixed",
        "factor|operand|function",
        "raw",
        "The gradient of the width is not taken through the softplus.",
    ),
    Twin(
        "not squared",
        "factor|function|ratio",
        "residual",
        "The weight of a residual is not squared.",
    ),
    Twin(
        "rows without weight",
        "factor|operand|term",
        "raw",
        "The widths' gradient sums the rows without their weights.",
    ),
)
def geman_mcclure_loss(slip):
    def parts(residual, raw):
        width = jax.nn.softplus(raw) + 1e-3
        square = width * width
        return width, square, square + residual * residual

    def plain(residual, raw, weight):
        _, square, both = parts(residual, raw)
        return weight @ (square * residual**2 / both).sum(-1)

    loss = jax.custom_vjp(plain)

    def fwd(residual, raw, weight):
        return plain(residual, raw, weight), (residual, raw, weight)

    def bwd(res, g):
        residual, raw, weight = res
        width, square, both = parts(residual, raw)
        share = square / both
        power = share if slip == "not squared" else share * share
        rows = g * weight[:, None]
        dresidual = rows * 2 * residual * power
        up = jnp.full_like(rows, g) if slip == "rows without weight" else rows
        dsquare = (up * (residual**2 / both) ** 2).sum(0)
        draw = dsquare * 2 * width
        if slip != "width fixed":
            draw = draw * jax.nn.sigmoid(raw)
        return dresidual, draw, g * (share * residual**2).sum(-1)

    loss.defvjp(fwd, bwd)
    return loss, plain


def signal(rng):
    return normal(rng, 6, 2), jnp.float32(0.3), jnp.float32(0.7)


@case(
    "penalty of the fused lasso in proximal toolboxes (pyproximal, prox-tv ports)",
    "penalty",
    signal,
    Twin(
        "differences not turned back",
        "transpose|term|swap",
        "x",
        "A jump pulls at its right end only.",
    ),
    Twin(
        "both get the first",
        "swap|operand",
        "smooth",
        "The gradient of the second strength is the sum of absolute values.",
    ),
    Twin(
        "strengths exchanged",
        "swap|operand",
        "x",
        "The jumps are weighed with the strength of the sizes.",
    ),
)
def fused_lasso_penalty(slip):
    @jax.custom_vjp
    def penalty(x, sparse, smooth):
        jumps = x[1:] - x[:-1]
        return sparse * jnp.abs(x).sum() + smooth * jnp.abs(jumps).sum()

    def fwd(x, sparse, smooth):
        return penalty.fun(x, sparse, smooth), (x, sparse, smooth)

    def bwd(res, g):
        x, sparse, smooth = res
        jumps = x[1:] - x[:-1]
        weight = sparse if slip == "strengths exchanged" else smooth
        pull = weight * jnp.sign(jumps)
        dx = sparse * jnp.sign(x)
        dx = dx.at[1:].add(pull)
        if slip != "differences not turned back":
            dx = dx.at[:-1].add(-pull)
        sizes = jnp.abs(x).sum()
        rough = sizes if slip == "both get the first" else jnp.abs(jumps).sum()
        return g * dx, g * sizes, g * rough

    penalty.defvjp(fwd, bwd)
    return penalty, penalty.fun


def durations(rng):
    ended = jnp.asarray([True, False, True, True, False])
    return positive(rng, 5, 2), normal(rng, 2), ended


@case(
    "censored exponential durations in lifelines and pycox ports",
    "survival log-likelihood",
    durations,
    Twin(
        "censored as ended",
        "mask|term",
        "raw_rate",
        "A censored duration counts as an event in the rate's gradient.",
    ),
    Twin(
        "before the start",
        "mask|edge|region",
        "time raw_rate",
        "Durations below zero, of no hazard, get a gradient.",
        witness=lambda rng: (normal(rng, 5, 2), *durations(rng)[1:]),
    ),
    Twin(
        "softplus",
        "factor|function|operand",
        "raw_rate",
        "The gradient is the rate's, not of what the softplus is taken.",
    ),
)
def exponential_log_prob(slip):
    def rate_of(raw_rate):
        return jax.nn.softplus(raw_rate) + 1e-4

    @jax.custom_vjp
    def log_prob(time, raw_rate, ended):
        rate = rate_of(raw_rate)
        lived = jnp.where(time > 0, time, 0)
        return jnp.where(ended[:, None], jnp.log(rate), 0) - rate * lived

    def fwd(time, raw_rate, ended):
        return log_prob.fun(time, raw_rate, ended), (time, raw_rate, ended)

    def bwd(res, g):
        time, raw_rate, ended = res
        rate = rate_of(raw_rate)
        event = jnp.where(ended[:, None], 1 / rate, 0)
        if slip == "censored as ended":
            event = jnp.broadcast_to(1 / rate, time.shape)
        lived = time if slip == "before the start" else jnp.where(time > 0, time, 0)
        drate = (g * (event - lived)).sum(0)
        alive = 1 if slip == "before the start" else time > 0
        if slip != "softplus":
            drate = drate * jax.nn.sigmoid(raw_rate)
        return -g * rate * alive, drate, None

    log_prob.defvjp(fwd, bwd)
    return log_prob, log_prob.fun

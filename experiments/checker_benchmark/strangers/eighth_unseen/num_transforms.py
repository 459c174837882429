"""Power transforms, simplices and distances of distributions."""

import jax
import jax.numpy as jnp
import numpy as np

from experiments.checker_benchmark.strangers.record import (
    Stranger,
    Twin,
    collect,
    normal,
    positive,
)

CASES: list[Stranger] = []
case = collect(CASES)


def _series(t, start):
    """sum over k >= start of t^(k - start) times what `_ratio` and its slope need."""
    total = jnp.zeros_like(t)
    for k in range(14, start - 1, -1):
        term = 1 / float(np.prod(np.arange(1, k + 2)))
        total = total * t + (term if start == 0 else k * term)
    return total


def _ratio(t):
    """(exp(t) - 1) / t and its derivative, also near 0."""
    near = jnp.abs(t) < 0.5
    small, large = jnp.where(near, t, 0), jnp.where(near, 1, t)
    exact = jnp.expm1(large) / large
    slope = (jnp.exp(large) - exact) / large
    value = jnp.where(near, _series(small, 0), exact)
    return value, jnp.where(near, _series(small, 1), slope)


def rows_and_powers(rng):
    return positive(rng, 5, 3), jnp.asarray([0.5, 0.0, -1.2], jnp.float32)


@case(
    "Box-Cox transform with its log-determinant in gluonts and scipy ports",
    "transform with two outputs",
    rows_and_powers,
    Twin(
        "slope in x",
        "term|factor|function",
        "x",
        "The slope in x is x to the power, not to the power less one.",
    ),
    Twin(
        "power of the log-determinant",
        "term|path|cotangent",
        "power",
        "The log-determinant is taken not to depend on the powers.",
    ),
    Twin(
        "square of the logarithm",
        "factor|function|operand",
        "power",
        "The power's gradient has the logarithm once.",
    ),
    fixed=(1,),
    narrow=False,
)
def box_cox_transform(slip):
    floor = 1e-3

    def logarithm(x):
        return jnp.log(jnp.where(x > floor, x, floor))

    @jax.custom_vjp
    def transform(x, power):
        log_x = logarithm(x)
        return log_x * _ratio(power * log_x)[0], ((power - 1) * log_x).sum(-1)

    def fwd(x, power):
        return transform.fun(x, power), (x, power)

    def bwd(res, gs):
        x, power = res
        dy, dlogdet = gs[0], gs[1][:, None]
        log_x = logarithm(x)
        dlog = dlogdet * (power - 1) + dy * jnp.exp(power * log_x)
        dx = jnp.where(x > floor, dlog * jnp.exp(-log_x), 0)
        if slip == "slope in x":
            own = dlogdet * (power - 1) / x + dy * jnp.exp(power * log_x)
            dx = jnp.where(x > floor, own, 0)
        size = log_x if slip == "square of the logarithm" else log_x**2
        dpower = dy * size * _ratio(power * log_x)[1]
        if slip != "power of the log-determinant":
            dpower = dpower + dlogdet * log_x
        return dx, dpower.sum(0)

    transform.defvjp(fwd, bwd)
    return transform, transform.fun


@case(
    "Yeo-Johnson transform in scikit-learn's PowerTransformer ports",
    "elementwise with parameters",
    lambda rng: (normal(rng, 6, 3), normal(rng, 3)),
    Twin(
        "one side's power",
        "function|mask|option|region",
        "x",
        "Negative values get the slope with the power of the positive.",
    ),
    Twin(
        "sign of the negative side",
        "sign",
        "power",
        "The two signs of the negative side do not cancel in the power.",
    ),
    Twin(
        "rows averaged",
        "sum|ratio|factor",
        "power",
        "A power is shared by its column, its gradient is the mean.",
    ),
    narrow=False,
)
def yeo_johnson_transform(slip):
    def sides(x, power):
        up = x >= 0
        return up, jnp.where(up, power, 2 - power), jnp.log1p(jnp.abs(x))

    @jax.custom_vjp
    def transform(x, power):
        up, own, log_x = sides(x, power)
        value = log_x * _ratio(own * log_x)[0]
        return jnp.where(up, value, -value)

    def fwd(x, power):
        return transform.fun(x, power), (x, power)

    def bwd(res, g):
        x, power = res
        up, own, log_x = sides(x, power)
        dpower = g * log_x**2 * _ratio(own * log_x)[1]
        if slip == "sign of the negative side":
            dpower = jnp.where(up, dpower, -dpower)
        at = power if slip == "one side's power" else own
        dx = g * jnp.exp((at - 1) * log_x)
        shared = dpower.mean(0) if slip == "rows averaged" else dpower.sum(0)
        return dx, shared

    transform.defvjp(fwd, bwd)
    return transform, transform.fun


@case(
    "squared Hellinger distance of categorical predictions in fairness toolboxes",
    "distance of distributions",
    lambda rng: (normal(rng, 4, 5), normal(rng, 5)),
    Twin(
        "normalisation",
        "term|path",
        "logits other",
        "The overlap times the probabilities is left out.",
    ),
    Twin(
        "half of the root",
        "ratio|factor",
        "logits other",
        "The half of the square root is left out.",
    ),
    Twin(
        "one reference",
        "sum|ratio|factor",
        "other",
        "The reference is shared by the rows, its gradient is their mean.",
    ),
)
def hellinger_squared(slip):
    def overlap(logits, other):
        log_p, log_q = jax.nn.log_softmax(logits), jax.nn.log_softmax(other)
        return jnp.exp(log_p), jnp.exp(log_q), jnp.exp(0.5 * (log_p + log_q))

    @jax.custom_vjp
    def distance(logits, other):
        return 1 - overlap(logits, other)[2].sum(-1)

    def fwd(logits, other):
        return distance.fun(logits, other), (logits, other)

    def bwd(res, g):
        p, q, mid = overlap(*res)
        total = mid.sum(-1, keepdims=True)
        if slip == "normalisation":
            total = jnp.zeros_like(total)
        half = 1.0 if slip == "half of the root" else 0.5
        up = -half * g[:, None]
        shared = jnp.mean if slip == "one reference" else jnp.sum
        dother = shared(up * (mid - q * total), axis=0)
        return up * (mid - p * total), dother

    distance.defvjp(fwd, bwd)
    return distance, distance.fun


def two_gaussians(rng):
    return tuple(normal(rng, 4, 3) for _ in range(4))


@case(
    "Bhattacharyya distance of diagonal Gaussians in re-identification toolboxes",
    "distance of distributions",
    two_gaussians,
    Twin(
        "mean variance in the square",
        "term|path",
        "logvar1 logvar2",
        "The mean variance below the squared difference is a constant.",
    ),
    Twin(
        "own variance",
        "term|path",
        "logvar1",
        "The first one's own log-variance is left out.",
    ),
    Twin(
        "quarter",
        "ratio|factor",
        "mean1 mean2",
        "The two of the square is cancelled twice.",
    ),
)
def bhattacharyya_distance(slip):
    def average(logvar1, logvar2):
        return jnp.logaddexp(logvar1, logvar2) - float(np.log(2))

    @jax.custom_vjp
    def distance(mean1, logvar1, mean2, logvar2):
        both = average(logvar1, logvar2)
        square = (mean1 - mean2) ** 2 * jnp.exp(-both)
        return (square / 8 + both / 2 - (logvar1 + logvar2) / 4).sum(-1)

    def fwd(*args):
        return distance.fun(*args), args

    def bwd(res, g):
        mean1, logvar1, mean2, logvar2 = res
        both = average(logvar1, logvar2)
        diff, g = mean1 - mean2, g[:, None]
        eighth = 8 if slip == "quarter" else 4
        dmean = g * diff * jnp.exp(-both) / eighth
        dboth = g / 2
        if slip != "mean variance in the square":
            dboth = dboth - g * diff**2 * jnp.exp(-both) / 8
        first = jax.nn.sigmoid(logvar1 - logvar2)
        own = 0 if slip == "own variance" else g / 4
        return dmean, dboth * first - own, -dmean, dboth * (1 - first) - g / 4

    distance.defvjp(fwd, bwd)
    return distance, distance.fun

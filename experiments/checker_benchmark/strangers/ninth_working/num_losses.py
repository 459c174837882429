"""Losses of regression, agreement and pairs."""

import jax
import jax.numpy as jnp

from experiments.checker_benchmark.strangers.record import (
    Stranger,
    Twin,
    collect,
    integers,
    normal,
    positive,
)

CASES: list[Stranger] = []
case = collect(CASES)


def robust(alpha):
    def args(rng):
        return 2 * normal(rng, 4, 3), normal(rng, 3, std=0.5), alpha

    return args


@case(
    "Barron's general robust loss (robust_loss_jax) with a scale per channel",
    "robust loss with an exponent",
    robust(1.0),
    Twin(
        "power not lowered",
        "power|function|factor",
        "x scale",
        "The derivative of the power keeps its exponent.",
    ),
    Twin(
        "exponent of zero",
        "option|function|term",
        "x scale",
        "For alpha 0 the logarithm is pulled back as the squares of alpha 2.",
        witness=robust(0.0),
    ),
    Twin(
        "one scale",
        "sum|axis|ratio",
        "scale",
        "The scale's gradient is averaged over the rows.",
    ),
)
def barron_loss(slip):
    def ratio(x, scale):
        return x / (jax.nn.softplus(scale) + 1e-3)

    def plain(x, scale, alpha):
        half = jnp.square(ratio(x, scale)) / 2
        if alpha == 2:
            rho = half
        elif alpha == 0:
            rho = jnp.log1p(half)
        elif alpha == -jnp.inf:
            rho = -jnp.expm1(-half)
        else:
            a = abs(alpha - 2)
            rho = a / alpha * ((2 * half / a + 1) ** (alpha / 2) - 1)
        return rho + jnp.log(jax.nn.softplus(scale) + 1e-3)

    loss = jax.custom_vjp(plain, nondiff_argnums=(2,))

    def fwd(x, scale, alpha):
        return plain(x, scale, alpha), (x, scale)

    def bwd(alpha, res, g):
        x, scale = res
        width = jax.nn.softplus(scale) + 1e-3
        z = x / width
        if alpha == 2 or (alpha == 0 and slip == "exponent of zero"):
            weight = jnp.ones_like(z)
        elif alpha == 0:
            weight = 1 / (1 + z * z / 2)
        elif alpha == -jnp.inf:
            weight = jnp.exp(-z * z / 2)
        else:
            less = 0 if slip == "power not lowered" else 1
            weight = (z * z / abs(alpha - 2) + 1) ** (alpha / 2 - less)
        dx = g * z * weight / width
        dwidth = (g / width - dx * z).reshape(-1, *scale.shape)
        dwidth = dwidth.mean(0) if slip == "one scale" else dwidth.sum(0)
        return dx, dwidth * jax.nn.sigmoid(scale)

    loss.defvjp(fwd, bwd)
    return loss, plain


def flows(rng):
    seen = jnp.asarray(rng.uniform(size=11) < 0.8).at[:3].set(True)
    return positive(rng, 11), positive(rng, 11), seen, (1.0, 0.5, 2.0)


@case(
    "Kling-Gupta efficiency of hydrological models in JAX",
    "loss of agreement with a mask",
    flows,
    Twin(
        "gaps",
        "mask",
        "simulated",
        "Steps without an observation get a gradient.",
    ),
    Twin(
        "spread of the simulation",
        "term|quotient",
        "simulated",
        "In the correlation the simulation's own spread is held.",
    ),
    Twin(
        "weights of the parts",
        "factor|swap|option",
        "simulated observed",
        "The part of the bias is weighted as that of the correlation.",
    ),
)
def kling_gupta_loss(slip):
    def moments(x, seen):
        count = jnp.maximum(seen.sum(), 1).astype(x.dtype)
        mean = jnp.where(seen, x, 0).sum() / count
        centred = jnp.where(seen, x - mean, 0)
        return mean, centred, jnp.sqrt((centred**2).sum() / count + 1e-4), count

    def parts(simulated, observed, seen):
        ms, cs, ss, count = moments(simulated, seen)
        mo, co, so, _ = moments(observed, seen)
        r = (cs * co).sum() / count / (ss * so)
        return r, ss / so, (ms - mo) / so

    def plain(simulated, observed, seen, weights):
        r, spread, bias = parts(simulated, observed, seen)
        a, b, c = weights
        total = a * (r - 1) ** 2 + b * (spread - 1) ** 2 + c * bias**2
        return jnp.sqrt(total + 1e-6)

    loss = jax.custom_vjp(plain, nondiff_argnums=(3,))

    def fwd(simulated, observed, seen, weights):
        value = plain(simulated, observed, seen, weights)
        return value, (simulated, observed, seen, value)

    def bwd(weights, res, g):
        simulated, observed, seen, value = res
        a, b, c = weights
        r, spread, bias = parts(simulated, observed, seen)
        _, cs, ss, count = moments(simulated, seen)
        _, co, so, _ = moments(observed, seen)
        g = g / value
        dr, dspread = g * a * (r - 1), g * b * (spread - 1)
        dbias = g * (a if slip == "weights of the parts" else c) * bias
        along = 0 if slip == "spread of the simulation" else r
        ds = dr * (co / so - along * cs / ss) / ss + dspread * cs / ss / so + dbias / so
        do = dr * (cs / ss - r * co / so) - (dspread * spread + dbias * bias) * co / so
        ds, do = ds / count, (do - dbias) / so / count
        if slip != "gaps":
            ds = jnp.where(seen, ds, 0)
        return ds, jnp.where(seen, do, 0), None

    loss.defvjp(fwd, bwd)
    return loss, plain


def agreements(rng):
    x = normal(rng, 3, 8)
    return x, 0.7 * x + normal(rng, 3, 8, mean=0.4, std=0.5)


@case(
    "concordance correlation (Lin) of emotion recognition in optax-style losses",
    "loss of agreement by rows",
    agreements,
    Twin(
        "shift",
        "term",
        "pred target",
        "The distance of the means in the denominator is held.",
    ),
    Twin(
        "uncentred",
        "operand|residual|term",
        "pred target",
        "The covariance is pulled back with the other series itself, not centred.",
    ),
    Twin(
        "squared denominator",
        "quotient|power|factor",
        "pred target",
        "The quotient rule divides by the denominator once.",
    ),
)
def concordance_correlation_loss(slip):
    def parts(pred, target):
        cp = pred - pred.mean(-1, keepdims=True)
        ct = target - target.mean(-1, keepdims=True)
        shift = (pred - target).mean(-1, keepdims=True)
        top = 2 * (cp * ct).mean(-1, keepdims=True)
        under = (cp * cp + ct * ct).mean(-1, keepdims=True) + shift**2 + 1e-5
        return cp, ct, shift, top, under

    @jax.custom_vjp
    def loss(pred, target):
        *_, top, under = parts(pred, target)
        return 1 - (top / under)[..., 0]

    def fwd(pred, target):
        return loss.fun(pred, target), (pred, target)

    def bwd(res, g):
        pred, target = res
        cp, ct, shift, top, under = parts(pred, target)
        scale = -2 * g[..., None] / pred.shape[-1]
        ratio = top / under
        if slip != "squared denominator":
            ratio = ratio / under
        apart = 0 if slip == "shift" else shift
        of_p, of_t = (pred, target) if slip == "uncentred" else (cp, ct)
        dpred = scale * (of_t / under - ratio * (cp + apart))
        dtarget = scale * (of_p / under - ratio * (ct - apart))
        return dpred, dtarget

    loss.defvjp(fwd, bwd)
    return loss, loss.fun


def pairs(rng):
    return normal(rng, 5, 3), normal(rng, 5, 3), integers(rng, 3, 5), 0.02


@case(
    "n-pairs loss of tensorflow-addons in JAX ports",
    "metric loss of pairs",
    pairs,
    Twin(
        "transposed",
        "transpose",
        "positives",
        "The cotangent of the similarities is not transposed for the positives.",
    ),
    Twin(
        "first of its class",
        "duplicates|sum|ratio",
        "anchors positives",
        "Of equal labels each counts in full, as if the targets were not normalised.",
    ),
    Twin(
        "penalty",
        "factor|ratio",
        "anchors",
        "The penalty of the anchors' lengths lacks its factor of two.",
    ),
)
def n_pair_loss(slip):
    def targets(labels, dtype):
        same = (labels[:, None] == labels).astype(dtype)
        return same, same.sum(-1, keepdims=True)

    def plain(anchors, positives, labels, penalty):
        logits = anchors @ positives.T
        same, count = targets(labels, logits.dtype)
        nll = -(same / count * jax.nn.log_softmax(logits)).sum(-1).mean()
        lengths = (anchors**2).sum(-1).mean() + (positives**2).sum(-1).mean()
        return nll + penalty * lengths

    loss = jax.custom_vjp(plain, nondiff_argnums=(3,))

    def fwd(anchors, positives, labels, penalty):
        return plain(anchors, positives, labels, penalty), (anchors, positives, labels)

    def bwd(penalty, res, g):
        anchors, positives, labels = res
        n = len(labels)
        p = jax.nn.softmax(anchors @ positives.T)
        same, count = targets(labels, p.dtype)
        wanted = same if slip == "first of its class" else same / count
        dlogits = g / n * (p - wanted)
        back = dlogits if slip == "transposed" else dlogits.T
        twice = 1 if slip == "penalty" else 2
        danchors = dlogits @ positives + g * twice * penalty / n * anchors
        return danchors, back @ anchors + g * 2 * penalty / n * positives, None

    loss.defvjp(fwd, bwd)
    return loss, plain

"""Activations with branches and learned parameters, as small networks use them."""

import jax
import jax.numpy as jnp
from jax import lax

from experiments.checker_benchmark.strangers.record import (
    Stranger,
    Twin,
    collect,
    draw,
    normal,
)

CASES: list[Stranger] = []
case = collect(CASES)


def spread(rng):
    return normal(rng, 6, 5, std=3.0), normal(rng, 5)


@case(
    "hard swish with a bias in MobileNetV3 ports to flax",
    "activation",
    spread,
    Twin(
        "open below",
        "mask|region|predicate",
        "x bias",
        "The flat part below -3 gets the slope of the parabola.",
    ),
    Twin(
        "gate alone",
        "term|factor",
        "x bias",
        "The product rule lacks the gate's own slope.",
    ),
    Twin(
        "mean of the batch",
        "sum|ratio|factor",
        "bias",
        "The bias gets the mean over the rows.",
    ),
)
def hardswish(slip):
    def gate(h):
        return jnp.where(h <= -3, 0, jnp.where(h >= 3, 1, h / 6 + 0.5))

    @jax.custom_vjp
    def act(x, bias):
        h = x + bias
        return h * gate(h)

    def fwd(x, bias):
        h = x + bias
        return h * gate(h), h

    def bwd(h, g):
        middle = h / 6 + 0.5 if slip == "gate alone" else h / 3 + 0.5
        slope = jnp.where(h >= 3, 1, middle)
        if slip != "open below":
            slope = jnp.where(h <= -3, 0, slope)
        dh = g * slope
        return dh, dh.mean(0) if slip == "mean of the batch" else dh.sum(0)

    act.defvjp(fwd, bwd)
    return act, act.fun


def four_curves(rng):
    ends = {
        "left": normal(rng, 4, mean=-0.5, std=0.2),
        "right": normal(rng, 4, mean=0.6, std=0.2),
        "slope_left": normal(rng, 4, mean=0.2, std=0.1),
        "slope_right": normal(rng, 4, mean=0.7, std=0.1),
    }
    return normal(rng, 7, 4), ends


@case(
    "S-shaped ReLU in keras-contrib and its ports",
    "activation with four learned parameters",
    four_curves,
    Twin(
        "threshold moves",
        "term|factor",
        "params",
        "The right threshold's gradient lacks minus the slope.",
    ),
    Twin(
        "from zero",
        "term|operand|ratio",
        "params",
        "The right slope is multiplied by x, not by its distance to the threshold.",
    ),
    Twin(
        "slopes exchanged",
        "swap|operand|ratio",
        "x",
        "The outer parts of x get each other's slopes.",
    ),
)
def srelu(slip):
    def parts(x, p):
        above = x >= p["right"]
        return above, (x <= p["left"]) & ~above

    @jax.custom_vjp
    def act(x, params):
        above, below = parts(x, params)
        high = params["right"] + params["slope_right"] * (x - params["right"])
        low = params["left"] + params["slope_left"] * (x - params["left"])
        return jnp.where(above, high, jnp.where(below, low, x))

    def fwd(x, params):
        return act.fun(x, params), (x, params)

    def bwd(res, g):
        x, p = res
        above, below = parts(x, p)
        high, low = jnp.where(above, g, 0), jnp.where(below, g, 0)
        one, two = p["slope_right"], p["slope_left"]
        if slip == "slopes exchanged":
            one, two = two, one
        dx = jnp.where(above, g * one, jnp.where(below, g * two, g))
        share = 1 if slip == "threshold moves" else 1 - p["slope_right"]
        start = 0 if slip == "from zero" else p["right"]
        dparams = {
            "left": (low * (1 - p["slope_left"])).sum(0),
            "right": (high * share).sum(0),
            "slope_left": (low * (x - p["left"])).sum(0),
            "slope_right": (high * (x - start)).sum(0),
        }
        return dx, dparams

    act.defvjp(fwd, bwd)
    return act, act.fun


def star(rng):
    return normal(rng, 3, 4, 5), {"scale": normal(rng, mean=0.9), "bias": normal(rng)}


@case(
    "StarReLU of MetaFormer baselines in timm ports",
    "activation with a pytree of scalars",
    star,
    Twin(
        "two forgotten",
        "factor|ratio",
        "x",
        "The square's factor of two is missing.",
    ),
    Twin(
        "from the output",
        "term|residual|operand",
        "params",
        "The scale's gradient takes the output over the scale, bias and all.",
    ),
    Twin(
        "bias of active ones",
        "mask|region",
        "params",
        "The bias gets the cotangent of the positive entries alone.",
    ),
)
def star_relu(slip):
    @jax.custom_vjp
    def act(x, params):
        return params["scale"] * jnp.where(x > 0, x, 0) ** 2 + params["bias"]

    def fwd(x, params):
        return act.fun(x, params), (jnp.where(x > 0, x, 0), params)

    def bwd(res, g):
        r, params = res
        scale, bias = params["scale"], params["bias"]
        two = 1 if slip == "two forgotten" else 2
        square = r * r + bias if slip == "from the output" else r * r
        shown = jnp.where(r > 0, g, 0) if slip == "bias of active ones" else g
        return two * scale * r * g, {"scale": (g * square).sum(), "bias": shown.sum()}

    act.defvjp(fwd, bwd)
    return act, act.fun


@case(
    "inverse square root linear unit in keras addons, its curvature learned",
    "activation with a learned curvature",
    draw(x=(8, 3), log_alpha=(3,)),
    Twin(
        "root not cubed",
        "factor|function|ratio",
        "x",
        "Negative entries are multiplied by the root, not by its cube.",
    ),
    Twin(
        "both sides",
        "mask|region",
        "log_alpha",
        "The curvature gets gradient from the identity's side.",
    ),
    Twin(
        "alpha itself",
        "factor|ratio|function",
        "log_alpha",
        "The gradient is that of alpha, not of its logarithm.",
    ),
)
def inverse_sqrt_unit(slip):
    def root(x, log_alpha):
        return lax.rsqrt(1 + jnp.exp(log_alpha) * x * x)

    @jax.custom_vjp
    def act(x, log_alpha):
        return jnp.where(x >= 0, x, x * root(x, log_alpha))

    def fwd(x, log_alpha):
        return act.fun(x, log_alpha), (x, log_alpha)

    def bwd(res, g):
        x, log_alpha = res
        r = root(x, log_alpha)
        slope = r if slip == "root not cubed" else r**3
        dx = g * jnp.where(x >= 0, 1, slope)
        bend = -0.5 * x * r * (x * r) ** 2
        if slip != "alpha itself":
            bend = bend * jnp.exp(log_alpha)
        if slip != "both sides":
            bend = jnp.where(x >= 0, 0, bend)
        return dx, (g * bend).sum(0)

    act.defvjp(fwd, bwd)
    return act, act.fun


@case(
    "channel-wise soft thresholds of deep residual shrinkage networks",
    "activation with thresholds from the data",
    draw(x=(2, 7, 4), logit=(2, 4)),
    Twin(
        "threshold constant",
        "term|path",
        "x",
        "The threshold's own dependence on x is left out.",
    ),
    Twin(
        "sign of the entry",
        "sign",
        "logit x",
        "The threshold is pulled back as if all entries were positive.",
    ),
    Twin(
        "share for slope",
        "factor|function|ratio",
        "logit",
        "The sigmoid's derivative is its value.",
    ),
)
def residual_shrinkage(slip):
    def threshold(x, logit):
        size = jnp.abs(x).mean(1)
        return size, jax.nn.sigmoid(logit)

    @jax.custom_vjp
    def shrink(x, logit):
        size, share = threshold(x, logit)
        over = jnp.abs(x) - (size * share)[:, None]
        return jnp.sign(x) * jnp.where(over > 0, over, 0)

    def fwd(x, logit):
        y = shrink.fun(x, logit)
        return y, {"x": x, "logit": logit, "kept": y != 0}

    def bwd(res, g):
        x, logit = res["x"], res["logit"]
        size, share = threshold(x, logit)
        kept = jnp.where(res["kept"], g, 0)
        pull = kept if slip == "sign of the entry" else kept * jnp.sign(x)
        dt = -pull.sum(1)
        dx = kept
        if slip != "threshold constant":
            dx = dx + jnp.sign(x) * (dt * share)[:, None] / x.shape[1]
        slope = share if slip == "share for slope" else share * jax.nn.sigmoid(-logit)
        return dx, dt * size * slope

    shrink.defvjp(fwd, bwd)
    return shrink, shrink.fun

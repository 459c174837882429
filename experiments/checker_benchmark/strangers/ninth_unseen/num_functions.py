"""Activations and special functions in stable forms."""

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


def channels(rng):
    return normal(rng, 4, 3), normal(rng, 3, std=0.5)


@case(
    "penalised tanh in flax models, its slope learned",
    "activation with learned slopes",
    channels,
    Twin(
        "slope everywhere",
        "mask|region",
        "slope",
        "Positive entries contribute to the gradient of the slope.",
    ),
    Twin(
        "output for the function",
        "residual|operand|function",
        "x",
        "The derivative of tanh is computed from the output, which has the slope in.",
    ),
)
def penalised_tanh(slip):
    @jax.custom_vjp
    def act(x, slope):
        return jnp.tanh(x) * jnp.where(x > 0, jnp.ones_like(slope), slope)

    def fwd(x, slope):
        return act.fun(x, slope), (x, slope)

    def bwd(res, g):
        x, slope = res
        t = jnp.tanh(x)
        part = jnp.where(x > 0, jnp.ones_like(slope), slope)
        out = t * part if slip == "output for the function" else t
        dx = g * part * (1 - out) * (1 + out)
        dslope = g * t if slip == "slope everywhere" else jnp.where(x > 0, 0, g * t)
        return dx, dslope.reshape(-1, *slope.shape).sum(0)

    act.defvjp(fwd, bwd)
    return act, act.fun


@case(
    "inverse square root unit (ISRU) in haiku models",
    "activation with learned parameters",
    channels,
    Twin(
        "root once",
        "power|factor",
        "x",
        "The derivative is the inverse root itself, not its cube.",
    ),
    Twin(
        "raw parameter",
        "factor|path|ratio",
        "raw",
        "The softplus of the raw parameter is not pulled back.",
    ),
    Twin(
        "half of the root",
        "factor|ratio",
        "raw",
        "The half of the root's derivative is left out.",
    ),
)
def isru_activation(slip):
    def plain(x, raw):
        return x * jax.lax.rsqrt(1 + jax.nn.softplus(raw) * x * x)

    act = jax.custom_vjp(plain)

    def fwd(x, raw):
        y = plain(x, raw)
        return y, {"x": x, "raw": raw, "y": y}

    def bwd(res, g):
        x, raw, y = res["x"], res["raw"], res["y"]
        root = jax.lax.rsqrt(1 + jax.nn.softplus(raw) * x * x)
        dx = g * (root if slip == "root once" else root**3)
        half = 1.0 if slip == "half of the root" else 0.5
        dalpha = (-half * g * y**3).reshape(-1, *raw.shape).sum(0)
        return dx, dalpha if slip == "raw parameter" else dalpha * jax.nn.sigmoid(raw)

    act.defvjp(fwd, bwd)
    return act, plain


def dense(rng):
    params = {"kernel": normal(rng, 3, 4), "bias": normal(rng, 4)}
    return params, normal(rng, 5, 3), 1.5


@case(
    "jax.nn.sparse_plus after a dense layer",
    "dense layer with an activation",
    dense,
    Twin(
        "sharpness",
        "option|factor|ratio",
        "params x",
        "The slope is taken at the sum itself, not at the sum times the sharpness.",
    ),
    Twin(
        "linear part",
        "region|mask|function",
        "params x",
        "The quadratic part's slope goes on above one.",
    ),
    Twin(
        "mean over the batch",
        "sum|ratio|factor",
        "params",
        "The bias gets the mean of the batch.",
    ),
)
def sparse_plus(slip):
    def plain(params, x, sharpness):
        z = sharpness * (x @ params["kernel"] + params["bias"])
        middle = jnp.square(jnp.clip(z, -1, 1) + 1) / 4
        return jnp.where(z < 1, middle, z) / sharpness

    layer = jax.custom_vjp(plain, nondiff_argnums=(2,))

    def fwd(params, x, sharpness):
        return plain(params, x, sharpness), (params, x)

    def bwd(sharpness, res, g):
        params, x = res
        z = x @ params["kernel"] + params["bias"]
        z = z if slip == "sharpness" else sharpness * z
        most = None if slip == "linear part" else 1
        dz = g * jnp.clip((z + 1) / 2, 0, most)
        db = dz.mean(0) if slip == "mean over the batch" else dz.sum(0)
        return {"kernel": x.T @ dz, "bias": db}, dz @ params["kernel"].T

    layer.defvjp(fwd, bwd)
    return layer, plain


def angles(rng):
    return (2 * normal(rng, 3, 4),)


@case(
    "Gudermannian as a bijector in tensorflow-probability on JAX",
    "transform with two outputs",
    angles,
    Twin(
        "log-determinant",
        "sign|term",
        "x",
        "The log-determinant is pulled back as the logarithm of cosh, not of 1/cosh.",
    ),
    Twin(
        "half angle",
        "factor|function|operand",
        "x",
        "The slope is taken at half of the argument.",
    ),
    Twin(
        "one for all",
        "axis|sum|duplicates|index",
        "x",
        "The row's log-determinant is given to its first entry.",
    ),
)
def gudermannian(slip):
    def plain(x):
        y = 2 * jnp.arctan(jnp.tanh(x / 2))
        far = jnp.abs(x)
        return y, -(far + jnp.log1p(jnp.exp(-2 * far)) - jnp.log(2.0)).sum(-1)

    gd = jax.custom_vjp(plain)

    def fwd(x):
        return plain(x), x

    def bwd(x, cts):
        dy, dlog = cts
        far = jnp.abs(x / 2 if slip == "half angle" else x)
        slope = 2 * jnp.exp(-far) / (1 + jnp.exp(-2 * far))
        down = dlog[..., None] * jnp.tanh(x)
        if slip == "log-determinant":
            down = -down
        if slip == "one for all":
            down = down.at[..., 1:].set(0)
        return (dy * slope - down,)

    gd.defvjp(fwd, bwd)
    return gd, plain


def scales(small=False):
    def args(rng):
        y = positive(rng, 6, low=0.05, high=3)
        return (y.at[2].set(-0.5) if small else y), 2.0

    return args


@case(
    "tfp.math.softplus_inverse with a sharpness, of GPJax's constraints",
    "inverse of an activation",
    scales(),
    Twin(
        "the softplus's own slope",
        "function|ratio",
        "y",
        "The slope is that of softplus instead of its inverse.",
    ),
    Twin(
        "below the floor",
        "mask|region|edge",
        "y",
        "Values below the floor get the gradient of the floor.",
        witness=scales(small=True),
    ),
    Twin(
        "sharpness",
        "option|factor|ratio",
        "y",
        "The sharpness is left out of the slope.",
    ),
)
def softplus_inverse(slip):
    floor = 1e-3

    def plain(y, sharpness):
        y = jnp.maximum(y, floor)
        return y + jnp.log(-jnp.expm1(-sharpness * y)) / sharpness

    inverse = jax.custom_vjp(plain, nondiff_argnums=(1,))

    def fwd(y, sharpness):
        return plain(y, sharpness), y

    def bwd(sharpness, y, g):
        safe = jnp.maximum(y, floor)
        z = safe if slip == "sharpness" else sharpness * safe
        slope = -jnp.expm1(-z)
        dy = g * slope if slip == "the softplus's own slope" else g / slope
        return (dy if slip == "below the floor" else jnp.where(y > floor, dy, 0),)

    inverse.defvjp(fwd, bwd)
    return inverse, plain

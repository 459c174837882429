"""Steps of optimisers, accumulated gradients, guarded ratios."""

import math

import jax
import jax.numpy as jnp
from jax import lax

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


def expm1_series(x, derivative):
    """Of (e^x - 1) / x, or of its derivative, for |x| < 1/2."""
    y = jnp.zeros_like(x)
    for k in range(15, -1, -1):
        term = (k + 1) / math.factorial(k + 2) if derivative else 0
        y = y * x + (term or 1 / math.factorial(k + 1))
    return y


@case(
    "guarded ratios of exponential integrators, as in diffrax and optimistix",
    "elementwise with a guard",
    draw(x=(4, 3)),
    Twin(
        "zero at the origin",
        "edge|zero|region|mask|predicate|nan",
        "x",
        "Where x is 0 the guard's constant has no slope; it should be 1/2.",
        witness=lambda rng: (normal(rng, 4, 3).at[0, 0].set(0.0),),
    ),
    Twin(
        "series' coefficient",
        "region|function|constant|ratio|factor",
        "x",
        "Near 0 the slope is 1/2 + x/6, whose coefficient is half of what it should.",
        witness=lambda rng: (normal(rng, 4, 3, std=0.2),),
    ),
    Twin(
        "denominator",
        "term|path|function",
        "x",
        "The denominator is held fixed.",
    ),
)
def expm1_ratio(slip):
    @jax.custom_vjp
    def ratio(x):
        near = jnp.abs(x) < 0.5
        far = jnp.where(near, 1, x)
        return jnp.where(near, expm1_series(x, False), jnp.expm1(far) / far)

    def fwd(x):
        return ratio.fun(x), x

    def bwd(x, g):
        near = jnp.abs(x) < 0.5
        far = jnp.where(near, 1, x)
        slope = (jnp.exp(far) * (far - 1) + 1) / (far * far)
        if slip == "denominator":
            return (g * jnp.exp(x) / jnp.where(x == 0, 1, x),)
        inner = expm1_series(jnp.where(near, x, 0), True)
        if slip == "series' coefficient":
            inner = inner - x / 6
        slope = jnp.where(near, inner, slope)
        if slip == "zero at the origin":
            slope = jnp.where(x == 0, 0, slope)
        return (g * slope,)

    ratio.defvjp(fwd, bwd)
    return ratio, ratio.fun


def fourth_step(rng):
    params = {"w": normal(rng, 3, 2), "b": jnp.zeros(2, jnp.float32)}
    grads = {"w": normal(rng, 3, 2), "b": normal(rng, 2)}
    mu = jax.tree.map(lambda p: normal(rng, *p.shape, std=0.1), params)
    nu = jax.tree.map(lambda p: positive(rng, *p.shape), params)
    return params, grads, mu, nu, jnp.int32(3), (0.01, 0.9, 0.999, 1e-8)


def small_gradients(rng):
    *given, count, config = fourth_step(rng)
    params, grads, mu, nu = given
    grads, mu = jax.tree.map(lambda g: 0.1 * g, (grads, mu))
    return params, grads, mu, jax.tree.map(lambda v: 0.01 * v, nu), count, config


@case(
    "one step of Adam as a layer, in meta-learning with optax",
    "optimiser's step with pytrees",
    fourth_step,
    Twin(
        "second moment",
        "term|path",
        "grads nu",
        "The step's scale is held fixed.",
        witness=small_gradients,
    ),
    Twin(
        "bias correction",
        "ratio|factor|constant|operand",
        "grads mu",
        "The first moment's correction is left out.",
    ),
    Twin(
        "count before the step",
        "index|ratio|factor|residual|operand|constant|edge",
        "grads mu nu",
        "Corrections are those of the step before.",
    ),
    fixed=(3, 4),
    narrow=False,
)
def adam_step(slip):
    def corrections(count, decays, dtype):
        """1 - b^t for both, without cancellation for a b near 1."""
        t = count.astype(dtype)
        return [-jnp.expm1(t * math.log(b)) for b in decays]

    def plain(params, grads, mu, nu, count, config):
        rate, b1, b2, eps = config
        mu = jax.tree.map(lambda m, g: b1 * m + (1 - b1) * g, mu, grads)
        nu = jax.tree.map(lambda v, g: b2 * v + (1 - b2) * g * g, nu, grads)

        def moved(p, m, v):
            c1, c2 = corrections(count + 1, (b1, b2), p.dtype)
            return p - rate * (m / c1) / (jnp.sqrt(v / c2 + eps) + eps)

        return jax.tree.map(moved, params, mu, nu), mu, nu

    step = jax.custom_vjp(plain, nondiff_argnums=(5,))

    def fwd(params, grads, mu, nu, count, config):
        out = plain(params, grads, mu, nu, count, config)
        return out, (grads, out[1], out[2], count)

    def bwd(config, res, given):
        rate, b1, b2, eps = config
        grads, mu, nu, count = res
        after = count if slip == "count before the step" else count + 1

        def leaf(g, m, v, dp, dm, dv):
            c1, c2 = corrections(after, (b1, b2), g.dtype)
            root = jnp.sqrt(v / c2 + eps)
            scale = root + eps
            dv = dv + (
                0
                if slip == "second moment"
                else rate * dp * (m / c1) / (2 * root * scale * scale * c2)
            )
            dm = dm - rate * dp / (scale if slip == "bias correction" else scale * c1)
            return (1 - b1) * dm + 2 * (1 - b2) * g * dv, b1 * dm, b2 * dv

        dparams, dmu, dnu = given
        found = jax.tree.map(leaf, grads, mu, nu, dparams, dmu, dnu)
        whole, each = jax.tree.structure(grads), jax.tree.structure((0, 0, 0))
        dgrads, dmu, dnu = jax.tree.transpose(whole, each, found)
        return dparams, dgrads, dmu, dnu, None

    step.defvjp(fwd, bwd)
    return step, plain


def network(params, x):
    return jnp.tanh(x @ params["in"]) @ params["out"]


def batches(rng):
    params = {"in": normal(rng, 3, 4), "out": normal(rng, 4, 2)}
    return network, params, normal(rng, 6, 3), normal(rng, 6, 2), 3


@case(
    "gradients accumulated over micro-batches in the forward pass of a loss",
    "loss of a function argument",
    batches,
    Twin(
        "cotangent",
        "cotangent|factor|ratio",
        "params x y",
        "What was accumulated is returned as it is.",
    ),
    Twin(
        "number of micro-batches",
        "ratio|factor",
        "params",
        "Gradients of the parameters are summed, not averaged.",
    ),
    Twin("targets", "zero|path", "y", "Targets are given zeros."),
)
def gradient_accumulation(slip):
    def plain(apply, params, x, y, steps):
        return ((apply(params, x) - y) ** 2).mean()

    loss = jax.custom_vjp(plain, nondiff_argnums=(0, 4))

    def fwd(apply, params, x, y, steps):
        def micro(carry, batch):
            def of(params, batch):
                return plain(apply, params, *batch, 1)

            value, grads = jax.value_and_grad(of, (0, 1))(params, batch)
            return jax.tree.map(jnp.add, carry, (value, grads[0])), grads[1]

        parts = jax.tree.map(lambda a: a.reshape(steps, -1, *a.shape[1:]), (x, y))
        none = jnp.zeros((), x.dtype), jax.tree.map(jnp.zeros_like, params)
        (value, dparams), given = lax.scan(micro, none, parts)
        if slip != "number of micro-batches":
            dparams = jax.tree.map(lambda d: d / steps, dparams)
        dx, dy = (
            d.reshape(a.shape) / steps for d, a in zip(given, (x, y), strict=True)
        )
        return value / steps, (dparams, dx, dy)

    def bwd(apply, steps, res, g):
        if slip == "cotangent":
            return res
        dparams, dx, dy = jax.tree.map(lambda d: g * d, res)
        return dparams, dx, jnp.zeros_like(dy) if slip == "targets" else dy

    loss.defvjp(fwd, bwd)
    return loss, plain

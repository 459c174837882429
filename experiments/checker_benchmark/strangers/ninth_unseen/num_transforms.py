"""Transforms onto constrained sets, and a linear recursion."""

import jax
import jax.numpy as jnp
from jax import lax

from experiments.checker_benchmark.strangers.record import (
    Stranger,
    Twin,
    collect,
    normal,
)

CASES: list[Stranger] = []
case = collect(CASES)


def free_effects(rng):
    return normal(rng, 3, 4), 0


@case(
    "ZeroSumTransform in numpyro",
    "transform to entries that sum to zero",
    free_effects,
    Twin(
        "size without the last",
        "factor|ratio|index",
        "x",
        "The norm is made of the free entries' number, without the one that is added.",
    ),
    Twin(
        "last entry",
        "term|sum",
        "x",
        "The entry that makes the sum zero is not pulled back.",
    ),
    Twin(
        "other axis",
        "axis|option|transpose",
        "x",
        "The sum of the cotangent runs over the last axis whatever was asked for.",
    ),
)
def zero_sum_transform(slip):
    def plain(x, axis):
        n = x.shape[axis] + 1
        total = x.sum(axis, keepdims=True)
        inner = x - total / (n**0.5 + n)
        return jnp.concatenate([inner, -total / n**0.5], axis)

    transform = jax.custom_vjp(plain, nondiff_argnums=(1,))

    def fwd(x, axis):
        return plain(x, axis), None

    def bwd(axis, res, g):
        size = g.shape[axis] - 1
        n = size if slip == "size without the last" else size + 1
        inner = lax.slice_in_dim(g, 0, size, axis=axis)
        last = lax.slice_in_dim(g, size, None, axis=axis)
        over = -1 if slip == "other axis" else axis
        dx = inner - inner.sum(over, keepdims=True) / (n**0.5 + n)
        return (dx if slip == "last entry" else dx - last / n**0.5,)

    transform.defvjp(fwd, bwd)
    return transform, plain


def innovations(rng):
    return normal(rng, 2, 6, 3), normal(rng, 3, 3, std=0.4)


@case(
    "RecursiveLinearTransform in numpyro",
    "linear recurrence",
    innovations,
    Twin(
        "transition transposed",
        "transpose",
        "x transition",
        "The adjoint is carried back by the transition itself.",
    ),
    Twin(
        "state of the same time",
        "index|residual|operand",
        "transition",
        "The transition's gradient pairs the adjoint with the state after the step.",
    ),
    Twin(
        "one series",
        "sum|ratio|axis",
        "transition",
        "The transition's gradient is the mean over the series, not their sum.",
    ),
)
def recursive_linear_transform(slip):
    def plain(x, transition):
        def step(y, x):
            y = y @ transition.T + x
            return y, y

        _, ys = lax.scan(step, jnp.zeros_like(x[:, 0]), x.swapaxes(0, 1))
        return ys.swapaxes(0, 1)

    transform = jax.custom_vjp(plain)

    def fwd(x, transition):
        y = plain(x, transition)
        return y, (y, transition)

    def bwd(res, g):
        y, transition = res
        back = transition.T if slip == "transition transposed" else transition

        def step(later, g):
            now = g + later @ back
            return now, now

        start = jnp.zeros_like(g[:, 0])
        _, adjoint = lax.scan(step, start, g.swapaxes(0, 1), reverse=True)
        dx = adjoint.swapaxes(0, 1)
        before = jnp.pad(y, ((0, 0), (1, 0), (0, 0)))[:, :-1]
        if slip == "state of the same time":
            before = y
        each = jnp.einsum("bti,btj->bij", dx, before)
        return dx, each.mean(0) if slip == "one series" else each.sum(0)

    transform.defvjp(fwd, bwd)
    return transform, plain


def bounds(rng):
    low, raw = normal(rng, 3, mean=-1.0, std=0.2), normal(rng, 3, mean=1.5, std=0.2)
    return 2 * normal(rng, 4, 3), low, raw, 0.5


@case(
    "SoftClip in tensorflow-probability on JAX, its bounds learned",
    "bijector with learned bounds",
    bounds,
    Twin(
        "bound in both",
        "term|path",
        "low",
        "The lower bound moves the upper one along, which is left out.",
    ),
    Twin(
        "normaliser",
        "term|quotient",
        "raw",
        "The width in the normalising softplus is held.",
    ),
    Twin(
        "hinge",
        "option|factor|ratio",
        "x low",
        "The slopes lack the division by the softness.",
    ),
)
def soft_clip_bijector(slip):
    def pieces(x, low, raw, hinge):
        width = (jax.nn.softplus(raw) + 0.1) / hinge
        above = (x - low) / hinge
        top = jax.nn.softplus(above) - jax.nn.softplus(above - width)
        return width, above, top, jax.nn.softplus(width)

    def plain(x, low, raw, hinge):
        width, _, top, under = pieces(x, low, raw, hinge)
        return low + hinge * width * top / under

    clip = jax.custom_vjp(plain, nondiff_argnums=(3,))

    def fwd(x, low, raw, hinge):
        return plain(x, low, raw, hinge), (x, low, raw)

    def bwd(hinge, res, g):
        x, low, raw = res
        width, above, top, under = pieces(x, low, raw, hinge)
        ratio = hinge * width / under
        first = jax.nn.sigmoid(above)
        second = jax.nn.sigmoid(above - width)
        dabove = g * ratio * (first - second)
        dx = dabove if slip == "hinge" else dabove / hinge
        moved = g * ratio * first / hinge if slip == "bound in both" else dx
        dwidth = hinge * top / under + ratio * second
        if slip != "normaliser":
            dwidth = dwidth - ratio * top / under * jax.nn.sigmoid(width)
        draw = g * dwidth * jax.nn.sigmoid(raw) / hinge
        return dx, *(a.reshape(-1, *low.shape).sum(0) for a in (g - moved, draw))

    clip.defvjp(fwd, bwd)
    return clip, plain


def free_points(rng):
    return (normal(rng, 3, 5, std=0.6),)


@case(
    "L1BallTransform in numpyro",
    "transform onto a ball",
    free_points,
    Twin(
        "what remains",
        "term|path",
        "x",
        "What an entry takes from the later ones is not pulled back.",
    ),
    Twin(
        "absolute value",
        "sign|function",
        "x",
        "The remainder shrinks with the size of an entry: the sign is lost.",
    ),
    Twin(
        "remainder after",
        "residual|index|factor",
        "x",
        "The remainder after the entry is saved instead of the one before it.",
    ),
)
def l1_ball_transform(slip):
    def run(x):
        t = jnp.tanh(jnp.moveaxis(x, -1, 0))

        def step(left, t):
            after = left * (1 - jnp.abs(t))
            return after, (t * left, left, after)

        _, (y, left, after) = lax.scan(step, jnp.ones_like(t[0]), t)
        return jnp.moveaxis(y, 0, -1), t, left, after

    @jax.custom_vjp
    def transform(x):
        return run(x)[0]

    def fwd(x):
        y, t, left, after = run(x)
        return y, (t, after if slip == "remainder after" else left)

    def bwd(res, g):
        def step(later, now):
            g, t, left = now
            way = jnp.ones_like(t) if slip == "absolute value" else jnp.sign(t)
            taken = 0 if slip == "what remains" else later * way
            dt = left * (g - taken)
            return g * t + later * (1 - jnp.abs(t)), dt * (1 - t) * (1 + t)

        g = jnp.moveaxis(g, -1, 0)
        _, dx = lax.scan(step, jnp.zeros_like(g[0]), (g, *res), reverse=True)
        return (jnp.moveaxis(dx, 0, -1),)

    transform.defvjp(fwd, bwd)
    return transform, transform.fun

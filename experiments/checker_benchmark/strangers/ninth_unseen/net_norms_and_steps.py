"""Normalisations with their statistics, and steps of optimisers that are unrolled."""

import jax
import jax.numpy as jnp

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


@case(
    "positional normalisation (PONO) that hands its moments on, in flax ports",
    "normalisation with three outputs",
    draw(x=(2, 3, 4, 5)),
    Twin(
        "mean not pulled back",
        "cotangent|term",
        "x",
        "The cotangent of the mean is ignored.",
    ),
    Twin(
        "spread as variance",
        "cotangent|factor|function|ratio",
        "x",
        "The cotangent of the spread is used as if it were the variance's.",
    ),
    Twin(
        "spread constant",
        "term|path",
        "x",
        "The normalised entries' part through the spread is left out.",
    ),
)
def positional_norm_moments(slip):
    def plain(x):
        mean = x.mean(-1, keepdims=True)
        std = jnp.sqrt(((x - mean) ** 2).mean(-1, keepdims=True) + 1e-5)
        return (x - mean) / std, mean, std

    norm = jax.custom_vjp(plain)

    def fwd(x):
        y, mean, std = plain(x)
        return (y, mean, std), (y, std)

    def bwd(res, g):
        y, std = res
        dy, dmean, dstd = g
        centred = dy - dy.mean(-1, keepdims=True)
        if slip != "spread constant":
            centred = centred - y * (dy * y).mean(-1, keepdims=True)
        each = dstd * y
        if slip == "spread as variance":
            each = 2 * std * each
        if slip != "mean not pulled back":
            each = each + dmean
        return (centred / std + each / y.shape[-1],)

    norm.defvjp(fwd, bwd)
    return norm, plain


def ghosts(rng):
    affine = {"scale": normal(rng, 3, mean=1.0, std=0.2), "shift": normal(rng, 3)}
    return normal(rng, 10, 3), affine, 4


@case(
    "ghost batch normalisation of TabNet, the last ghost smaller",
    "normalisation in parts of the batch",
    ghosts,
    Twin(
        "all ghosts the same size",
        "ratio|factor|edge",
        "x",
        "The last ghost's means are divided by the size of the others.",
    ),
    Twin(
        "whole batch",
        "sum|index|residual",
        "x",
        "The cotangent's means are taken over the batch.",
    ),
    Twin(
        "mean of the ghosts",
        "ratio|sum|factor",
        "params",
        "The scale gets the mean over the ghosts, not the sum.",
    ),
)
def ghost_batch_norm(slip):
    def grouped(x, size, like=None):
        ghost = jnp.arange(x.shape[0]) // size
        number = -(-x.shape[0] // size)
        count = jax.ops.segment_sum(jnp.ones(x.shape[0], x.dtype), ghost, number)
        if like is not None:
            count = jnp.full_like(count, like)
        sums = jax.ops.segment_sum(x, ghost, number)
        return (sums / count[:, None])[ghost]

    def normed(x, size):
        centred = x - grouped(x, size)
        std = jnp.sqrt(grouped(centred**2, size) + 1e-3)
        return centred / std, std

    def plain(x, params, size):
        return normed(x, size)[0] * params["scale"] + params["shift"]

    norm = jax.custom_vjp(plain, nondiff_argnums=(2,))

    def fwd(x, params, size):
        return plain(x, params, size), (x, params)

    def bwd(size, res, g):
        x, params = res
        y, std = normed(x, size)
        dy = g * params["scale"]

        def mean(a):
            if slip == "whole batch":
                return a.mean(0)
            return grouped(a, size, size if slip.startswith("all ghosts") else None)

        dx = (dy - mean(dy) - y * mean(dy * y)) / std
        dscale = (g * y).sum(0)
        if slip == "mean of the ghosts":
            dscale = dscale * size / len(x)
        return dx, {"scale": dscale, "shift": g.sum(0)}

    norm.defvjp(fwd, bwd)
    return norm, plain


def clipped_rows(rng):
    return normal(rng, 5, 4, std=2.0), normal(rng, 5, 4), 0.4


def small_weights(rng):
    return normal(rng, 5, 4, std=1e-5), normal(rng, 5, 4), 0.4


@case(
    "adaptive gradient clipping of NFNets in optax, differentiated by meta-learners",
    "gradient clipping by rows",
    clipped_rows,
    Twin(
        "length constant",
        "term|path",
        "grads",
        "The gradient's length is taken as a constant.",
    ),
    Twin(
        "all rows clipped",
        "mask|region|predicate",
        "grads params",
        "Rows that are short enough are pulled back as if they were clipped.",
    ),
    Twin(
        "floor ignored",
        "mask|region|edge",
        "params",
        "Weights shorter than the floor get a gradient.",
        witness=small_weights,
    ),
)
def agc_clip(slip):
    floor = 1e-3

    def length(x):
        square = (x * x).sum(-1, keepdims=True)
        return jnp.where(square > 0, jnp.sqrt(jnp.where(square > 0, square, 1)), 0)

    def parts(params, grads, most):
        size, long = length(params), length(grads)
        limit = most * jnp.where(size > floor, size, floor)
        over = long > limit
        return size, limit, over, jnp.where(over, long, 1)

    def plain(params, grads, most):
        _, limit, over, long = parts(params, grads, most)
        return jnp.where(over, grads * (limit / long), grads)

    clip = jax.custom_vjp(plain, nondiff_argnums=(2,))

    def fwd(params, grads, most):
        return plain(params, grads, most), (params, grads)

    def bwd(most, res, g):
        params, grads = res
        size, limit, over, long = parts(params, grads, most)
        if slip == "all rows clipped":
            over, long = jnp.ones_like(over), length(grads)
        unit = grads / long
        along = (unit * g).sum(-1, keepdims=True)
        side = g if slip == "length constant" else g - unit * along
        dgrads = jnp.where(over, limit / long * side, g)
        learns = over if slip == "floor ignored" else over & (size > floor)
        ray = params / jnp.where(size > 0, size, 1)
        return jnp.where(learns, most * along * ray, 0), dgrads

    clip.defvjp(fwd, bwd)
    return clip, plain


def adan(rng):
    state = {"m": normal(rng, 6), "v": normal(rng, 6), "n": positive(rng, 6)}
    return normal(rng, 6), state, normal(rng, 6), normal(rng, 6)


@case(
    "Adan in optax and timm, unrolled for learned learning rates",
    "optimiser's step with a pytree",
    adan,
    Twin(
        "difference's weight",
        "term|factor|operand",
        "grads previous",
        "In the second moment the gradient's difference is left out of the backward.",
    ),
    Twin(
        "sign of the previous",
        "sign",
        "previous",
        "The previous gradient enters its own moment with a plus.",
    ),
    Twin(
        "state before the step",
        "residual",
        "state grads previous",
        "The denominator is that of the second moment before the step.",
    ),
)
def adan_step(slip):
    lr, decay, b1, b2, b3 = 0.1, 0.02, 0.1, 0.3, 0.2

    def moments(state, grads, previous):
        jump = grads - previous
        look = grads + (1 - b2) * jump
        m = (1 - b1) * state["m"] + b1 * grads
        v = (1 - b2) * state["v"] + b2 * jump
        return look, m, v, (1 - b3) * state["n"] + b3 * look**2

    @jax.custom_vjp
    def step(params, state, grads, previous):
        _, m, v, n = moments(state, grads, previous)
        move = (m + (1 - b2) * v) / jnp.sqrt(n + 1e-6)
        return (params - lr * move) / (1 + lr * decay), {"m": m, "v": v, "n": n}

    def fwd(params, state, grads, previous):
        out = step.fun(params, state, grads, previous)
        return out, (state, grads, previous)

    def bwd(res, cot):
        state, grads, previous = res
        look, m, v, n = moments(state, grads, previous)
        if slip == "state before the step":
            n = state["n"]
        dparams = cot[0] / (1 + lr * decay)
        root = jnp.sqrt(n + 1e-6)
        dmove = -lr * dparams / root
        dm = cot[1]["m"] + dmove
        dv = cot[1]["v"] + (1 - b2) * dmove
        dn = cot[1]["n"] - dmove * (m + (1 - b2) * v) / (2 * root * root)
        dlook = 2 * b3 * dn * look
        djump = b2 * dv
        if slip != "difference's weight":
            djump = djump + (1 - b2) * dlook
        dstate = {"m": (1 - b1) * dm, "v": (1 - b2) * dv, "n": (1 - b3) * dn}
        dprevious = djump if slip == "sign of the previous" else -djump
        return dparams, dstate, b1 * dm + dlook + djump, dprevious

    step.defvjp(fwd, bwd)
    return step, step.fun

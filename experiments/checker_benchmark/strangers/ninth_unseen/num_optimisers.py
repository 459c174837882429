"""Steps of optimisers with a second moment that is kept, and clipped gradients."""

from typing import NamedTuple

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


class Moments(NamedTuple):
    first: jax.Array
    second: jax.Array
    largest: jax.Array


def weights_and_moments(rng):
    state = Moments(normal(rng, 3, 4), positive(rng, 3, 4), positive(rng, 3, 4))
    return normal(rng, 3, 4), normal(rng, 3, 4), state, 0.1


@case(
    "amsgrad in optax, unrolled for meta-learning",
    "optimiser's step with a kept maximum",
    weights_and_moments,
    Twin(
        "new moment never largest",
        "term|path|mask",
        "grad state",
        "The step is pulled back to the old maximum even where the new moment is more.",
    ),
    Twin(
        "root's derivative",
        "factor|power|ratio",
        "state",
        "The derivative of the root lacks its half.",
    ),
    Twin(
        "old first moment",
        "residual|operand",
        "state grad",
        "The first moment from before the update is saved.",
    ),
)
def amsgrad_step(slip):
    b1, b2, eps = 0.9, 0.8, 1e-4

    def plain(params, grad, state, rate):
        first = b1 * state.first + (1 - b1) * grad
        second = b2 * state.second + (1 - b2) * grad * grad
        largest = jnp.maximum(state.largest, second)
        moved = params - rate * first / jnp.sqrt(largest + eps)
        return moved, Moments(first, second, largest)

    step = jax.custom_vjp(plain, nondiff_argnums=(3,))

    def fwd(params, grad, state, rate):
        moved, new = plain(params, grad, state, rate)
        first = state.first if slip == "old first moment" else new.first
        kept = state.largest >= new.second
        return (moved, new), (grad, first, new.largest, kept)

    def bwd(rate, res, cts):
        grad, first, largest, kept = res
        dmoved, dnew = cts
        root = jnp.sqrt(largest + eps)
        dfirst = dnew.first - rate * dmoved / root
        half = 1.0 if slip == "root's derivative" else 0.5
        down = half * rate * first / root / (largest + eps)
        dlargest = dnew.largest + down * dmoved
        if slip == "new moment never largest":
            dsecond, dold = dnew.second, dlargest
        else:
            dsecond = dnew.second + jnp.where(kept, 0, dlargest)
            dold = jnp.where(kept, dlargest, 0)
        dgrad = (1 - b1) * dfirst + (1 - b2) * 2 * grad * dsecond
        return dmoved, dgrad, Moments(b1 * dfirst, b2 * dsecond, dold)

    step.defvjp(fwd, bwd)
    return step, plain


def two_layers(rng):
    params = {"w": normal(rng, 3, 2), "b": normal(rng, 2)}
    grads = {"w": normal(rng, 3, 2), "b": normal(rng, 2)}
    first = {"w": normal(rng, 3, 2), "b": normal(rng, 2)}
    second = {"w": positive(rng, 3, 2), "b": positive(rng, 2)}
    return params, grads, first, second, jnp.asarray(2, jnp.int32), 0.05


@case(
    "yogi in optax",
    "optimiser's step with pytrees and a count",
    two_layers,
    Twin(
        "always added",
        "sign|mask",
        "grads",
        "The square is pulled back as if it were always added to the second moment.",
    ),
    Twin(
        "uncorrected",
        "factor|ratio|term",
        "grads first",
        "The correction of the first moment by the count is left out.",
    ),
    Twin(
        "decayed",
        "factor|ratio",
        "second",
        "The second moment is pulled back with a decay, as in Adam.",
    ),
)
def yogi_step(slip):
    b1, b2, eps = 0.9, 0.7, 1e-3

    def corrections(count, dtype):
        t = count + 1
        return (1 - b1**t).astype(dtype), (1 - b2**t).astype(dtype)

    def one(p, g, m, v, count, rate):
        c1, c2 = corrections(count, p.dtype)
        m = b1 * m + (1 - b1) * g
        v = v - (1 - b2) * jnp.sign(v - g * g) * g * g
        return p - rate * (m / c1) / jnp.sqrt(v / c2 + eps), m, v

    def plain(params, grads, first, second, count, rate):
        trees = (params, grads, first, second)
        new = {k: one(*(t[k] for t in trees), count, rate) for k in params}
        return tuple({k: new[k][i] for k in new} for i in range(3))

    step = jax.custom_vjp(plain, nondiff_argnums=(5,))

    def fwd(params, grads, first, second, count, rate):
        out = plain(params, grads, first, second, count, rate)
        return out, (grads, second, out[1], out[2], count)

    def back(g, old, m, v, count, rate, dp, dm, dv):
        c1, c2 = corrections(count, g.dtype)
        inside = v / c2 + eps
        scale = 1 if slip == "uncorrected" else c1
        dm = dm - rate * dp / jnp.sqrt(inside) / scale
        dv = dv + 0.5 * rate * dp * (m / c1) / jnp.sqrt(inside) / inside / c2
        way = -1 if slip == "always added" else jnp.sign(old - g * g)
        dg = (1 - b1) * dm - (1 - b2) * way * 2 * g * dv
        return dg, b1 * dm, b2 * dv if slip == "decayed" else dv

    def bwd(rate, res, cts):
        grads, old, first, second, count = res
        dp, dm, dv = cts
        out = {}
        for k in grads:
            kept = (t[k] for t in (grads, old, first, second))
            out[k] = back(*kept, count, rate, dp[k], dm[k], dv[k])
        dgrads, dfirst, dsecond = ({k: out[k][i] for k in out} for i in range(3))
        return dp, dgrads, dfirst, dsecond, None

    step.defvjp(fwd, bwd)
    return step, plain


def three_sequences(rng):
    x, z, g = (normal(rng, 5) for _ in range(3))
    return x, z, g, jnp.asarray(0.3, jnp.float32), jnp.asarray(4, jnp.int32), 0.9


@case(
    "schedule_free in optax",
    "optimiser's step with an average",
    three_sequences,
    Twin(
        "average without the step",
        "term|path",
        "z grad rate",
        "The average's cotangent does not reach the iterate which was just moved.",
    ),
    Twin(
        "weights swapped",
        "swap|factor",
        "x",
        "The old average gets the weight of the new iterate.",
    ),
    Twin(
        "rate not summed",
        "sum|ratio|factor",
        "rate",
        "The rate is shared by the entries: its gradient is their mean.",
    ),
)
def schedule_free_step(slip):
    def share(count, dtype):
        return 1 / (count + 1).astype(dtype)

    def plain(x, z, grad, rate, count, beta):
        c = share(count, x.dtype)
        z = z - rate * grad
        x = (1 - c) * x + c * z
        return x, z, (1 - beta) * z + beta * x

    step = jax.custom_vjp(plain, nondiff_argnums=(5,))

    def fwd(x, z, grad, rate, count, beta):
        kept = {"grad": grad, "rate": rate, "count": count}
        return plain(x, z, grad, rate, count, beta), kept

    def bwd(beta, res, cts):
        dx, dz, dy = cts
        c = share(res["count"], dx.dtype)
        dx = dx + beta * dy
        dz = dz + (1 - beta) * dy
        if slip != "average without the step":
            dz = dz + c * dx
        old = c * dx if slip == "weights swapped" else (1 - c) * dx
        product = dz * res["grad"]
        drate = -(product.mean() if slip == "rate not summed" else product.sum())
        return old, dz, -res["rate"] * dz, drate, None

    step.defvjp(fwd, bwd)
    return step, plain


def rows_to_clip(small=False):
    def args(rng):
        scale = np.array([[0.001] if small else [1.0], [2.0], [0.1], [1.0]])
        grads = normal(rng, 4, 3) * jnp.asarray([[3.0], [0.05], [2], [1]])
        return grads, normal(rng, 4, 3) * jnp.asarray(scale, jnp.float32), 0.5, 0.01

    return args


@case(
    "adaptive_grad_clip (NFNet) in optax",
    "gradient clipping by units",
    rows_to_clip(),
    Twin(
        "length of the gradient",
        "term|quotient",
        "grads",
        "The factor of a clipped row is held: the part along the row stays.",
    ),
    Twin(
        "parameters held",
        "term|zero|path",
        "params",
        "The largest length depends on the parameters, which get no gradient.",
    ),
    Twin(
        "smallest length",
        "mask|region|edge",
        "params",
        "Parameters shorter than the smallest length get a gradient.",
        witness=rows_to_clip(small=True),
    ),
)
def adaptive_gradient_clip(slip):
    def length(x):
        square = (x * x).sum(-1, keepdims=True)
        return jnp.where(square > 0, jnp.sqrt(jnp.where(square > 0, square, 1)), 0)

    def plain(grads, params, ratio, least):
        most = ratio * jnp.maximum(length(params), least)
        norm = length(grads)
        over = norm > most
        return jnp.where(over, grads * (most / jnp.where(over, norm, 1)), grads)

    clip = jax.custom_vjp(plain, nondiff_argnums=(2, 3))

    def fwd(grads, params, ratio, least):
        return plain(grads, params, ratio, least), (grads, params)

    def bwd(ratio, least, res, g):
        grads, params = res
        norm, size = length(grads), length(params)
        most = ratio * jnp.maximum(size, least)
        over = norm > most
        unit = grads / jnp.where(over, norm, 1)
        along = (unit * g).sum(-1, keepdims=True)
        across = g if slip == "length of the gradient" else g - unit * along
        dgrads = jnp.where(over, most / jnp.where(over, norm, 1) * across, g)
        live = over & (size > (0 if slip == "smallest length" else least))
        dparams = jnp.where(live, ratio * along * params / jnp.where(live, size, 1), 0)
        if slip == "parameters held":
            dparams = jnp.zeros_like(params)
        return dgrads, dparams

    clip.defvjp(fwd, bwd)
    return clip, plain

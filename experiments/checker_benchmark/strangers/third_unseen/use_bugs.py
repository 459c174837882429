"""Bugs of scatters, sorting, copies, loops and norms, with their threads."""

import jax
import jax.numpy as jnp
from jax import lax

from experiments.checker_benchmark.strangers.record import (
    Stranger,
    Twin,
    collect,
    draw,
    integers,
    normal,
)

CASES: list[Stranger] = []
case = collect(CASES)


@case(
    "tracel-ai/burn#4063",
    "scatter",
    lambda rng: (normal(rng, 3, 4), integers(rng, 4, 3, 4), normal(rng, 3, 4)),
    Twin(
        "as reported",
        "index|operand|function|transpose|elements",
        "values",
        "The values' gradient is scattered once more instead of gathered.",
    ),
    kind="bug",
    name="scatter_values burn#4063",
)
def scatter_values(slip):
    def added(x, index, values):
        return x.at[jnp.arange(len(x))[:, None], index].add(values)

    @jax.custom_vjp
    def scatter(x, index, values):
        return added(x, index, values)

    def fwd(x, index, values):
        return added(x, index, values), index

    def bwd(index, g):
        if slip:
            return g, None, added(jnp.zeros(index.shape, g.dtype), index, g)
        return g, None, jnp.take_along_axis(g, index, 1)

    scatter.defvjp(fwd, bwd)
    return scatter, scatter.fun


@case(
    "pytorch/pytorch#180771",
    "slice update",
    lambda rng: (*draw(x=(2, 5), y=(2, 2))(rng), 0),
    Twin(
        "as reported",
        "zero|path|mask|region",
        "x",
        "What is not overwritten has a gradient of zero too.",
    ),
    kind="bug",
    name="slice_scatter pytorch#180771",
)
def slice_scatter(slip):
    def plain(x, y, start):
        return x.at[:, start : start + y.shape[1]].set(y)

    scatter = jax.custom_vjp(plain, nondiff_argnums=(2,))

    def fwd(x, y, start):
        return plain(x, y, start), y.shape[1]

    def bwd(start, size, g):
        place = slice(start, start + size)
        dx = jnp.zeros_like(g) if slip else g.at[:, place].set(0)
        return dx, g[:, place]

    scatter.defvjp(fwd, bwd)
    return scatter, plain


@case(
    "elixir-nx/nx#1643",
    "sort",
    lambda rng: (normal(rng, 3, 5), 1, False),
    Twin(
        "as reported",
        "index|transpose|operand|residual",
        "x",
        "Gradients go to where the values came to, not to where they came from.",
    ),
    kind="bug",
    name="sort nx#1643",
)
def sort(slip):
    def plain(x, axis, descending):
        return jnp.sort(x, axis, descending=descending)

    ordered = jax.custom_vjp(plain, nondiff_argnums=(1, 2))

    def fwd(x, axis, descending):
        order = jnp.argsort(x, axis, descending=descending)
        return jnp.take_along_axis(x, order, axis), order

    def bwd(axis, descending, order, g):
        back = order if slip else jnp.argsort(order, axis)
        return (jnp.take_along_axis(g, back, axis),)

    ordered.defvjp(fwd, bwd)
    return ordered, plain


@case(
    "NVIDIA/warp#1728",
    "taped copy",
    draw(x=(4,), w=(4,)),
    Twin(
        "as reported",
        "term|path",
        "x",
        "The copy's adjoint overwrites what a later reader of its source has left.",
    ),
    kind="bug",
    name="overwriting_copy warp#1728",
)
def overwriting_copy(slip):
    @jax.custom_vjp
    def kernels(x, w):
        copied = jnp.copy(x)
        return w * copied, x * x

    def fwd(x, w):
        return kernels.fun(x, w), (x, w)

    def bwd(res, g):
        x, w = res
        of_copy, of_source = g[0] * w, 2 * g[1] * x
        return of_copy if slip else of_source + of_copy, g[0] * x

    kernels.defvjp(fwd, bwd)
    return kernels, kernels.fun


@case(
    "NVIDIA/warp#1694",
    "loop",
    draw(x=(4,), weights=(3,)),
    Twin(
        "as reported",
        "residual|operand|term|path",
        "x",
        "After the loop its sum is read as it was at the start: 0.",
    ),
    kind="bug",
    name="used_after_loop warp#1694",
)
def used_after_loop(slip):
    def summed(x, weights):
        return lax.fori_loop(
            0, len(weights), lambda k, acc: acc + weights[k] * x, jnp.zeros_like(x)
        )

    @jax.custom_vjp
    def kernel(x, weights):
        before = x * x
        return before * summed(x, weights)

    def fwd(x, weights):
        acc = summed(x, weights)
        return x * x * acc, (x, weights, jnp.zeros_like(acc) if slip else acc)

    def bwd(res, g):
        x, weights, acc = res
        dacc = g * x * x
        dx = 2 * x * acc * g + dacc * weights.sum()
        return dx, jnp.full_like(weights, (dacc * x).sum())

    kernel.defvjp(fwd, bwd)
    return kernel, kernel.fun


@case(
    "ooples/AiDotNet#695",
    "normalisation",
    lambda rng: (normal(rng, 3, 5), jnp.ones(5, jnp.float32), 1e-6),
    Twin(
        "as reported",
        "term|path",
        "x",
        "The root of the mean square is held fixed.",
    ),
    kind="bug",
    name="rms_norm AiDotNet#695",
)
def rms_norm(slip):
    def plain(x, gamma, eps):
        return gamma * x * lax.rsqrt((x * x).mean(-1, keepdims=True) + eps)

    norm = jax.custom_vjp(plain, nondiff_argnums=(2,))

    def fwd(x, gamma, eps):
        inverse = lax.rsqrt((x * x).mean(-1, keepdims=True) + eps)
        return gamma * x * inverse, (x, gamma, inverse)

    def bwd(eps, res, g):
        x, gamma, inverse = res
        h, dh = x * inverse, g * gamma
        dgamma = (g * h).sum(0)
        if slip:
            return dh * inverse, dgamma
        return inverse * (dh - h * (dh * h).mean(-1, keepdims=True)), dgamma

    norm.defvjp(fwd, bwd)
    return norm, plain


@case(
    "pytorch/pytorch#184528",
    "scan",
    lambda rng: (normal(rng, 5), jnp.float32(0.7)),
    Twin(
        "as reported",
        "path|term|sum|zero",
        "x a",
        "The carry starts without a gradient and so has none at any step.",
    ),
    kind="bug",
    name="closed_over_decay pytorch#184528",
)
def closed_over_decay(slip):
    def step(carry, x, a):
        return a * carry + x

    @jax.custom_vjp
    def recurrence(x, a):
        def body(carry, x):
            after = step(carry, x, a)
            return after, after

        return lax.scan(body, jnp.zeros_like(x[0]), x)[1]

    def fwd(x, a):
        y = recurrence.fun(x, a)
        return y, (a, jnp.concatenate([jnp.zeros_like(y[:1]), y[:-1]]))

    def bwd(res, g):
        a, before = res

        def back(dcarry, dy):
            dx = dy + dcarry
            return jnp.zeros_like(dx) if slip else a * dx, dx

        dx = lax.scan(back, jnp.zeros_like(g[0]), g, reverse=True)[1]
        return dx, (dx * before).sum()

    recurrence.defvjp(fwd, bwd)
    return recurrence, recurrence.fun

"""Rules that save memory or precision: checkpoints, caches, mixed dtypes, bisection."""

import jax
import jax.numpy as jnp
from jax import lax

from experiments.checker_benchmark.strangers.record import (
    Stranger,
    Twin,
    by_reference,
    collect,
    draw,
    normal,
)

CASES: list[Stranger] = []
case = collect(CASES)


def stacked_layers(rng):
    params = {"w": normal(rng, 4, 3, 3, std=0.5), "b": jnp.zeros((4, 3), jnp.float32)}
    return params, normal(rng, 5, 3), 2


@case(
    "jax.checkpoint over groups of scanned layers, as in MaxText",
    "residual layers with a pytree",
    stacked_layers,
    Twin(
        "order in a group",
        "index|residual|operand|axis",
        "params x",
        "Within a group, inputs meet the layers in the reverse order.",
    ),
    Twin("skip", "term|path", "params x", "The residual branch alone is pulled back."),
    Twin(
        "end of the group",
        "residual|operand",
        "params x",
        "A group is recomputed from what it gave, not from what it was given.",
    ),
)
def checkpointed_layer_stack(slip):
    def block(x, layer):
        return x + jnp.tanh(x @ layer["w"] + layer["b"])

    def plain(params, x, every):
        return lax.scan(lambda x, layer: (block(x, layer), None), x, params)[0]

    stack = jax.custom_vjp(plain, nondiff_argnums=(2,))

    def grouped(params, every):
        return jax.tree.map(lambda p: p.reshape(-1, every, *p.shape[1:]), params)

    def fwd(params, x, every):
        def group(x, layers):
            y = plain(layers, x, every)
            return y, y if slip == "end of the group" else x

        y, kept = lax.scan(group, x, grouped(params, every))
        return y, (params, kept)

    def layer_bwd(dy, item):
        x, layer = item
        h = jnp.tanh(x @ layer["w"] + layer["b"])
        dz = dy * (1 - h) * (1 + h)
        dx = dz @ layer["w"].T
        dx = dx if slip == "skip" else dx + dy
        return dx, {"w": x.T @ dz, "b": dz.sum(0)}

    def bwd(every, res, g):
        params, kept = res

        def group_bwd(dy, item):
            x, layers = item
            inputs = lax.scan(lambda x, p: (block(x, p), x), x, layers)[1]
            if slip == "order in a group":
                inputs = inputs[::-1]
            return lax.scan(layer_bwd, dy, (inputs, layers), reverse=True)

        items = (kept, grouped(params, every))
        dx, grads = lax.scan(group_bwd, g, items, reverse=True)
        return jax.tree.map(lambda p, d: d.reshape(p.shape), params, grads), dx

    stack.defvjp(fwd, bwd)
    return stack, plain


def written_at(start):
    def args(rng):
        new = normal(rng, 2, 2, 3, 4)
        return normal(rng, 2, 8, 3, 4), new, jnp.int32(start), 1

    return args


@case(
    "caches of keys and values, written by dynamic_update_slice in flax decoders",
    "cache",
    written_at(3),
    Twin(
        "overwritten entries",
        "mask|region|predicate|elements",
        "cache",
        "The old cache has a gradient where it is overwritten.",
    ),
    Twin(
        "from the front",
        "index|residual|operand|region",
        "new",
        "What is written gets the gradient of the first entries.",
    ),
    Twin(
        "start beyond the end",
        "index|region|edge|mask|elements",
        "cache new",
        "A start that is too late is moved back by the forward and not by the rule.",
        witness=written_at(7),
    ),
)
def kv_cache_write(slip):
    def plain(cache, new, start, axis):
        return lax.dynamic_update_slice_in_dim(cache, new, start, axis)

    write = jax.custom_vjp(plain, nondiff_argnums=(3,))

    def fwd(cache, new, start, axis):
        return plain(cache, new, start, axis), (new.shape[axis], start)

    def bwd(axis, res, g):
        size, start = res
        if slip == "start beyond the end":
            at = start + jnp.arange(size)
            dnew = jnp.take(g, at, axis, mode="clip")
            shape = [1] * g.ndim
            shape[axis] = -1
            place = jnp.arange(g.shape[axis]).reshape(shape)
            inside = (place >= start) & (place < start + size)
            return jnp.where(inside, 0, g), dnew, None
        first = 0 if slip == "from the front" else start
        dnew = lax.dynamic_slice_in_dim(g, first, size, axis)
        if slip == "overwritten entries":
            return g, dnew, None
        none = jnp.zeros_like(dnew)
        return lax.dynamic_update_slice_in_dim(g, none, start, axis), dnew, None

    write.defvjp(fwd, bwd)
    return write, plain


def narrow_activations(rng):
    x, kernel, bias = draw(x=(2, 3, 4), kernel=(4, 5), bias=(5,))(rng)
    return x.astype(jnp.bfloat16), kernel, bias


@case(
    "dense layers in bfloat16 with parameters and sums in float32, as in flax",
    "dense layer with mixed dtypes",
    lambda rng: (normal(rng, 2, 3, 4), normal(rng, 4, 5), jnp.zeros(5, jnp.float32)),
    Twin(
        "dtype of dx",
        "dtype|precision",
        "x",
        "dx stays in the dtype of the sums.",
        witness=narrow_activations,
        proof="dtype",
    ),
    Twin(
        "slope at the output",
        "function|operand|residual",
        "x kernel bias",
        "The activation's slope is taken at its value.",
    ),
    Twin(
        "gate only",
        "function|term|path",
        "x kernel bias",
        "The sigmoid in the activation is held fixed.",
    ),
)
def mixed_precision_dense(slip):
    def product(a, b):
        wide = jnp.promote_types(a.dtype, jnp.float32)
        return jnp.dot(a, b.astype(a.dtype), preferred_element_type=wide)

    def before(x, kernel, bias):
        z = product(x, kernel)
        return z + bias.astype(z.dtype)

    @jax.custom_vjp
    def dense(x, kernel, bias):
        return jax.nn.silu(before(x, kernel, bias)).astype(x.dtype)

    def fwd(x, kernel, bias):
        z = before(x, kernel, bias)
        return jax.nn.silu(z).astype(x.dtype), (x, kernel, bias, z)

    def bwd(res, g):
        x, kernel, bias, z = res
        if slip == "slope at the output":
            z = jax.nn.silu(z)
        gate = jax.nn.sigmoid(z)
        slope = gate + z * gate * jax.nn.sigmoid(-z)
        if slip == "gate only":
            slope = gate
        dz = g.astype(z.dtype) * slope
        rows = dz.reshape(-1, dz.shape[-1])
        narrow = rows.astype(x.dtype)
        dx = product(narrow, kernel.T).reshape(x.shape)
        dkernel = product(x.reshape(-1, x.shape[-1]).T, narrow)
        dx = dx if slip == "dtype of dx" else dx.astype(x.dtype)
        return dx, dkernel.astype(kernel.dtype), rows.sum(0).astype(bias.dtype)

    dense.defvjp(fwd, bwd)
    return dense, dense.fun


@case(
    "entmax of 1.5, its threshold by bisection",
    "projection",
    lambda rng: (normal(rng, 3, 6), 60),
    Twin(
        "size of the support",
        "sum|operand|ratio|factor|term",
        "x",
        "The mean over the support is not weighted.",
    ),
    Twin("diagonal", "term|path", "x", "The threshold is held fixed."),
    Twin(
        "weights",
        "function|operand|residual",
        "x",
        "The probabilities stand for their square roots.",
    ),
    options=by_reference,
    narrow=False,
)
def entmax_bisection(slip):
    def plain(x, steps):
        """By sorting, as in the paper."""
        z = (x - x.max(-1, keepdims=True)) / 2
        ordered = jnp.flip(jnp.sort(z, -1), -1)
        k = jnp.arange(1, z.shape[-1] + 1, dtype=z.dtype)
        mean = jnp.cumsum(ordered, -1) / k
        spread = jnp.cumsum(ordered**2, -1) - k * mean**2
        room = (1 - spread) / k
        fits = room > 0
        tau = jnp.where(fits, mean - jnp.sqrt(jnp.where(fits, room, 1)), jnp.inf)
        size = (tau <= ordered).sum(-1, keepdims=True)
        tau = jnp.take_along_axis(tau, size - 1, -1)
        return jnp.maximum(z - tau, 0) ** 2

    def solved(x, steps):
        z = (x - x.max(-1, keepdims=True)) / 2

        def halve(_, ends):
            low, high = ends
            middle = (low + high) / 2
            much = (jnp.maximum(z - middle, 0) ** 2).sum(-1, keepdims=True) > 1
            return jnp.where(much, middle, low), jnp.where(much, high, middle)

        ends = jnp.full_like(z[..., :1], -1), jnp.zeros_like(z[..., :1])
        low, high = lax.fori_loop(0, steps, halve, ends)
        return jnp.maximum(z - (low + high) / 2, 0) ** 2

    entmax = jax.custom_vjp(solved, nondiff_argnums=(1,))

    def fwd(x, steps):
        y = solved(x, steps)
        return y, y

    def bwd(steps, y, g):
        s = y if slip == "weights" else jnp.sqrt(y)
        if slip == "diagonal":
            return (s * g,)
        over = s.sum(-1, keepdims=True)
        if slip == "size of the support":
            over = (y > 0).sum(-1, keepdims=True).astype(y.dtype)
        return (s * (g - (s * g).sum(-1, keepdims=True) / over),)

    entmax.defvjp(fwd, bwd)
    return entmax, plain

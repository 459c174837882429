"""Convolutions, pooling and resampling of images and sequences."""

import jax
import jax.numpy as jnp

from experiments.checker_benchmark.strangers.record import (
    Stranger,
    Twin,
    collect,
    normal,
)

CASES: list[Stranger] = []
case = collect(CASES)


@case(
    "transposed convolutions of decoders, strided, with overlapping taps",
    "convolution",
    lambda rng: (normal(rng, 2, 4, 3), normal(rng, 3, 3, 2), 2),
    Twin(
        "taps turned",
        "transpose|index|function|operand",
        "x",
        "The kernel is flipped in the input's gradient.",
    ),
    Twin(
        "kernel's windows",
        "index|region|operand|transpose",
        "kernel",
        "Windows of the cotangent start one place early for the kernel.",
    ),
    Twin(
        "stride of two",
        "option|index|region",
        "x",
        "Windows are always two places apart in the backward.",
        witness=lambda rng: (normal(rng, 2, 4, 3), normal(rng, 3, 3, 2), 1),
    ),
)
def transposed_conv(slip):
    def plain(x, kernel, stride):
        n, taps = x.shape[1], len(kernel)
        each = jnp.einsum("bti,kio->btko", x, kernel)
        where = stride * jnp.arange(n)[:, None] + jnp.arange(taps)
        out = jnp.zeros((len(x), stride * (n - 1) + taps, kernel.shape[2]), each.dtype)
        return out.at[:, where].add(each)

    conv = jax.custom_vjp(plain, nondiff_argnums=(2,))

    def fwd(x, kernel, stride):
        return plain(x, kernel, stride), (x, kernel)

    def windows(g, n, taps, stride, early=0):
        where = stride * jnp.arange(n)[:, None] + jnp.arange(taps) - early
        return g[:, jnp.maximum(where, 0)]

    def bwd(stride, res, g):
        x, kernel = res
        n, taps = x.shape[1], len(kernel)
        apart = 2 if slip == "stride of two" else stride
        seen = kernel[::-1] if slip == "taps turned" else kernel
        dx = jnp.einsum("btko,kio->bti", windows(g, n, taps, apart), seen)
        early = 1 if slip == "kernel's windows" else 0
        parts = windows(g, n, taps, stride, early)
        return dx, jnp.einsum("bti,btko->kio", x, parts)

    conv.defvjp(fwd, bwd)
    return conv, plain


@case(
    "bilinear resizing of features, rows and columns in turn",
    "resampling",
    lambda rng: (normal(rng, 2, 4, 4, 2), (8, 8)),
    Twin(
        "right neighbour",
        "swap|operand|index|factor|function",
        "x",
        "The weights of the two neighbours are exchanged.",
    ),
    Twin(
        "rows' ratio for columns",
        "swap|operand|index|function|axis|region|factor",
        "x",
        "Columns are pulled back by the ratio of the rows; the same for squares.",
        witness=lambda rng: (normal(rng, 1, 4, 4, 2), (6, 9)),
    ),
    Twin(
        "shares overwritten",
        "duplicates|index|sum|term|path",
        "x",
        "The second neighbours' shares overwrite what has been gathered.",
    ),
    narrow=False,
)
def bilinear_resize(slip):
    def taps(n, size, ratio):
        at = jnp.clip((jnp.arange(size) + 0.5) * ratio - 0.5, 0, n - 1)
        low = jnp.floor(at).astype(jnp.int32)
        return low, jnp.minimum(low + 1, n - 1), at - low

    def spread(x, size):
        n = x.shape[1]
        low, high, share = taps(n, size, n / size)
        share = share.astype(x.dtype).reshape((1, -1) + (1,) * (x.ndim - 2))
        return (1 - share) * x[:, low] + share * x[:, high]

    def plain(x, size):
        rows = spread(x, size[0])
        return jnp.swapaxes(spread(jnp.swapaxes(rows, 1, 2), size[1]), 1, 2)

    resize = jax.custom_vjp(plain, nondiff_argnums=(1,))

    def fwd(x, size):
        return plain(x, size), x.shape

    def gathered(g, n, ratio):
        low, high, share = taps(n, g.shape[1], ratio)
        share = share.astype(g.dtype).reshape((1, -1) + (1,) * (g.ndim - 2))
        first, second = (1 - share) * g, share * g
        if slip == "right neighbour":
            first, second = second, first
        out = jnp.zeros((len(g), n, *g.shape[2:]), g.dtype).at[:, low].add(first)
        if slip == "shares overwritten":
            return out.at[:, high].set(second)
        return out.at[:, high].add(second)

    def bwd(size, shape, g):
        down, across = shape[1] / size[0], shape[2] / size[1]
        across = down if slip == "rows' ratio for columns" else across
        columns = gathered(jnp.swapaxes(g, 1, 2), shape[2], across)
        return (gathered(jnp.swapaxes(columns, 1, 2), shape[1], down),)

    resize.defvjp(fwd, bwd)
    return resize, plain

"""Normalisations by length, by maps, by a mask, and attention with two of them."""

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


def long_rows(rng):
    return normal(rng, 3, 4, 6), jnp.float32(2.4), 1e-2


def short_rows(rng):
    return 1e-3 * normal(rng, 3, 4, 6), jnp.float32(2.4), 1e-2


@case(
    "ScaleNorm (Nguyen and Salazar) in x-transformers",
    "normalisation by length",
    long_rows,
    Twin(
        "floor of the length",
        "mask|region|predicate",
        "x",
        "Rows that are shorter than the floor are pulled back as if it were not there.",
        witness=short_rows,
    ),
    Twin(
        "mean of the rows",
        "ratio|sum|factor",
        "gain",
        "The one gain gets the mean over the rows, not the sum.",
    ),
    Twin(
        "gain on the term along x",
        "factor|term",
        "x",
        "Of the two terms the one along x is not multiplied by the gain.",
    ),
    narrow=False,
)
def scale_norm(slip):
    def inverse(x, floor):
        squares = (x * x).sum(-1, keepdims=True)
        long = squares > floor * floor
        return lax.rsqrt(jnp.where(long, squares, floor * floor)), long

    def plain(x, gain, floor):
        return gain * x * inverse(x, floor)[0]

    norm = jax.custom_vjp(plain, nondiff_argnums=(2,))

    def fwd(x, gain, floor):
        return plain(x, gain, floor), (x, gain)

    def bwd(floor, res, g):
        x, gain = res
        root, long = inverse(x, floor)
        unit = x * root
        inner = (g * unit).sum(-1, keepdims=True)
        if slip != "floor of the length":
            along = jnp.where(long, inner, 0) * unit
        else:
            along = inner * x / jnp.maximum((x * x).sum(-1, keepdims=True) ** 0.5, 1e-9)
        if slip == "gain on the term along x":
            dx = root * (gain * g - along)
        else:
            dx = gain * root * (g - along)
        return dx, inner.mean() if slip == "mean of the rows" else inner.sum()

    norm.defvjp(fwd, bwd)
    return norm, plain


@case(
    "SPADE (spatially-adaptive normalisation) in NVIDIA's imaginaire",
    "normalisation with maps of scales",
    draw(x=(2, 4, 6, 3), scale=(2, 2, 3, 3), shift=(2, 2, 3, 3)),
    Twin(
        "mean of the block",
        "ratio|factor|sum",
        "scale shift",
        "The pixels over one cell of the map are averaged, not summed.",
    ),
    Twin(
        "without the one",
        "term|factor",
        "x",
        "The cotangent is multiplied by the map, not by one plus the map.",
    ),
    Twin(
        "variance is constant",
        "term",
        "x",
        "The term along the normalised image is left out.",
    ),
)
def spade_norm(slip):
    def larger(a, like):
        up = [like.shape[i] // a.shape[i] for i in (1, 2)]
        return a.repeat(up[0], 1).repeat(up[1], 2)

    def standard(x):
        centred = x - x.mean((1, 2), keepdims=True)
        root = lax.rsqrt((centred * centred).mean((1, 2), keepdims=True) + 1e-5)
        return centred * root, root

    @jax.custom_vjp
    def norm(x, scale, shift):
        return standard(x)[0] * (1 + larger(scale, x)) + larger(shift, x)

    def fwd(x, scale, shift):
        hat, root = standard(x)
        return hat * (1 + larger(scale, x)) + larger(shift, x), (hat, root, scale)

    def bwd(res, g):
        hat, root, scale = res

        def smaller(a):
            b, h, w, c = scale.shape
            blocks = a.reshape(b, h, a.shape[1] // h, w, a.shape[2] // w, c)
            over = (2, 4)
            return (
                blocks.mean(over) if slip == "mean of the block" else blocks.sum(over)
            )

        factor = larger(scale, g)
        dhat = g * (factor if slip == "without the one" else 1 + factor)
        dx = dhat - dhat.mean((1, 2), keepdims=True)
        if slip != "variance is constant":
            dx = dx - hat * (dhat * hat).mean((1, 2), keepdims=True)
        return root * dx, smaller(g * hat), smaller(g)

    norm.defvjp(fwd, bwd)
    return norm, norm.fun


def padded_clips(rng):
    real = jnp.arange(5) < jnp.array([[5], [2], [4]])
    return (
        normal(rng, 3, 5, 4, mean=0.5),
        real,
        normal(rng, 4, mean=1.0),
        normal(rng, 4),
    )


@case(
    "batch norm with a mask, flax.linen.BatchNorm(...)(x, mask=mask)",
    "normalisation with three outputs",
    padded_clips,
    Twin(
        "all frames count",
        "ratio|factor|mask",
        "x",
        "The backward divides by the frames with padding.",
    ),
    Twin(
        "statistics have no cotangent",
        "term|path",
        "x",
        "What depends on the returned mean and variance is left out.",
    ),
    Twin(
        "variance of the sample",
        "ratio|factor",
        "x",
        "The returned variance, over n - 1, is pulled back as if over n.",
    ),
)
def masked_batchnorm(slip):
    def parts(x, real):
        seen = real[..., None]
        count = jnp.maximum(real.sum(), 1).astype(x.dtype)
        mean = jnp.where(seen, x, 0).sum((0, 1)) / count
        centred = jnp.where(seen, x - mean, 0)
        return seen, count, mean, centred, (centred**2).sum((0, 1))

    @jax.custom_vjp
    def norm(x, real, gain, bias):
        seen, count, mean, centred, squares = parts(x, real)
        hat = centred * lax.rsqrt(squares / count + 1e-5)
        free = jnp.maximum(count - 1, 1)
        return jnp.where(seen, hat * gain + bias, 0), mean, squares / free

    def fwd(x, real, gain, bias):
        return norm.fun(x, real, gain, bias), (x, real, gain)

    def bwd(res, g):
        x, real, gain = res
        seen, count, _, centred, squares = parts(x, real)
        dy, dmean, dvar = g
        dy = jnp.where(seen, dy, 0)
        root = lax.rsqrt(squares / count + 1e-5)
        hat = centred * root
        dgain, dbias = (dy * hat).sum((0, 1)), dy.sum((0, 1))
        n = x.shape[0] * x.shape[1] if slip == "all frames count" else count
        dx = gain * root * (dy - (dbias + hat * dgain) / n)
        if slip != "statistics have no cotangent":
            free = jnp.maximum(count - 1, 1)
            if slip == "variance of the sample":
                free = count
            dx = dx + dmean / count + 2 * centred * dvar / free
        return jnp.where(seen, dx, 0), None, dgain, dbias

    norm.defvjp(fwd, bwd)
    return norm, norm.fun


@case(
    "external attention (EANet) in its Jittor and PyTorch codes",
    "attention with a memory, normalised twice",
    draw(x=(2, 5, 3), keys=(4, 3), values=(4, 6)),
    Twin(
        "second norm is constant",
        "term",
        "x keys",
        "The division by the sum over the memory is not differentiated.",
    ),
    Twin(
        "softmax over the memory",
        "index|sum|axis",
        "x keys",
        "The backward has the softmax over the memory, not over the positions.",
    ),
    Twin(
        "mean over the images",
        "sum|term|index",
        "values",
        "The shared values get the gradient of the batch's mean.",
    ),
)
def external_attention(slip):
    def maps(x, keys):
        first = jax.nn.softmax(x @ keys.T, 1)
        return first, first / (1e-6 + first.sum(-1, keepdims=True))

    @jax.custom_vjp
    def attend(x, keys, values):
        return maps(x, keys)[1] @ values

    def fwd(x, keys, values):
        return attend.fun(x, keys, values), (x, keys, values)

    def bwd(res, g):
        x, keys, values = res
        first, second = maps(x, keys)
        da = g @ values.T
        inner = (da * second).sum(-1, keepdims=True)
        if slip == "second norm is constant":
            inner = 0
        dfirst = (da - inner) / (1e-6 + first.sum(-1, keepdims=True))
        axis = -1 if slip == "softmax over the memory" else 1
        ds = first * (dfirst - (first * dfirst).sum(axis, keepdims=True))
        dvalues = jnp.einsum("bns,bnd->sd", second, g)
        if slip == "mean over the images":
            dvalues = dvalues / len(x)
        return ds @ keys, jnp.einsum("bns,bnd->sd", ds, x), dvalues

    attend.defvjp(fwd, bwd)
    return attend, attend.fun

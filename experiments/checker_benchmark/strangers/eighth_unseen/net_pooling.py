"""Layers of images, clips and signals: blurs, shifts, gates, powers, kernels of x."""

import jax
import jax.numpy as jnp

from experiments.checker_benchmark.strangers.record import (
    Stranger,
    Twin,
    collect,
    draw,
    normal,
)

CASES: list[Stranger] = []
case = collect(CASES)


def blurred_images(rng):
    taps = jnp.array([0.2, 0.5, 0.3], jnp.float32)
    return normal(rng, 2, 5, 6, 3), taps, 2


@case(
    "BlurPool2d of timm (anti-aliased downsampling) with learned taps",
    "pooling of images",
    blurred_images,
    Twin(
        "last tap wins",
        "duplicates|index|sum",
        "x",
        "A row that is under two taps keeps the gradient of one.",
    ),
    Twin(
        "border taps",
        "edge|mask|index",
        "x",
        "In the backward the taps beyond the border are dropped, not replicated.",
    ),
    Twin(
        "taps of the rows",
        "term|path|sum",
        "taps",
        "The taps, used along both axes, get the gradient of one.",
    ),
)
def blur_pool(slip):
    def places(n, width, stride):
        at = jnp.arange(0, n, stride)[:, None] + jnp.arange(width) - width // 2
        return jnp.clip(at, 0, n - 1), (at >= 0) & (at < n)

    def rows(x, taps, stride):
        at, _ = places(x.shape[1], len(taps), stride)
        return jnp.einsum("k,bokwc->bowc", taps, x[:, at])

    def plain(x, taps, stride):
        across = rows(x, taps, stride).swapaxes(1, 2)
        return rows(across, taps, stride).swapaxes(1, 2)

    pool = jax.custom_vjp(plain, nondiff_argnums=(2,))

    def fwd(x, taps, stride):
        across = rows(x, taps, stride).swapaxes(1, 2)
        return rows(across, taps, stride).swapaxes(1, 2), (x, across, taps)

    def back(x, taps, stride, g):
        at, inner = places(x.shape[1], len(taps), stride)
        pieces = jnp.einsum("k,bowc->bokwc", taps, g)
        if slip == "border taps":
            pieces = jnp.where(inner[:, :, None, None], pieces, 0)
        slots = jnp.zeros_like(x).at[:, at]
        dx = slots.set(pieces) if slip == "last tap wins" else slots.add(pieces)
        return dx, jnp.einsum("bokwc,bowc->k", x[:, at], g)

    def bwd(stride, res, g):
        x, across, taps = res
        dacross, one = back(across, taps, stride, g.swapaxes(1, 2))
        dx, two = back(x, taps, stride, dacross.swapaxes(1, 2))
        return dx, two if slip == "taps of the rows" else one + two

    pool.defvjp(fwd, bwd)
    return pool, plain


@case(
    "temporal shift module (TSM) in MMAction2",
    "shift of channels along time",
    lambda rng: (normal(rng, 2, 5, 8), jnp.array([5, 3], jnp.int32), 4),
    Twin(
        "shifted the same way",
        "transpose|index|sign",
        "x",
        "The backward shifts its channels in the forward's directions.",
    ),
    Twin(
        "wrapped around",
        "edge|mask|index",
        "x",
        "The backward rolls: what left the clip at one end comes back at the other.",
    ),
    Twin(
        "padding",
        "mask",
        "x",
        "Frames after the end of a clip have a gradient.",
    ),
)
def temporal_shift(slip):
    def earlier(x):
        return jnp.pad(x[:, 1:], ((0, 0), (0, 1), (0, 0)))

    def later(x):
        return jnp.pad(x[:, :-1], ((0, 0), (1, 0), (0, 0)))

    def real(x, lengths):
        return (jnp.arange(x.shape[1]) < lengths[:, None])[..., None]

    def plain(x, lengths, parts):
        x = jnp.where(real(x, lengths), x, 0)
        fold = x.shape[-1] // parts
        a, b, c = jnp.split(x, [fold, 2 * fold], -1)
        return jnp.concatenate([earlier(a), later(b), c], -1)

    shift = jax.custom_vjp(plain, nondiff_argnums=(2,))

    def fwd(x, lengths, parts):
        return plain(x, lengths, parts), lengths

    def bwd(parts, lengths, g):
        fold = g.shape[-1] // parts
        a, b, c = jnp.split(g, [fold, 2 * fold], -1)
        if slip == "shifted the same way":
            a, b = earlier(a), later(b)
        elif slip == "wrapped around":
            a, b = jnp.roll(a, 1, 1), jnp.roll(b, -1, 1)
        else:
            a, b = later(a), earlier(b)
        dx = jnp.concatenate([a, b, c], -1)
        if slip != "padding":
            dx = jnp.where(real(g, lengths), dx, 0)
        return dx, None

    shift.defvjp(fwd, bwd)
    return shift, plain


@case(
    "efficient channel attention (ECA-Net) in timm",
    "gate of channels",
    draw(x=(2, 3, 4, 6), kernel=(3,)),
    Twin(
        "kernel not turned",
        "transpose|index",
        "x",
        "The convolution over channels is undone with the kernel in its order.",
    ),
    Twin(
        "gate is constant",
        "term|path",
        "x",
        "The path through the pooled channels is left out.",
    ),
    Twin(
        "pooled as a sum",
        "ratio|factor|sum",
        "x",
        "The mean over the pixels is pulled back as a sum.",
    ),
)
def eca_gate(slip):
    def banks(pooled, width):
        side = (width - 1) // 2
        padded = jnp.pad(pooled, ((0, 0), (side, width - 1 - side)))
        channels = pooled.shape[1]
        return jnp.stack([padded[:, i : i + channels] for i in range(width)], -1)

    @jax.custom_vjp
    def scale(x, kernel):
        gate = jax.nn.sigmoid(banks(x.mean((1, 2)), len(kernel)) @ kernel)
        return x * gate[:, None, None]

    def fwd(x, kernel):
        near = banks(x.mean((1, 2)), len(kernel))
        gate = jax.nn.sigmoid(near @ kernel)
        return x * gate[:, None, None], (x, kernel, near, gate)

    def bwd(res, g):
        x, kernel, near, gate = res
        dlogit = (g * x).sum((1, 2)) * gate * (1 - gate)
        width, channels = len(kernel), x.shape[-1]
        side = (width - 1) // 2
        taps = kernel if slip == "kernel not turned" else kernel[::-1]
        padded = jnp.pad(dlogit, ((0, 0), (width - 1 - side, side)))
        dpooled = sum(padded[:, i : i + channels] * taps[i] for i in range(width))
        if slip != "pooled as a sum":
            dpooled = dpooled / (x.shape[1] * x.shape[2])
        dx = g * gate[:, None, None]
        if slip != "gate is constant":
            dx = dx + dpooled[:, None, None]
        return dx, jnp.einsum("bck,bc->k", near, dlogit)

    scale.defvjp(fwd, bwd)
    return scale, scale.fun


@case(
    "LPPool1d of PyTorch, with overlapping windows",
    "pooling by a norm",
    lambda rng: (normal(rng, 2, 9, 3), 3.0, 3, 2),
    Twin(
        "without sign",
        "sign|factor",
        "x",
        "Negative entries get the gradient of their absolute values.",
    ),
    Twin(
        "power of the norm",
        "factor|function|option",
        "x",
        "y^(1 - p) is left out: the gradient is that of the sum of powers over p.",
    ),
    Twin(
        "last window wins",
        "duplicates|index|sum",
        "x",
        "An entry that is in two windows has the gradient of one.",
    ),
)
def lp_pool(slip):
    def places(x, size, stride):
        starts = jnp.arange(0, x.shape[1] - size + 1, stride)
        return starts[:, None] + jnp.arange(size)

    def plain(x, p, size, stride):
        near = jnp.abs(x[:, places(x, size, stride)])
        return ((near**p).sum(2) + 1e-6) ** (1 / p)

    pool = jax.custom_vjp(plain, nondiff_argnums=(1, 2, 3))

    def fwd(x, p, size, stride):
        y = plain(x, p, size, stride)
        return y, (x, y)

    def bwd(p, size, stride, res, g):
        x, y = res
        at = places(x, size, stride)
        near = x[:, at]
        slope = jnp.abs(near) ** (p - 1)
        if slip != "without sign":
            slope = slope * jnp.sign(near)
        pull = g if slip == "power of the norm" else g * y ** (1 - p)
        pieces = pull[:, :, None] * slope
        slots = jnp.zeros_like(x).at[:, at]
        lost = slip == "last window wins"
        return (slots.set(pieces) if lost else slots.add(pieces),)

    pool.defvjp(fwd, bwd)
    return pool, plain

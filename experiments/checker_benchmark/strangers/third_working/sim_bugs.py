"""Bugs of scattering, resampling, alignments and spectra, with their threads."""

import jax
import jax.numpy as jnp
import numpy as np
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


def factors(rng):
    index = jnp.asarray([0, 1, 1, 2, 2, 2], jnp.int32)
    return positive(rng, 3), index, normal(rng, 6)


def with_a_zero(rng):
    start, index, source = factors(rng)
    return start, index, source.at[1].set(0)


@case(
    "pytorch/pytorch#76523",
    "scatter",
    factors,
    Twin(
        "as reported",
        "edge|zero|mask|region|function",
        "source",
        "Where a factor is 0 its gradient is masked, not the product of the others.",
        witness=with_a_zero,
    ),
    kind="bug",
    name="scatter_product pytorch#76523",
    narrow=False,
)
def scatter_product(slip):
    def others(index):
        """For each factor which others go to the same place."""
        return (index[:, None] == index) & ~jnp.eye(len(index), dtype=bool)

    @jax.custom_vjp
    def product(start, index, source):
        here = index == jnp.arange(len(start))[:, None]
        return start * jnp.where(here, source, 1).prod(1)

    def fwd(start, index, source):
        y = product.fun(start, index, source)
        return y, (start, index, source, y)

    def bwd(res, g):
        start, index, source, y = res
        here = index == jnp.arange(len(start))[:, None]
        dstart = g * jnp.where(here, source, 1).prod(1)
        if slip:
            nonzero = jnp.where(source == 0, 1, source)
            dsource = jnp.where(source == 0, 0, (g * y)[index] / nonzero)
        else:
            rest = jnp.where(others(index), source, 1).prod(1)
            dsource = (g * start)[index] * rest
        return dstart, None, dsource

    product.defvjp(fwd, bwd)
    return product, product.fun


@case(
    "Oneflow-Inc/oneflow#7916",
    "upsampling",
    lambda rng: (normal(rng, 2, 2, 3, 4), 2),
    Twin(
        "as reported",
        "index|region|mask|elements",
        "x",
        "The loop runs over the channels only: of a batch only the first is reached.",
    ),
    kind="bug",
    name="bicubic_upsample oneflow#7916",
)
def bicubic_upsample(slip):
    def matrix(size, scale, dtype):
        """Weights of the inputs (columns) in each output (rows)."""
        a, out = -0.75, np.zeros((size * scale, size))
        for row in range(size * scale):
            at = (row + 0.5) / scale - 0.5
            first = int(np.floor(at)) - 1
            for tap in range(first, first + 4):
                d = abs(at - tap)
                near = (a + 2) * d**3 - (a + 3) * d**2 + 1
                far = a * (d**3 - 5 * d**2 + 8 * d - 4)
                out[row, min(max(tap, 0), size - 1)] += near if d <= 1 else far
        return jnp.asarray(out, dtype)

    def plain(x, scale):
        rows = matrix(x.shape[2], scale, x.dtype)
        columns = matrix(x.shape[3], scale, x.dtype)
        return jnp.einsum("ih,nchw,jw->ncij", rows, x, columns)

    upsample = jax.custom_vjp(plain, nondiff_argnums=(1,))

    def fwd(x, scale):
        return plain(x, scale), x

    def bwd(scale, x, g):
        batch, channels, height, width = x.shape
        rows = matrix(height, scale, g.dtype)
        columns = matrix(width, scale, g.dtype)
        planes = channels if slip else channels * batch
        dy = g.reshape(-1, *g.shape[2:])
        dx = jnp.zeros((batch * channels, height, width), g.dtype)
        for n in range(planes):
            dx = dx.at[n].set(rows.T @ dy[n] @ columns)
        return (dx.reshape(x.shape),)

    upsample.defvjp(fwd, bwd)
    return upsample, plain


@case(
    "keonlee9420/Parallel-Tacotron2#15",
    "alignment",
    lambda rng: (positive(rng, 4, 5), 1.0, 2),
    Twin(
        "as reported",
        "factor|operand|function|ratio|residual",
        "cost",
        "The cells' own gradients are added up without the weights of the steps.",
    ),
    kind="bug",
    name="soft_dtw_alignment Parallel-Tacotron2#15",
    narrow=False,
    scales=(0.3, 1.0, 3.0),
)
def soft_dtw_alignment(slip):
    far = 1e8

    def ways(values, i, j, warp):
        """Three ways into a cell; steps off the diagonal cost `warp`."""
        down, right = values[i, j + 1] + warp, values[i + 1, j] + warp
        return jnp.stack([values[i, j], down, right])

    def table(cost, gamma, warp):
        n, m = cost.shape
        start = jnp.full((n + 1, m + 1), far, cost.dtype).at[0, 0].set(0)

        def cell(k, values):
            i, j = k // m, k % m
            best = -gamma * jax.nn.logsumexp(-ways(values, i, j, warp) / gamma)
            return values.at[i + 1, j + 1].set(cost[i, j] + best)

        return lax.fori_loop(0, n * m, cell, start)

    def plain(cost, gamma, warp):
        return table(cost, gamma, warp)[-1, -1]

    align = jax.custom_vjp(plain, nondiff_argnums=(1, 2))

    def fwd(cost, gamma, warp):
        values = table(cost, gamma, warp)
        return values[-1, -1], (cost, values)

    def bwd(gamma, warp, res, g):
        cost, values = res
        n, m = cost.shape

        def cell(k, carry):
            share, grads = carry
            i, j = n - 1 - k // m, m - 1 - k % m
            here = share[i + 1, j + 1]
            grads = grads.at[i, j].set(here)
            split = jax.nn.softmax(-ways(values, i, j, warp) / gamma)
            if slip:
                split = jnp.ones_like(split)
            parts = here * split.astype(here.dtype)
            share = share.at[i, j].add(parts[0]).at[i, j + 1].add(parts[1])
            return share.at[i + 1, j].add(parts[2]), grads

        share = jnp.zeros((n + 1, m + 1), cost.dtype).at[n, m].set(g)
        return (lax.fori_loop(0, n * m, cell, (share, jnp.zeros_like(cost)))[1],)

    align.defvjp(fwd, bwd)
    return align, plain


def spectrum(length):
    def args(rng):
        bins = length // 2 + 1
        arrays = draw(real=(3, bins), imaginary=(3, bins))(rng)
        window = jnp.asarray(np.hanning(length + 2)[1:-1], jnp.float32)
        return *arrays, window, length // 2

    return args


@case(
    "ooples/AiDotNet.Tensors#1021",
    "inverse spectrum",
    spectrum(8),
    Twin(
        "as reported",
        "index|region|mask|option|factor|elements",
        "real imaginary",
        "Of an odd length the last bin is mirrored too, but not on the way back.",
        witness=spectrum(7),
    ),
    kind="bug",
    name="inverse_stft AiDotNet.Tensors#1021",
    options=lambda plain: {"nondiff": ("window",)},
    fixed=(2,),
    narrow=False,
)
def inverse_stft(slip):
    def placed(length, hop, frames):
        return np.arange(frames)[:, None] * hop + np.arange(length)

    def overlapped(parts, hop):
        frames, length = parts.shape
        total = jnp.zeros((frames - 1) * hop + length, parts.dtype)
        return total.at[placed(length, hop, frames)].add(parts)

    def envelope(window, hop, frames):
        return overlapped(jnp.tile(window**2, (frames, 1)), hop)

    def plain(real, imaginary, window, hop):
        length = len(window)
        parts = jnp.fft.irfft(lax.complex(real, imaginary), length) * window
        return overlapped(parts, hop) / envelope(window, hop, len(real))

    inverse = jax.custom_vjp(plain, nondiff_argnums=(3,))

    def fwd(real, imaginary, window, hop):
        return plain(real, imaginary, window, hop), (window, len(real))

    def bwd(hop, res, g):
        window, frames = res
        length, bins = len(window), len(window) // 2 + 1
        summed = g / envelope(window, hop, frames)
        parts = summed[placed(length, hop, frames)] * window
        back = jnp.fft.fft(parts) / length
        real, imaginary = back.real, back.imag
        mirrored = range(1, bins - 1 if slip else (length + 1) // 2)
        other = np.array([length - k for k in mirrored])
        inner = np.array(mirrored)
        dreal = real[:, :bins].at[:, inner].add(real[:, other])
        dimaginary = imaginary[:, :bins].at[:, inner].add(-imaginary[:, other])
        return dreal, dimaginary, jnp.zeros_like(window)

    inverse.defvjp(fwd, bwd)
    return inverse, plain

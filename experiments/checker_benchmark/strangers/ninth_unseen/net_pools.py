"""Poolings of sequences, and the slopes of spoken features."""

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
)

CASES: list[Stranger] = []
case = collect(CASES)


def windows(size):
    def args(rng):
        return normal(rng, 2, 8, 3), size

    return args


@case(
    "SoftPool of pytorch-image-models and its ports",
    "pooling with exponential weights",
    windows(3),
    Twin(
        "weights constant",
        "term|path",
        "x",
        "The weights are taken as constants.",
    ),
    Twin(
        "sum within the window",
        "term|residual",
        "x",
        "The pooled value is not subtracted in the slope of the weights.",
    ),
    Twin(
        "rest gets the last",
        "mask|edge|zero",
        "x",
        "Entries after the last whole window get its gradient.",
    ),
)
def soft_pool(slip):
    def cut(x, size):
        whole = x.shape[1] // size
        return x[:, : whole * size].reshape(x.shape[0], whole, size, x.shape[2])

    def plain(x, size):
        parts = cut(x, size)
        return (jax.nn.softmax(parts, axis=2) * parts).sum(2)

    pool = jax.custom_vjp(plain, nondiff_argnums=(1,))

    def fwd(x, size):
        y = plain(x, size)
        return y, (x, y)

    def bwd(size, res, g):
        x, y = res
        parts = cut(x, size)
        w = jax.nn.softmax(parts, axis=2)
        slope = 1 + parts - y[:, :, None]
        if slip == "weights constant":
            slope = jnp.ones_like(parts)
        elif slip == "sum within the window":
            slope = 1 + parts
        d = (w * slope * g[:, :, None]).reshape(x.shape[0], -1, x.shape[2])
        rest = ((0, 0), (0, x.shape[1] - d.shape[1]), (0, 0))
        mode = "edge" if slip == "rest gets the last" else "constant"
        return (jnp.pad(d, rest, mode=mode),)

    pool.defvjp(fwd, bwd)
    return pool, plain


@case(
    "learned mixture of maximum and average pooling in keras ports",
    "pooling with a learned mixture",
    draw(x=(3, 6, 4), logit=(4,)),
    Twin(
        "average in full",
        "factor|ratio|term",
        "x",
        "The average's part does not get its share.",
    ),
    Twin(
        "sign of the difference",
        "sign",
        "logit",
        "The mixture's gradient takes average minus maximum.",
    ),
    Twin(
        "batches averaged",
        "sum|ratio|factor",
        "logit",
        "The logit's gradient is the mean over the batch.",
    ),
)
def mixed_pool(slip):
    @jax.custom_vjp
    def pool(x, logit):
        share = jax.nn.sigmoid(logit)
        return share * x.max(1) + jax.nn.sigmoid(-logit) * x.mean(1)

    def fwd(x, logit):
        return pool.fun(x, logit), (x, logit)

    def bwd(res, g):
        x, logit = res
        share, other = jax.nn.sigmoid(logit), jax.nn.sigmoid(-logit)
        top, mean = x.max(1), x.mean(1)
        at = (x == top[:, None]).astype(x.dtype)
        at = at / at.sum(1, keepdims=True)
        rest = jnp.ones_like(other) if slip == "average in full" else other
        dx = at * (g * share)[:, None] + (g * rest)[:, None] / x.shape[1]
        gap = mean - top if slip == "sign of the difference" else top - mean
        d = g * gap * share * other
        return dx, d.mean(0) if slip == "batches averaged" else d.sum(0)

    pool.defvjp(fwd, bwd)
    return pool, pool.fun


def sentences(rng):
    return normal(rng, 3, 7, 4), jnp.asarray([7, 3, 5], jnp.int32), 2


@case(
    "k-max pooling of sentence models (Kalchbrenner et al.) in keras and its ports",
    "pooling that keeps the order",
    sentences,
    Twin(
        "order of size",
        "index|swap|transpose",
        "x",
        "The gradients are put at the places as top_k gives them, largest first.",
    ),
    Twin(
        "first place only",
        "term|sum|mask",
        "x",
        "The smallest of the kept entries gets nothing.",
    ),
    Twin(
        "padding counted",
        "mask|index",
        "x",
        "In the backward the padding takes part in the selection.",
    ),
)
def k_max_pool(slip):
    def chosen(x, lengths, k):
        seen = jnp.arange(x.shape[1])[None, :, None] < lengths[:, None, None]
        rows = jnp.where(seen, x, -jnp.inf).swapaxes(1, 2)
        return lax.top_k(rows, k)[1]

    def plain(x, lengths, k):
        place = jnp.sort(chosen(x, lengths, k), axis=-1)
        return jnp.take_along_axis(x.swapaxes(1, 2), place, axis=-1)

    pool = jax.custom_vjp(plain, nondiff_argnums=(2,))

    def fwd(x, lengths, k):
        return plain(x, lengths, k), (x, lengths)

    def bwd(k, res, g):
        x, lengths = res
        if slip == "padding counted":
            seen = jnp.full_like(lengths, x.shape[1])
        else:
            seen = lengths
        place = chosen(x, seen, k)
        if slip != "order of size":
            place = jnp.sort(place, axis=-1)
        if slip == "first place only":
            g = g.at[..., -1].set(0)
        b, c = jnp.indices(place.shape[:2])
        d = jnp.zeros((x.shape[0], x.shape[2], x.shape[1]), x.dtype)
        d = d.at[b[..., None], c[..., None], place].add(g)
        zero = np.zeros(lengths.shape, jax.dtypes.float0)
        return d.swapaxes(1, 2), zero

    pool.defvjp(fwd, bwd)
    return pool, plain


def frames(rng):
    return normal(rng, 9, 4), 2


@case(
    "delta features of python_speech_features, with edge padding",
    "features of speech with their slopes",
    frames,
    Twin(
        "edges dropped",
        "edge|term|duplicates|sum",
        "cepstra",
        "The repeated frames at the edges give no gradient to the first and last.",
    ),
    Twin(
        "not reversed",
        "sign|transpose",
        "cepstra",
        "The slopes are pulled back by the same filter, not by its mirror image.",
    ),
    Twin(
        "denominator halved",
        "factor|ratio",
        "cepstra",
        "The sum of squares in the denominator is not doubled.",
    ),
)
def delta_features(slip):
    def plain(cepstra, reach):
        padded = jnp.pad(cepstra, ((reach, reach), (0, 0)), mode="edge")
        t = len(cepstra)
        slope = 0
        for n in range(1, reach + 1):
            ahead = padded[reach + n : reach + n + t]
            slope = slope + n * (ahead - padded[reach - n : reach - n + t])
        norm = 2 * sum(n * n for n in range(1, reach + 1))
        return jnp.concatenate([cepstra, slope / norm], axis=1)

    features = jax.custom_vjp(plain, nondiff_argnums=(1,))

    def fwd(cepstra, reach):
        return plain(cepstra, reach), None

    def bwd(reach, _, g):
        d, dslope = jnp.split(g, 2, axis=1)
        norm = 2 * sum(n * n for n in range(1, reach + 1))
        if slip == "denominator halved":
            norm = norm // 2
        if slip == "not reversed":
            dslope = -dslope
        t = len(g)
        steps = jnp.arange(t)
        for n in range(1, reach + 1):
            for move in (n, -n):
                place = steps + move
                part = dslope * (move / norm)
                if slip == "edges dropped":
                    inside = (place >= 0) & (place < t)
                    part = jnp.where(inside[:, None], part, 0)
                d = d.at[jnp.clip(place, 0, t - 1)].add(part)
        return (d,)

    features.defvjp(fwd, bwd)
    return features, plain

"""Attention and what feeds it: channels, pages of a cache, rotations."""

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

TINY = 1e-6


def normalise(x, axis):
    """Unit length along an axis, as torch's normalize; and 1 / length."""
    square = (x * x).sum(axis, keepdims=True)
    inverse = jax.lax.rsqrt(jnp.maximum(square, TINY**2))
    return x * inverse, inverse, square > TINY**2


def pull_normalise(x, g, axis):
    unit, inverse, long = normalise(x, axis)
    along = jnp.where(long, (unit * g).sum(axis, keepdims=True), 0)
    return inverse * (g - unit * along)


def channels(rng):
    return *(normal(rng, 2, 7, 4) for _ in range(3)), jnp.ones(2)


def silent_channel(rng):
    q, k, v, temperature = channels(rng)
    return q.at[0, :, 1].set(0), k, v, temperature


@case(
    "cross-covariance attention of XCiT in timm ports: channels attend to channels",
    "attention",
    channels,
    Twin(
        "axis of the norm",
        "axis|sum|transpose",
        "q k",
        "Lengths are pulled back over the channels and not over the tokens.",
    ),
    Twin(
        "temperature of the raw scores",
        "operand|ratio|factor|residual",
        "temperature",
        "The temperature's gradient takes scores that it has multiplied already.",
        witness=lambda rng: (*channels(rng)[:3], jnp.array([0.5, 2.0])),
    ),
    Twin(
        "silent channel",
        "edge|nan|finite",
        "q",
        "A channel that is zero for all tokens is divided by its length.",
        witness=silent_channel,
    ),
)
def cross_covariance_attention(slip):
    def weights(q, k, temperature):
        a, b = normalise(q, 1)[0], normalise(k, 1)[0]
        scores = jnp.einsum("hnd,hne->hde", a, b)
        p = jax.nn.softmax(scores * temperature[:, None, None])
        return a, b, scores, p

    @jax.custom_vjp
    def attend(q, k, v, temperature):
        return jnp.einsum("hde,hne->hnd", weights(q, k, temperature)[-1], v)

    def fwd(q, k, v, temperature):
        return attend.fun(q, k, v, temperature), (q, k, v, temperature)

    def bwd(res, g):
        q, k, v, temperature = res
        a, b, scores, p = weights(q, k, temperature)
        dv = jnp.einsum("hde,hnd->hne", p, g)
        dp = jnp.einsum("hnd,hne->hde", g, v)
        ds = p * (dp - (p * dp).sum(-1, keepdims=True))
        if slip == "temperature of the raw scores":
            scores = scores * temperature[:, None, None]
        dtemperature = (ds * scores).sum((1, 2))
        ds = ds * temperature[:, None, None]
        da = jnp.einsum("hde,hne->hnd", ds, b)
        db = jnp.einsum("hde,hnd->hne", ds, a)
        if slip == "silent channel":
            inverse = 1 / jnp.sqrt((q * q).sum(1, keepdims=True))
            unit = q * inverse
            dq = inverse * (da - unit * (unit * da).sum(1, keepdims=True))
            return dq, pull_normalise(k, db, 1), dv, dtemperature
        axis = 2 if slip == "axis of the norm" else 1
        dq, dk = pull_normalise(q, da, axis), pull_normalise(k, db, axis)
        return dq, dk, dv, dtemperature

    attend.defvjp(fwd, bwd)
    return attend, attend.fun


def decoding(table, lengths):
    def args(rng):
        pages = normal(rng, 4, 3, 2, 4), normal(rng, 4, 3, 2, 4)
        return normal(rng, 2, 2, 4), *pages, jnp.array(table), jnp.array(lengths)

    return args


@case(
    "attention over pages of a cache, found in a table, as in MaxText's decoding",
    "attention with a cache",
    decoding([[0, 1], [2, 3]], [5, 6]),
    Twin(
        "shared pages",
        "duplicates|index",
        "keys values",
        "A page that two sequences begin with keeps the gradient of the last.",
        witness=decoding([[0, 1], [0, 3]], [5, 6]),
    ),
    Twin(
        "tail of the last page",
        "mask|region|predicate",
        "q keys values",
        "The slots after a sequence's end are not masked when weights are recomputed.",
    ),
    Twin(
        "no tokens",
        "edge|nan|finite",
        "q keys values",
        "A sequence that has no tokens yet is divided by its sum of zero.",
        witness=decoding([[0, 1], [2, 3]], [5, 0]),
    ),
)
def paged_attention(slip):
    def gather(pages, table):
        rows = pages[table]
        return rows.reshape(rows.shape[0], -1, *rows.shape[3:])

    def weights(q, keys, table, lengths):
        k = gather(keys, table)
        seen = (jnp.arange(k.shape[1]) < lengths[:, None])[:, None]
        scores = jnp.einsum("bhd,bthd->bht", q, k) / q.shape[-1] ** 0.5
        top = jnp.where(seen, scores, -jnp.inf).max(-1, keepdims=True)
        top = jax.lax.stop_gradient(jnp.where(jnp.isfinite(top), top, 0))
        e = jnp.where(seen, jnp.exp(jnp.where(seen, scores - top, 0)), 0)
        total = e.sum(-1, keepdims=True)
        return k, e / jnp.where(total > 0, total, 1), e / total

    @jax.custom_vjp
    def attend(q, keys, values, table, lengths):
        p = weights(q, keys, table, lengths)[1]
        return jnp.einsum("bht,bthd->bhd", p, gather(values, table))

    def fwd(*args):
        return attend.fun(*args), args

    def bwd(res, g):
        q, keys, values, table, lengths = res
        if slip == "tail of the last page":
            lengths = jnp.full_like(lengths, table.shape[1] * keys.shape[1])
        k, p, unguarded = weights(q, keys, table, lengths)
        if slip == "no tokens":
            p = unguarded
        dp = jnp.einsum("bhd,bthd->bht", g, gather(values, table))
        ds = p * (dp - (p * dp).sum(-1, keepdims=True)) / q.shape[-1] ** 0.5
        dk = jnp.einsum("bht,bhd->bthd", ds, q)
        dv = jnp.einsum("bht,bhd->bthd", p, g)

        def scatter(like, rows):
            at = jnp.zeros_like(like).at[table]
            rows = rows.reshape(*table.shape, *like.shape[1:])
            return at.set(rows) if slip == "shared pages" else at.add(rows)

        dq = jnp.einsum("bht,bthd->bhd", ds, k)
        return dq, scatter(keys, dk), scatter(values, dv), None, None

    attend.defvjp(fwd, bwd)
    return attend, attend.fun


@case(
    "extrapolating rotations (xPos) in flax ports: queries grow as keys shrink",
    "rotation",
    lambda rng: (normal(rng, 5, 2, 6), normal(rng, 5, 2, 6), 0, 64),
    Twin(
        "scale of the keys",
        "ratio|factor|operand",
        "k",
        "The keys are multiplied by the scale that the forward divides them by.",
    ),
    Twin(
        "angle",
        "sign|transpose",
        "q k",
        "The cotangents are turned forwards once more.",
    ),
    Twin(
        "offset of the cache",
        "option|index|operand",
        "q k",
        "Positions start at zero in the backward pass.",
        witness=lambda rng: (normal(rng, 5, 2, 6), normal(rng, 5, 2, 6), 3, 64),
    ),
)
def xpos_rotation(slip):
    def tables(like, offset, base):
        width, at = like.shape[-1], offset + jnp.arange(like.shape[0])
        even = jnp.arange(0, width, 2, dtype=like.dtype)
        angle = at[:, None] * 10000.0 ** (-even / width)
        decay = (even + 0.4 * width) / (1.4 * width)
        scale = decay ** ((at - like.shape[0] // 2)[:, None] / base)
        tables = jnp.cos(angle), jnp.sin(angle), scale
        return [t[:, None].astype(like.dtype) for t in tables]

    def turn(x, cos, sin):
        a, b = jnp.split(x, 2, -1)
        return jnp.concatenate([a * cos - b * sin, b * cos + a * sin], -1)

    def twice(scale):
        return jnp.concatenate([scale, scale], -1)

    def plain(q, k, offset, base):
        cos, sin, scale = tables(q, offset, base)
        return turn(q, cos, sin) * twice(scale), turn(k, cos, sin) / twice(scale)

    rotate = jax.custom_vjp(plain, nondiff_argnums=(2, 3))

    def fwd(q, k, offset, base):
        return plain(q, k, offset, base), None

    def bwd(offset, base, _, g):
        dq, dk = g
        start = 0 if slip == "offset of the cache" else offset
        cos, sin, scale = tables(dq, start, base)
        sin = sin if slip == "angle" else -sin
        shrunk = twice(scale) if slip == "scale of the keys" else 1 / twice(scale)
        return turn(dq * twice(scale), cos, sin), turn(dk * shrunk, cos, sin)

    rotate.defvjp(fwd, bwd)
    return rotate, plain

"""Sequences: gated pooling and cells, alignments, positions, large vocabularies."""

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


@case(
    "minGRU in logarithms, by cumulative log-sum-exp, in JAX ports",
    "recurrence",
    draw(k=(2, 6, 3), x=(2, 6, 3), start=(2, 1, 3)),
    Twin(
        "decay of the same step",
        "index|operand|residual",
        "k x start",
        "The adjoint is multiplied by the step's own decay, not by the next one's.",
    ),
    Twin(
        "update only",
        "term|path",
        "k",
        "The gate lets the candidate in and the state go; the latter is forgotten.",
    ),
    Twin(
        "slope of the candidate",
        "function|mask|region",
        "x start",
        "The candidate's slope is that of a sigmoid on both sides of 0.",
    ),
    narrow=False,
)
def min_gru_log_space(slip):
    def log_g(x):
        up = x >= 0
        line = jnp.log(jnp.where(up, x, 0) + 0.5)
        return jnp.where(up, line, jax.nn.log_sigmoid(jnp.where(up, 0, x)))

    def slope(x):
        curve = jax.nn.sigmoid(x) * jax.nn.sigmoid(-x)
        if slip == "slope of the candidate":
            return curve
        return jnp.where(x >= 0, 1, curve)

    @jax.custom_vjp
    def gru(k, x, start):
        entries = jnp.concatenate(
            [log_g(start), jax.nn.log_sigmoid(k) + log_g(x)], axis=1
        )
        decay = jnp.cumsum(jax.nn.log_sigmoid(-k), axis=1)
        decay = jnp.pad(decay, ((0, 0), (1, 0), (0, 0)))
        return jnp.exp(decay + lax.cumlogsumexp(entries - decay, axis=1))[:, 1:]

    def fwd(k, x, start):
        h = gru.fun(k, x, start)
        return h, (k, x, start, h)

    def bwd(res, g):
        k, x, start, h = res
        keep, take = jax.nn.sigmoid(-k), jax.nn.sigmoid(k)
        before = jnp.concatenate([jnp.exp(log_g(start)), h[:, :-1]], 1)
        after = jnp.concatenate([keep[:, 1:], jnp.zeros_like(keep[:, :1])], 1)
        if slip == "decay of the same step":
            after = keep

        def join(late, early):
            return early[0] * late[0], early[1] + early[0] * late[1]

        _, d = lax.associative_scan(join, (after, g), reverse=True, axis=1)
        candidate = jnp.exp(log_g(x))
        gap = candidate if slip == "update only" else candidate - before
        dstart = keep[:, :1] * d[:, :1] * slope(start)
        return d * gap * take * keep, d * take * slope(x), dstart

    gru.defvjp(fwd, bwd)
    return gru, gru.fun


@case(
    "expected monotonic alignments of online attention for speech, in JAX ports",
    "alignment",
    draw(energies=(2, 4, 5)),
    Twin(
        "chance to go on",
        "term|path",
        "energies",
        "A place's probability to stop is not seen in what goes on past it.",
    ),
    Twin(
        "previous row",
        "term|path",
        "energies",
        "The alignment of the step before is taken for a constant.",
    ),
    Twin(
        "own chance to go on",
        "index|operand|residual",
        "energies",
        "What comes from the next place is weighed with that place's own chance.",
    ),
)
def monotonic_alignment(slip):
    def first(energies):
        row = jnp.zeros(energies.shape[-1], energies.dtype)
        return row.at[0].set(1)

    def reached(before, p):
        """q_j = before_j + (1 - p_{j-1}) q_{j-1}."""

        def step(q, item):
            b, go = item
            q = b + go * q
            return q, q

        go = jnp.concatenate([jnp.ones_like(p[:1]), 1 - p[:-1]])
        return lax.scan(step, jnp.zeros_like(p[0]), (before, go))[1]

    def align(energies):
        def row(before, e):
            p = jax.nn.sigmoid(e)
            q = reached(before, p)
            return p * q, (p * q, q)

        return lax.scan(row, first(energies), energies)[1]

    @jax.custom_vjp
    def alignments(energies):
        return jax.vmap(align)(energies)[0]

    def fwd(energies):
        a, q = jax.vmap(align)(energies)
        return a, (energies, q)

    def one(energies, q, g):
        def row(dafter, item):
            e, q, g = item
            p, rest = jax.nn.sigmoid(e), jax.nn.sigmoid(-e)
            da = g + dafter

            def step(dq, item):
                direct, go = item
                return direct + go * dq, (direct + go * dq, dq)

            go = rest
            if slip == "own chance to go on":
                go = jnp.concatenate([rest[1:], jnp.zeros_like(rest[:1])])
            start = jnp.zeros_like(p[0])
            _, (dq, later) = lax.scan(step, start, (da * p, go), reverse=True)
            dp = da * q
            if slip != "chance to go on":
                dp = dp - later * q
            down = jnp.zeros_like(dq) if slip == "previous row" else dq
            return down, dp * p * rest

        start = jnp.zeros_like(g[0])
        return lax.scan(row, start, (energies, q, g), reverse=True)[1]

    def bwd(res, g):
        return (jax.vmap(one)(*res, g),)

    alignments.defvjp(fwd, bwd)
    return alignments, alignments.fun


@case(
    "two-dimensional rotary embeddings with learned frequencies (RoPE-mixed) of timm",
    "rotation",
    lambda rng: (normal(rng, 2, 12, 6), normal(rng, 2, 2, 3, std=0.5), (3, 4)),
    Twin(
        "rotated forth",
        "sign|transpose",
        "x",
        "The cotangent is rotated by the angle, not back by it.",
    ),
    Twin(
        "rows and columns",
        "swap|index|transpose",
        "freqs",
        "The frequencies of the rows get the gradient of the columns.",
    ),
    Twin(
        "before the rotation",
        "residual|operand",
        "freqs",
        "The angles' gradient is taken with the input, not with the rotated one.",
    ),
)
def mixed_rope_2d(slip):
    def grid(shape, dtype):
        rows, columns = jnp.meshgrid(*map(jnp.arange, shape), indexing="ij")
        return jnp.stack([rows.ravel(), columns.ravel()]).astype(dtype)

    def turn(x, angle):
        a, b = x[..., ::2], x[..., 1::2]
        c, s = jnp.cos(angle), jnp.sin(angle)
        return jnp.stack([a * c - b * s, a * s + b * c], -1).reshape(x.shape)

    def angles(freqs, shape):
        return jnp.einsum("pt,phd->htd", grid(shape, freqs.dtype), freqs)

    def plain(x, freqs, shape):
        return turn(x, angles(freqs, shape))

    rope = jax.custom_vjp(plain, nondiff_argnums=(2,))

    def fwd(x, freqs, shape):
        return plain(x, freqs, shape), (x, freqs)

    def bwd(shape, res, g):
        x, freqs = res
        angle = angles(freqs, shape)
        y = x if slip == "before the rotation" else turn(x, angle)
        dangle = g[..., 1::2] * y[..., ::2] - g[..., ::2] * y[..., 1::2]
        dfreqs = jnp.einsum("pt,htd->phd", grid(shape, x.dtype), dangle)
        if slip == "rows and columns":
            dfreqs = dfreqs[::-1]
        dx = turn(g, angle if slip == "rotated forth" else -angle)
        return dx, dfreqs

    rope.defvjp(fwd, bwd)
    return rope, plain

"""Bugs of layers with their threads: windows, gates, states, tails and options."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from experiments.checker_benchmark.strangers.record import (
    Stranger,
    Twin,
    collect,
    draw,
    integers,
    normal,
    positive,
)

CASES: list[Stranger] = []
case = collect(CASES)


@case(
    "PaddlePaddle/Paddle#74077",
    "pooling",
    lambda rng: (normal(rng, 1, 2, 8, 9), (5, 7)),
    Twin(
        "as reported",
        "ratio|factor|operand|constant|sum",
        "x",
        "The cotangent is divided by one size of the windows, rounded up, for all.",
    ),
    kind="bug",
    name="adaptive_average_pool Paddle#74077",
)
def adaptive_average_pool(slip):
    def window(size, out):
        """Which inputs are in each output's window."""
        i = np.arange(out)[:, None]
        start, end = i * size // out, -(-(i + 1) * size // out)
        return (np.arange(size) >= start) & (np.arange(size) < end)

    def averages(size, out, dtype):
        inside = window(size, out)
        return jnp.asarray(inside / inside.sum(1, keepdims=True), dtype)

    def plain(x, sizes):
        rows = averages(x.shape[-2], sizes[0], x.dtype)
        columns = averages(x.shape[-1], sizes[1], x.dtype)
        return jnp.einsum("ih,nchw,jw->ncij", rows, x, columns)

    pool = jax.custom_vjp(plain, nondiff_argnums=(1,))

    def fwd(x, sizes):
        return plain(x, sizes), jnp.zeros((*x.shape[-2:], 0), x.dtype)

    def bwd(sizes, like, g):
        height, width, _ = like.shape
        rows = averages(height, sizes[0], g.dtype)
        columns = averages(width, sizes[1], g.dtype)
        if slip:
            rows = jnp.asarray(window(height, sizes[0]), g.dtype)
            columns = jnp.asarray(window(width, sizes[1]), g.dtype)
            g = g / (-(-height // sizes[0]) * -(-width // sizes[1]))
        return (jnp.einsum("ih,ncij,jw->nchw", rows, g, columns),)

    pool.defvjp(fwd, bwd)
    return pool, plain


def experts(sign):
    def args(rng):
        gates = jax.nn.softmax(normal(rng, 4, 2)) * jnp.array([1.0, sign])
        chosen = jnp.stack([integers(rng, 2, 4), 2 + integers(rng, 1, 4)], -1)
        return normal(rng, 4, 2, 5), gates, normal(rng, 3, 5, 3), chosen

    return args


@case(
    "unslothai/unsloth-zoo#858",
    "mixture of experts",
    experts(1.0),
    Twin(
        "as reported",
        "ratio|factor|sign|eps|mask|region",
        "gates",
        "The gate is divided out of the cotangent, clamped to be positive.",
        witness=experts(-1.0),
    ),
    kind="bug",
    name="gated_combine unsloth-zoo#858",
)
def gated_combine(slip):
    @jax.custom_vjp
    def combine(inner, gates, down, chosen):
        out = jnp.einsum("tkh,tkhd->tkd", inner, down[chosen])
        return jnp.einsum("tk,tkd->td", gates, out)

    def fwd(inner, gates, down, chosen):
        value = combine.fun(inner, gates, down, chosen)
        return value, (inner, gates, down, chosen)

    def bwd(res, g):
        inner, gates, down, chosen = res
        back = jnp.einsum("td,tkhd->tkh", g, down[chosen])
        dinner = gates[..., None] * back
        if slip:
            dgates = (inner * dinner).sum(-1) / jnp.where(gates > 1e-12, gates, 1e-12)
        else:
            dgates = (inner * back).sum(-1)
        rows = jnp.einsum("tk,tkh,td->tkhd", gates, inner, g)
        return dinner, dgates, jnp.zeros_like(down).at[chosen].add(rows), None

    combine.defvjp(fwd, bwd)
    return combine, combine.fun


@case(
    "intel/torch-xpu-ops#2901",
    "padding",
    lambda rng: (normal(rng, 2, 6, 6), (1, 1, 1, 1)),
    Twin(
        "as reported",
        "term|region|index|path|mask",
        "x",
        "In a narrow image a column is near both sides; right corners are left out.",
        witness=lambda rng: (normal(rng, 2, 4, 3), (1, 1, 1, 1)),
    ),
    kind="bug",
    name="reflection_pad torch-xpu-ops#2901",
)
def reflection_pad(slip):
    def images(size, low, high):
        """Where each entry is in the padded axis: itself, and mirrored at the ends."""
        at = np.arange(low + size + high)[:, None]
        i = np.arange(size)
        itself = at == i + low
        near = (i >= 1) & (i <= low)
        far = (i >= size - 1 - high) & (i <= size - 2)
        mirrored = (at == low - i) & near
        return itself, mirrored, (at == low + 2 * (size - 1) - i) & far, near

    def plain(x, padding):
        left, right, top, bottom = padding
        return jnp.pad(x, ((0, 0), (top, bottom), (left, right)), mode="reflect")

    pad = jax.custom_vjp(plain, nondiff_argnums=(1,))

    def fwd(x, padding):
        return plain(x, padding), None

    def bwd(padding, _, g):
        left, right, top, bottom = padding
        height, width = g.shape[1] - top - bottom, g.shape[2] - left - right
        middle, upper, lower, _ = images(height, top, bottom)
        centre, west, east, near = images(width, left, right)
        corner = east & ~near if slip else east
        pairs = (
            (middle, centre | west | east),
            (upper, centre | west | corner),
            (lower, centre | west | corner),
        )
        dx = 0
        for rows, columns in pairs:
            r, c = jnp.asarray(rows, g.dtype), jnp.asarray(columns, g.dtype)
            dx = dx + jnp.einsum("hi,nhw,wj->nij", r, g, c)
        return (dx,)

    pad.defvjp(fwd, bwd)
    return pad, plain


def gated_sequence(rng):
    q, k, v = draw(q=(6, 3), k=(6, 3), v=(6, 4))(rng)
    return q, k, v, -jax.nn.softplus(normal(rng, 6)), jnp.zeros((3, 4))


@case(
    "fla-org/flash-linear-attention#459",
    "linear attention with gates",
    gated_sequence,
    Twin(
        "as reported",
        "term|path|cotangent|residual",
        "decay",
        "The gates' gradient lacks the part of the final state's cotangent.",
    ),
    kind="bug",
    name="simple_gated_attention flash-linear-attention#459",
)
def simple_gated_attention(slip):
    def forward(q, k, v, decay, state):
        def step(h, item):
            q, k, v, d = item
            h = jnp.exp(d) * h + k[:, None] * v
            return h, (q @ h, h)

        end, (o, states) = lax.scan(step, state, (q, k, v, decay))
        return (o, end), states

    @jax.custom_vjp
    def attend(q, k, v, decay, state):
        return forward(q, k, v, decay, state)[0]

    def fwd(q, k, v, decay, state):
        out, states = forward(q, k, v, decay, state)
        return out, (q, k, v, decay, out[1], states)

    def bwd(res, g):
        q, k, v, decay, end, states = res
        do, dend = g

        def step(dh, item):
            q, k, v, d, h, do = item
            dh = dh + q[:, None] * do
            return jnp.exp(d) * dh, (h @ do, dh @ v, k @ dh)

        items = (q, k, v, decay, states, do)
        dstate, (dq, dk, dv) = lax.scan(step, dend, items, reverse=True)
        each = (q * dq - k * dk).sum(-1)
        ddecay = jnp.flip(jnp.cumsum(jnp.flip(each)))
        if not slip:
            ddecay = ddecay + (end * dend).sum()
        return dq, dk, dv, ddecay, dstate

    attend.defvjp(fwd, bwd)
    return attend, attend.fun


def smooth_spike(args, dy):
    """The slope of a sigmoid, as the neuron declares it."""
    x, slope = args
    s = jax.nn.sigmoid(slope * x)
    return (dy * slope * s * jax.nn.sigmoid(-slope * x),)


@case(
    "jeshraghian/snntorch#433",
    "spiking neuron",
    lambda rng: (normal(rng, 3, 6) - 1, 25.0),
    Twin(
        "as reported",
        "edge|nan|finite",
        "x",
        "Far below the threshold the exponential overflows: infinity over infinity.",
        witness=lambda rng: (-positive(rng, 3, 6, low=4.0, high=60.0), 25.0),
    ),
    kind="bug",
    name="sigmoid_spike snntorch#433",
    options=lambda plain: {"surrogate": smooth_spike},
)
def sigmoid_spike(slip):
    def plain(x, slope):
        return (x > 0).astype(x.dtype)

    spike = jax.custom_vjp(plain, nondiff_argnums=(1,))

    def fwd(x, slope):
        return plain(x, slope), x

    def bwd(slope, x, g):
        if slip:
            e = jnp.exp(-slope * x)
            return (g * slope * e / (e + 1) ** 2,)
        s = jax.nn.sigmoid(slope * x)
        return (g * slope * s * jax.nn.sigmoid(-slope * x),)

    spike.defvjp(fwd, bwd)
    return spike, plain

"""The last linear layer and the loss in one: the [N, V] logits never exist as a whole.

    a = x @ W + b        z = a, or cap tanh(a / cap)        lse[n] = log sum_v e^z[n, v]
    q[n] = (1 - s) onehot(labels[n]) + s / V                        (s: label smoothing)
    loss[n] = lse[n] - sum_v q[n, v] z[n, v] + k lse[n]^2                   (k: z-loss)

Perturb z[n]; lse moves by sum_v p dz with p = softmax(z), so, with the cotangent w[n],

    dz[n, v] = w[n] ((1 + 2 k lse[n]) p[n, v] - q[n, v])
    da = dz (1 - (z / cap)^2)                           (the slope of cap tanh(a / cap))
    dx = da @ W.T        dW = x.T @ da        db = sum_n da               (as in linear)

w[n] is dloss[n], or dloss / (rows that count) for the mean, and 0 in a row to ignore.

Given the maximum m[n] and log sum e^(z - m), a column v of da depends on column v of W
alone. So the backward pass goes over the vocabulary a chunk at a time: it computes the
chunk's logits again, its columns of dW and db, and its addend to dx. The forward pass
needs a running maximum and a sum that is rescaled when the maximum grows.

m and log sum e^(z - m) are kept apart: their sum, lse, would lose to a logit offset of
1e4 the digits that p needs.

Check: V = 1, s = k = 0 gives p = q and no gradient. A last chunk that would reach
beyond V starts earlier instead; the columns that it shares with another are masked.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Integer

from jaxninja.rule import (
    Case,
    Rule,
    along_last,
    in_one_program,
    on_auto_axes,
    sharding,
    wide_type,
)
from jaxninja.rules.loops import varying
from jaxninja.rules.losses import arguments, chunks
from jaxninja.rules.losses.last_layer import (
    Options,
    check_arguments,
    dense,
    logits,
    loss_from,
    weights,
)


class Residuals(NamedTuple):
    x: jax.Array  # [N, D]
    W: jax.Array  # [D, V]
    b: jax.Array | None  # [V]
    labels: jax.Array  # [N]
    m: jax.Array  # [N] maximum of the logits; neither they nor p are kept
    log_sum: jax.Array  # [N] log sum_v e^(z - m)


@partial(jax.custom_vjp, nondiff_argnums=(4, 5, 6, 7, 8, 9))
def linear_cross_entropy(
    x: Float[Array, "N D"],
    W: Float[Array, "D V"],
    b: Float[Array, "V"] | None,
    labels: Integer[Array, "N"],
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
    softcap: float | None = None,
    z_loss: float = 0.0,
    chunk: int | None = None,
) -> Float[Array, ""] | Float[Array, "N"]:
    """Cross entropy of x @ W + b against labels, in memory that does not grow with V.

    Args:
        x: [N, D] features.
        W: [D, V] output weights.
        b: [V] bias, or None.
        labels: [N] integers in [0, V), or ignore_index. Any other makes its loss NaN.
        ignore_index: label of rows that count nowhere: loss 0 and no gradient,
            whatever x is there.
        reduction: `mean` over the rows that count (0 if there is none), or `none`.
        label_smoothing: s in [0, 1): share of the target that is spread evenly.
        softcap: logits become cap tanh(logits / cap); None leaves them.
        z_loss: k, the weight of lse^2.
        chunk: columns of the vocabulary at a time; None takes about 2^21 logits.

    Returns:
        Scalar, or [N] for the reduction `none`, in nats; float32 at least. Products
        are taken in the type of x and summed in float32 or better.

    Raises:
        ValueError: shapes or types do not fit, or an option is out of its range.

    Source: Wijmans et al. 2024, arXiv:2411.09009; z-loss: Chowdhery et al. 2022,
    arXiv:2204.02311; soft cap: Gemma Team 2024, arXiv:2408.00118.
    """
    options = (ignore_index, reduction, label_smoothing, softcap, z_loss, chunk)
    return linear_cross_entropy_fwd(x, W, b, labels, *options)[0]


def linear_cross_entropy_fwd(x, W, b, labels, *static):
    options = Options(*static)
    check_arguments(x, W, b, labels, options)
    rows = sharding(x, 1)
    where = rows if options.reduction == "none" else sharding(x, 0), rows, rows
    arrays = x, W, b, arguments.signed(labels)
    loss, m, log_sum = on_auto_axes(_forward, where, *arrays, options=options)
    return loss, Residuals(*arrays, m, log_sum)


@in_one_program("options")
def _forward(x, W, b, labels, options):
    x = _counted(x, labels, options)
    lowest, made_of = jnp.finfo(wide_type(x)).min, (x, W, b, labels)
    start = tuple(chunks.row(x, v, *made_of) for v in (lowest, 0.0, 0.0, 0.0))

    def over_chunk(c, state):
        m, total, picked, spread = state
        z, _, columns, new = _chunk(c, x, W, b, options)
        z = jnp.where(new, z, -jnp.inf)
        top = jnp.maximum(m, z.max(1))
        shifted = z - top[:, None]
        total = total * jnp.exp(m - top) + jnp.exp(shifted).sum(1)
        picked += jnp.where((columns == labels[:, None]) & new, z, 0).sum(1)
        if options.smoothing:  # sum of z - m over all columns so far
            done = c * chunks.size(x, W, options.chunk)
            spread += done * (m - top) + jnp.where(new, shifted, 0).sum(1)
        return top, total, picked, spread

    m, total, picked, spread = chunks.loop(x, W, options.chunk, over_chunk, start)
    log_sum = jnp.log(total)
    loss = loss_from(picked - m, spread / W.shape[1], m, log_sum, labels, W, options)
    return loss, m, log_sum


def linear_cross_entropy_bwd(
    ignore_index, reduction, label_smoothing, softcap, z_loss, chunk, res, dloss
):
    """Returns dx [N, D], dW [D, V], db [V] or None, and None for the labels."""
    options = Options(ignore_index, reduction, label_smoothing, softcap, z_loss, chunk)
    where = jax.tree.map(sharding, (res.x, res.W, res.b))
    return *on_auto_axes(_backward, where, res, dloss, options=options), None


@in_one_program("options")
def _backward(res, dloss, options):
    res = res._replace(x=_counted(res.x, res.labels, options))
    x, W, b, labels, _, log_sum = res
    weight = dloss * weights(labels, options, log_sum.dtype)

    def over_chunk(c, state):
        dx, dW, db = state
        slopes, W_chunk, start = _slopes(c, res, options)
        da = weight[:, None] * slopes
        dW = chunks.add_columns(dW, chunks.product(x.T, da), start)
        db = chunks.add_columns(db, da.sum(0), start)
        return dx + chunks.product(da.astype(x.dtype), W_chunk.T), dW, db

    shapes = x.shape, W.shape, W.shape[1:]
    made_of = x, W, labels, log_sum, dloss
    zeros = tuple(varying(jnp.zeros(s, log_sum.dtype), *made_of) for s in shapes)
    dx, dW, db = chunks.loop(x, W, options.chunk, over_chunk, zeros)
    db = None if b is None else db.astype(b.dtype)
    return dx.astype(x.dtype), dW.astype(W.dtype), db


linear_cross_entropy.defvjp(linear_cross_entropy_fwd, linear_cross_entropy_bwd)


def linear_cross_entropy_jvp(
    ignore_index, reduction, label_smoothing, softcap, z_loss, chunk, primals, tangents
):
    """Returns the loss and its move dloss, a scalar or [N], for moves of x, W and b."""
    options = Options(ignore_index, reduction, label_smoothing, softcap, z_loss, chunk)
    loss, res = linear_cross_entropy_fwd(*primals, *options)
    moves, where = tangents[:3], sharding(loss)
    return loss, on_auto_axes(_forward_mode, where, res, *moves, options=options)


@in_one_program("options")
def _forward_mode(res, dx, dW, db, options):
    x, dx = (_counted(a, res.labels, options) for a in (res.x, dx))
    res = res._replace(x=x)
    _, W, b, labels, _, log_sum = res

    def over_chunk(c, dloss):
        slopes, W_chunk, start = _slopes(c, res, options)
        dW_chunk = chunks.columns(dW, start, W_chunk.shape[1])
        da = chunks.product(dx, W_chunk) + chunks.product(x, dW_chunk)
        if b is not None:
            db_chunk = chunks.columns(db, start, da.shape[1])
            da += along_last(db_chunk.astype(da.dtype), da)
        return dloss + (slopes * da).sum(1)

    rows = chunks.row(x, 0.0, W, labels, dx, dW)
    rows = chunks.loop(x, W, options.chunk, over_chunk, rows)
    rows *= weights(labels, options, log_sum.dtype)
    return rows if options.reduction == "none" else rows.sum()


def _counted(x, labels, options):
    """x [N, D], and 0 in rows to ignore: dW sums over all rows, and 0 NaN is NaN."""
    return jnp.where((labels != options.ignore_index)[:, None], x, 0)


def _chunk(c, x, W, b, options):
    """Logits [N, C] of chunk c, its W [D, C], its columns, and which ones are new."""
    size = chunks.size(x, W, options.chunk)
    start = jnp.minimum(c * size, W.shape[1] - size)
    W_chunk = chunks.columns(W, start, size)
    b_chunk = None if b is None else chunks.columns(b, start, size)
    columns = start + jnp.arange(size)[None]  # [1, C]
    return logits(x, W_chunk, b_chunk, options), W_chunk, columns, columns >= c * size


def _slopes(c, res, options):
    """d(loss of row n) / da [N, C] of chunk c, 0 in columns that are not new, with the
    chunk's W [D, C] and its first column."""
    x, W, b, labels, m, log_sum = res
    z, W_chunk, columns, new = _chunk(c, x, W, b, options)
    p = jnp.exp(z - m[:, None] - log_sum[:, None])
    low = options.smoothing / W.shape[1]
    q = jnp.where(columns == labels[:, None], 1 - options.smoothing + low, low)
    pull = 1 + 2 * options.z_loss * (m + log_sum)  # d(loss of row n) / dlse[n]
    dz = pull[:, None] * p - q
    if options.cap is not None:
        dz *= 1 - (z / options.cap) ** 2
    return jnp.where(new, dz, 0), W_chunk, columns[0, 0]


def example(key, N, D, V):
    keys = jax.random.split(key, 4)
    x = jax.random.normal(keys[0], (N, D))
    W = 2 * jax.random.normal(keys[1], (D, V)) / D**0.5
    labels = jax.random.randint(keys[2], (N,), 0, V)
    labels = jnp.where(jnp.arange(N) % 4 == 2, -100, labels)  # some are to ignore
    return x, W, jax.random.normal(keys[3], (V,)), labels


rule = Rule(
    op=linear_cross_entropy,
    fwd=linear_cross_entropy_fwd,
    bwd=linear_cross_entropy_bwd,
    jvp=linear_cross_entropy_jvp,
    example=example,
    reference=dense,
    cases=(
        Case({"N": 5, "D": 3, "V": 7}, (-100, "mean", 0.0, None, 0.0, 3)),
        Case({"N": 4, "D": 4, "V": 4}, (-100, "none", 0.2, 3.0, 1e-2, None)),
    ),
    bench=Case({"N": 2048, "D": 256, "V": 8191}, (-100, "mean", 0.0, None, 0.0, None)),
    why="the logits are made again, a fourth product, for an eighth of the memory",
    source="Wijmans et al. 2024, arXiv:2411.09009",
)

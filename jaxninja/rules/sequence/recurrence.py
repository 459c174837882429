"""What rnn, gru and lstm share: the walk through time, there and back.

    p[t] = x[t] Wx + bx              the input's part
    u[t] = h[t-1] Wh + bh            the past's part
    s[t] = cell(p[t], u[t], s[t-1])  elementwise; s is (h,), or (h, c) for an LSTM

Perturb. p and u move by their own products; the cell's page says what it makes of that:

    dp[t] = dx[t] Wx + x[t] dWx + dbx
    du[t] = dh[t-1] Wh + h[t-1] dWh + dbh
    ds[t] = cell's push of dp[t], du[t] and ds[t-1]

Transpose, so walk from the last step to the first. Let ds[t] be all that reaches s[t]:
what later steps send, and the output's own cotangent. The cell's pull turns it into
dp[t], du[t] and a direct part of ds[t-1]; to dh[t-1] a product adds what comes by u[t]:

    dh[t-1] += du[t] Wh.T                        (within the walk the only product)

Every step used the same weights, so their gradients are sums over the steps: after the
walk, one product each over all steps and the batch.

    dx[t] = dp[t] Wx.T       dWx = sum_t x[t].T dp[t]         dbx = sum_t dp[t]
    ds[0] is what is left    dWh = sum_t h[t-1].T du[t]       dbh = sum_t du[t]

Check: T = 1 is one cell, and the products' gradients are those of a linear layer.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from jaxninja.rule import along_last, in_one_program, sharding, wide_type
from jaxninja.rules import blocking
from jaxninja.rules.loops import in_pieces, in_pieces_backwards, varying


class Cell(NamedTuple):
    """One step, elementwise; states are tuples that begin with h.

    Attributes:
        gates: how many times H columns p and u have.
        step: (p, u, before) -> after, kept; `kept` is what the other two read.
        push: (kept, h_before, h, dp, du, dbefore) -> dafter, the perturbation.
        pull: (kept, h_before, h, dafter) -> dp, dbefore, its transpose.
        recurrent: (dp, kept) -> du; where the cell reads p + u, du = dp.
    """

    gates: int
    step: Callable[..., Any]
    push: Callable[..., Any]
    pull: Callable[..., Any]
    recurrent: Callable[..., Any] = lambda dp, kept: dp


class Weights(NamedTuple):
    Wx: jax.Array  # [D, gates H]
    Wh: jax.Array  # [H, gates H]
    bx: jax.Array | None  # [gates H]
    bh: jax.Array | None = None  # [gates H], where the sum of both would not do


class Residuals(NamedTuple):
    """With `chunk`, nothing but x is kept of every step: the backward pass walks each
    chunk again, from the state before it, and then back."""

    x: jax.Array  # [T, *batch, D]
    weights: Weights  # biases only with `chunk`
    starts: tuple  # (h0,), or with `chunk` the states [chunks, *batch, H] before each
    h: jax.Array | None  # [T, *batch, H]: the output itself
    kept: Any  # the cell's, [T, *batch, H] each; p and u are not kept


@in_one_program("cell", "chunk", "keep")
def forward(cell: Cell, x, state, weights: Weights, chunk=None, keep=True):
    """Returns h [T, *batch, H], the last state, and Residuals if asked to `keep`."""
    if chunk is None:
        last, (h, kept) = walk(cell, x, state, weights, keep)
        weights = weights._replace(bx=None, bh=None)
        return h, last, Residuals(x, weights, state[:1], h, kept) if keep else None

    def over_chunk(state, x):
        last, (h, _) = walk(cell, x, state, weights, keep=False)
        return last, h

    last, h, starts = in_pieces(over_chunk, state, x, chunk)
    return h, last, Residuals(x, weights, starts, None, None) if keep else None


def walk(cell: Cell, x, state, weights: Weights, keep):
    """Returns the last state, and of all steps h and what the cell keeps."""
    Wx, Wh, bx, bh = weights
    early = blocking.steps_early(state[0].size // len(Wh))

    def step(before, at):
        p = at if early else _affine(at, Wx, bx)
        after, kept = cell.step(p, _affine(before[0], Wh, bh), before)
        return after, (after[0], kept if keep else None)

    return lax.scan(step, state, _affine(x, Wx, bx) if early else x)


@in_one_program("cell", "chunk")
def backward(cell: Cell, chunk, res: Residuals, dh, *dlast):
    """Returns the cotangents of x, of the first state, and of the weights.

    Args:
        dh: [T, *batch, H], and dlast [*batch, H] of the last state but for its h.
    """
    x, weights, starts, h, kept = res
    dlast = varying(jnp.zeros_like(dh[0]), dh), *dlast
    if chunk is None:
        dstate, dx, sums = _back(cell, weights, x, starts[0], h, kept, dh, dlast)
        return dx, dstate, _narrow(sums, x)

    def over_chunk(carry, piece, start):
        (dstate, sums), (x, dh) = carry, piece
        h, kept = walk(cell, x, start, weights, keep=True)[1]
        dstate, dx, more = _back(cell, weights, x, start[0], h, kept, dh, dstate)
        return (dstate, jax.tree.map(jnp.add, sums, more)), dx

    carry = dlast, _zeros(weights, x, dh)
    carry, dx = in_pieces_backwards(over_chunk, carry, (x, dh), starts, chunk)
    return dx, carry[0], _narrow(carry[1], x)


def _back(cell, weights, x, h0, h, kept, dh, dlast):
    """Walk back, then sum over the steps: returns dstate, dx, and the weights' sums."""
    h_before = jnp.concatenate([h0[None], h[:-1]])
    WhT = lax.optimization_barrier(weights.Wh.T)  # else transposed in every step

    def step(dafter, at):
        kept, h_before, h, dh = at
        dp, dbefore = cell.pull(kept, h_before, h, (dafter[0] + dh, *dafter[1:]))
        past = cell.recurrent(dp, kept) @ WhT
        return (dbefore[0] + past, *dbefore[1:]), dp

    dstate, dp = lax.scan(step, dlast, (kept, h_before, h, dh), reverse=True)
    du = cell.recurrent(dp, kept)
    dWx, dWh = _outer(x, dp, weights.Wx), _outer(h_before, du, weights.Wh)
    return dstate, dp @ weights.Wx.T, Weights(dWx, dWh, _sum(dp), _sum(du))


@in_one_program("cell")
def forward_mode(cell: Cell, primals, tangents):
    """For moves of (x, state, weights), returns (h, last state) and their moves."""
    (x, state, weights), (dx, dstate, moved) = primals, tangents
    p = _affine(x, weights.Wx, weights.bx)
    dp = dx @ weights.Wx + _affine(x, moved.Wx, moved.bx)

    def step(carry, at):
        (before, dbefore), (p, dp) = carry, at
        u = _affine(before[0], weights.Wh, weights.bh)
        du = dbefore[0] @ weights.Wh + _affine(before[0], moved.Wh, moved.bh)
        after, kept = cell.step(p, u, before)
        dafter = cell.push(kept, before[0], after[0], dp, du, dbefore)
        return (after, dafter), (after[0], dafter[0])

    (last, dlast), (h, dh) = lax.scan(step, (state, dstate), (p, dp))
    return (h, last), (dh, dlast)


def _affine(x, W, b):
    return x @ W if b is None else x @ W + along_last(b, x)


def _outer(a, b, W):
    """sum over all rows n of a[n].T b[n], laid over devices as W is."""
    rows = tuple(range(a.ndim - 1))
    sides = (rows, rows), ((), ())
    given = {"preferred_element_type": wide_type(a), "out_sharding": sharding(W)}
    return lax.dot_general(a, b, sides, **given)


def _sum(a):
    return a.sum(tuple(range(a.ndim - 1)), dtype=wide_type(a))


def _zeros(weights, *made_of):
    Wx, Wh = weights.Wx, weights.Wh
    shapes = Weights(Wx.shape, Wh.shape, Wx.shape[1:], Wx.shape[1:])
    return Weights(*(varying(jnp.zeros(s, wide_type(Wx)), *made_of) for s in shapes))


def _narrow(sums, x):
    return jax.tree.map(lambda a: a.astype(x.dtype), sums)

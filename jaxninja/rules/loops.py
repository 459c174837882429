"""Loops over an array's leading axis in pieces; what a sum in a loop begins with."""

import jax
import jax.numpy as jnp
from jax import lax


def in_pieces(over_piece, carry, xs, size):
    """`over_piece(carry, piece of xs) -> carry, ys`, from the first piece to the last.

    Args:
        over_piece: called while tracing, once or twice.
        carry: what goes from piece to piece, as in `lax.scan`.
        xs: pytree of arrays [T, ...]; a piece is `size` steps of each, the last one may
            be shorter.
        size: 1 or more.

    Returns:
        The last carry, ys [T, ...], and the carries [pieces, ...] before each piece.
    """

    def step(carry, piece):
        after, ys = over_piece(carry, piece)
        return after, (ys, carry)

    whole, rest = _split(xs, size)
    carry, (ys, starts) = lax.scan(step, carry, whole)
    ys = _flat(ys)
    if _length(rest):
        starts = _append(starts, jax.tree.map(lambda a: a[None], carry))
        carry, last = over_piece(carry, rest)
        ys = _append(ys, last)
    return carry, ys, starts


def in_pieces_backwards(over_piece, carry, xs, starts, size):
    """`over_piece(carry, piece of xs, its start) -> carry, ys`, the last piece first.

    Args:
        starts: pytree of arrays [pieces, ...], as `in_pieces` returns it.

    Returns:
        The last carry, and ys [T, ...].
    """
    whole, rest = _split(xs, size)
    count, last = _length(whole), None
    if _length(rest):
        carry, last = over_piece(carry, rest, jax.tree.map(lambda a: a[-1], starts))
    whole = whole, jax.tree.map(lambda a: a[:count], starts)
    carry, ys = lax.scan(lambda c, at: over_piece(c, *at), carry, whole, reverse=True)
    return carry, _flat(ys) if last is None else _append(_flat(ys), last)


def varying(start, *arrays):
    """`start`, typed as varying over devices where an array is: shard_map asks it of
    what a loop begins with. Nothing is computed."""
    for array in arrays:
        if array is not None:
            start = jnp.where(False, array.sum().astype(start.dtype), start)
    return start


def _split(xs, size):
    """Pieces [count, size, ...] of all steps that fill one, and the rest [few, ...]."""
    T = _length(xs)
    size = min(size, T)
    end = T - T % size
    whole = jax.tree.map(lambda a: a[:end].reshape(-1, size, *a.shape[1:]), xs)
    return whole, jax.tree.map(lambda a: a[end:], xs)


def _flat(ys):
    return jax.tree.map(lambda a: a.reshape(-1, *a.shape[2:]), ys)


def _append(ys, last):
    return jax.tree.map(lambda a, b: jnp.concatenate([a, b]), ys, last)


def _length(xs):
    return len(jax.tree.leaves(xs)[0])

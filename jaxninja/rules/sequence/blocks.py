"""The order of attention's work: which block of queries meets which block of keys.

The T x S table of pairs (query t, key s) is cut into blocks. A step takes one block, of
some batch elements and some heads of keys; the G heads of queries that share a head of
keys are G times as many rows of it. A block in which no query sees a key is left out. A
last block that would reach beyond the end starts earlier instead: what it has in common
with the block before it must not be summed twice.

Nothing here knows what attention computes.
"""

import itertools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from jaxninja.rules import blocking


class At(NamedTuple):
    """Where a step is; integers, traced."""

    b: jax.Array  # first batch element
    h: jax.Array  # first head of keys
    i: jax.Array  # row of blocks
    j: jax.Array  # column of blocks
    new: jax.Array  # whether the walk begins another line, a row or a column


class Grid(NamedTuple):
    """The table and how it is cut; all static."""

    T: int  # queries
    S: int  # keys
    G: int  # heads of queries for each head of keys
    low: int  # query t sees key s
    high: int  # if low < t - s < high
    rows: int  # queries of a block
    columns: int  # keys of a block
    batch: int  # batch elements of a step
    heads: int  # heads of keys of a step
    places: tuple[int, int]  # how many such steps it takes to have all of them

    def walk(self, line: str, step: Callable, state):
        """`step(state, at)` for each block in which a query sees a key.

        Those of a line, which is a "row" or a "column", follow each other.
        """
        blocks = self.blocks(line)
        table = jnp.array(blocks, jnp.int32).reshape(-1, 3)

        def body(n, state):
            n = n.astype(jnp.int32)
            place = n // len(blocks)
            i, j, new = lax.dynamic_index_in_dim(table, n % len(blocks), 0, False)
            b, h = place // self.places[1], place % self.places[1]
            return step(state, At(b * self.batch, h * self.heads, i, j, new == 1))

        count = len(blocks) * self.places[0] * self.places[1]
        return lax.fori_loop(0, count, body, state) if count else state

    def blocks(self, line: str) -> list[tuple[int, int, int]]:
        """Row, column and 1 where a line begins, else 0, of each block to visit."""
        counts = -(-self.T // self.rows), -(-self.S // self.columns)
        table = itertools.product(range(counts[0]), range(counts[1]))
        met = [(i, j) for i, j in table if self._meet(i, j)]
        n = ("row", "column").index(line)
        met.sort(key=lambda at: (at[n], at))
        before = [None, *(at[n] for at in met)]
        new = (int(at[n] != last) for at, last in zip(met, before, strict=False))
        return [(i, j, begins) for (i, j), begins in zip(met, new, strict=True)]

    def _meet(self, i: int, j: int) -> bool:
        """Whether any query of block row i sees any key of block column j."""
        t, s = (
            min(i * self.rows, self.T - self.rows),
            min(j * self.columns, self.S - self.columns),
        )
        return (
            t + self.rows - 1 - s > self.low and t - (s + self.columns - 1) < self.high
        )

    def seen(self, at: At, once: bool = False) -> jax.Array:
        """[1, 1, G rows, columns]: which key counts for which query.

        A key that the column before has too does not count again, nor, `once`, a query.
        """
        t = self._t(at) + jnp.arange(self.rows, dtype=jnp.int32)[:, None]
        s = self._s(at) + jnp.arange(self.columns, dtype=jnp.int32)[None]
        counts = (t - s > self.low) & (t - s < self.high) & (s >= at.j * self.columns)
        if once:
            counts &= t >= at.i * self.rows
        return jnp.tile(counts, (self.G, 1))[None, None]

    def queries(self, x, at: At) -> jax.Array:
        """The part [batch, heads, G rows, N] of x [B, T, H, N] at a step."""
        size = self.batch, self.rows, self.heads * self.G, x.shape[-1]
        part = lax.dynamic_slice(x, self._query(at), size)
        part = part.reshape(self.batch, self.rows, self.heads, self.G, -1)
        return part.transpose(0, 2, 3, 1, 4).reshape(self.rows_of(x.shape[-1]))

    def keys(self, x, at: At) -> jax.Array:
        """The part [batch, heads, columns, N] of x [B, S, K, N] at a step."""
        size = self.batch, self.columns, self.heads, x.shape[-1]
        return lax.dynamic_slice(x, self._key(at), size).swapaxes(1, 2)

    def put_queries(self, total, part, at: At) -> jax.Array:
        """`total` [B, T, H, N] with this part [batch, heads, G rows, N]."""
        part = part.reshape(self.batch, self.heads, self.G, self.rows, -1)
        part = part.transpose(0, 3, 1, 2, 4).astype(total.dtype)
        part = part.reshape(self.batch, self.rows, self.heads * self.G, -1)
        return lax.dynamic_update_slice(total, part, self._query(at))

    def add_queries(self, total, part, at: At) -> jax.Array:
        """`total` [B, T, H, N] with this part [batch, heads, G rows, N] added."""
        return self.put_queries(total, self.queries(total, at) + part, at)

    def add_keys(self, total, part, at: At) -> jax.Array:
        """`total` [B, S, K, N] with this part [batch, heads, columns, N] added."""
        part = (self.keys(total, at) + part).swapaxes(1, 2)
        return lax.dynamic_update_slice(total, part, self._key(at))

    def tile(self, bias, at: At) -> jax.Array | None:
        """The part [batch or 1, heads or 1, G rows, columns] of bias [B, H, T, S] at a
        step. Any axis of bias may be 1, for all alike; and bias may be None."""
        if bias is None:
            return None
        part = lax.dynamic_slice(bias, *self._tile(bias, at))
        b, _h, t, s = part.shape
        heads, G = (1, 1) if bias.shape[1] == 1 else (self.heads, self.G)
        part = part.reshape(b, heads, G, t, s)
        part = jnp.broadcast_to(part, (b, heads, self.G, self.rows, self.columns))
        return part.reshape(b, heads, self.G * self.rows, self.columns)

    def add_tile(self, total, part, at: At) -> jax.Array | None:
        """`total`, of the shape of bias, with this part [batch, heads, G rows, columns]
        added, summed over the axes in which bias is 1."""
        if total is None:
            return None
        part = part.reshape(self.batch, self.heads * self.G, self.rows, self.columns)
        alike = tuple(axis for axis in range(4) if total.shape[axis] == 1)
        start, size = self._tile(total, at)
        part = lax.dynamic_slice(total, start, size) + part.sum(alike, keepdims=True)
        return lax.dynamic_update_slice(total, part, start)

    def rows_of(self, N: int) -> tuple[int, ...]:
        """Shape of a step's part of queries."""
        return self.batch, self.heads, self.G * self.rows, N

    def _query(self, at: At):
        return at.b, self._t(at), at.h * self.G, jnp.int32(0)

    def _key(self, at: At):
        return at.b, self._s(at), at.h, jnp.int32(0)

    def _tile(self, bias, at: At):
        """Start and sizes of a step's part of bias."""
        start = at.b, at.h * self.G, self._t(at), self._s(at)
        size = self.batch, self.heads * self.G, self.rows, self.columns
        alike = [n == 1 for n in bias.shape]
        start = [
            jnp.int32(0) if one else n for one, n in zip(alike, start, strict=True)
        ]
        return start, [1 if one else n for one, n in zip(alike, size, strict=True)]

    def _t(self, at: At):
        return jnp.minimum(at.i * self.rows, self.T - self.rows)

    def _s(self, at: At):
        return jnp.minimum(at.j * self.columns, self.S - self.columns)


def cut(q, k, causal: bool, window: int | None) -> Grid:
    """The table of q [B, T, H, D] and k [B, S, K, D], cut as suits this platform."""
    (B, T, H, _), (S, K) = q.shape, k.shape[1:3]
    high = T + S if window is None else window
    low = -1 if causal else -high
    rows, columns = blocking.positions(T), blocking.positions(S)
    batch, heads = blocking.batch_and_heads(B, K, H // K)
    places = B // batch, K // heads
    return Grid(T, S, H // K, low, high, rows, columns, batch, heads, places)

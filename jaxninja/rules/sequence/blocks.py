"""The order of attention's work: which block of queries meets which block of keys.

The T x S table of pairs (query t, key s) is cut into blocks. A block in which no query
sees a key is left out. A last block that would reach beyond the end starts earlier
instead: what it has in common with the block before it must not be summed twice.

Some batch elements and some heads of keys are a place, of which all blocks are done
before those of the next one. What is theirs is copied out, heads first: as rows
[..., t, N], and as columns [..., N, t] where a product wants them so. The G heads of
queries that share a head of keys are G times as many rows of a block.

Nothing here knows what attention computes.
"""

import itertools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from jaxninja.rules import blocking


class Place(NamedTuple):
    """Integers, traced."""

    b: jax.Array  # first batch element
    h: jax.Array  # first head of keys


class At(NamedTuple):
    """Where a step is; integers, traced."""

    t: jax.Array  # first query of the block
    s: jax.Array  # first key
    own_t: jax.Array  # first query that is not the row of blocks before's, too
    own_s: jax.Array  # first key that is not the column before's
    new: jax.Array | int  # 1 where the walk begins another line, a row or a column


class Grid(NamedTuple):
    """The table and how it is cut; all static."""

    T: int  # queries
    S: int  # keys
    G: int  # heads of queries for each head of keys
    low: int  # query t sees key s
    high: int  # if low < t - s < high
    rows: int  # queries of a block
    columns: int  # keys of a block
    batch: int  # batch elements of a place
    heads: int  # heads of keys of a place
    places: tuple[int, int]  # how many such places it takes to have all of them

    def everywhere(self, body: Callable, state):
        """`body(state, place)` for each place."""

        def step(n, state):
            b, h = n // self.places[1] * self.batch, n % self.places[1] * self.heads
            return body(state, Place(jnp.int32(b), jnp.int32(h)))

        return lax.fori_loop(0, self.places[0] * self.places[1], step, state)

    def walk(self, line: str, step: Callable, state):
        """`step(state, at)` for each block in which a query sees a key.

        Those of a line, which is a "row" or a "column", follow each other.
        """
        blocks = self.blocks(line)
        table = jnp.array([*blocks, *blocks[:1]], jnp.int32)

        def body(n, carry):  # carries At, else each score would look it up anew
            at, state = carry
            return At(*table[n + 1]), step(state, at)

        if not blocks:
            return state
        return lax.fori_loop(0, len(blocks), body, (At(*table[0]), state))[1]

    def blocks(self, line: str) -> list[At]:
        """The blocks to visit."""
        counts = -(-self.T // self.rows), -(-self.S // self.columns)
        table = itertools.product(range(counts[0]), range(counts[1]))
        met = [at for i, j in table if self._meet(at := self._block(i, j))]
        axis = ("row", "column").index(line)
        met.sort(key=lambda at: (at[axis], at))
        before = [None, *(at[axis] for at in met)]
        new = (int(at[axis] != last) for at, last in zip(met, before, strict=False))
        return [at._replace(new=one) for at, one in zip(met, new, strict=True)]

    def _block(self, i: int, j: int) -> At:
        t, s = i * self.rows, j * self.columns
        place: Any = min(t, self.T - self.rows), min(s, self.S - self.columns), t, s, 0
        return At(*place)

    def _meet(self, at: At) -> bool:
        """Whether any query of the block sees any key of it."""
        farthest, nearest = at.t + self.rows - 1 - at.s, at.t - at.s - self.columns + 1
        return bool(farthest > self.low and nearest < self.high)

    def seen(self, at: At, once: bool = False) -> jax.Array:
        """[1, 1, columns, G rows]: which key counts for which query.

        A key that the column before has too does not count again, nor, `once`, a query.
        """
        far = 3 * (self.T + self.S)  # in the past of all keys, in the future of queries
        t = at.t + jnp.arange(self.rows, dtype=jnp.int32)
        s = at.s + jnp.arange(self.columns, dtype=jnp.int32)
        t = jnp.where(t >= at.own_t, t, -far) if once else t
        s = jnp.where(s >= at.own_s, s, far)
        distance = jnp.tile(t, self.G)[None] - s[:, None]
        counts = distance > self.low
        if self.high < self.T:
            counts &= distance < self.high
        return counts[None, None]

    def query_rows(self, x, place: Place) -> jax.Array:
        """The part [batch, heads, G, T, N] of x [B, T, H, N]."""
        return self._heads(x, place).transpose(0, 2, 3, 1, 4)

    def query_columns(self, x, place: Place) -> jax.Array:
        """The part [batch, heads, N, G, T] of x [B, T, H, N]."""
        return self._heads(x, place).transpose(0, 2, 4, 3, 1)

    def _heads(self, x, place):
        size = self.batch, self.T, self.heads * self.G, x.shape[-1]
        part = lax.dynamic_slice(x, self._query(place), size)
        return part.reshape(self.batch, self.T, self.heads, self.G, -1)

    def _query(self, place):
        return place.b, jnp.int32(0), place.h * self.G, jnp.int32(0)

    def _key(self, place):
        return place.b, jnp.int32(0), place.h, jnp.int32(0)

    def key_rows(self, x, place: Place) -> jax.Array:
        """The part [batch, heads, S, N] of x [B, S, K, N]."""
        size = self.batch, self.S, self.heads, x.shape[-1]
        return lax.dynamic_slice(x, self._key(place), size).swapaxes(1, 2)

    def key_columns(self, x, place: Place) -> jax.Array:
        """The part [batch, heads, N, S] of x [B, S, K, N]."""
        return self.key_rows(x, place).swapaxes(2, 3)

    def put_queries(self, total, part, place: Place) -> jax.Array:
        """`total` [B, T, H, N] with this part [batch, heads, N, G, T]."""
        part = part.transpose(0, 4, 1, 3, 2).astype(total.dtype)
        part = part.reshape(self.batch, self.T, self.heads * self.G, -1)
        return lax.dynamic_update_slice(total, part, self._query(place))

    def put_keys(self, total, part, place: Place) -> jax.Array:
        """`total` [B, S, K, N] with this part [batch, heads, S, N]."""
        part = part.swapaxes(1, 2).astype(total.dtype)
        return lax.dynamic_update_slice(total, part, self._key(place))

    def queries(self, x, at: At, axis: int) -> jax.Array:
        """The block of a place's rows (axis -2) or columns (-1) of queries."""
        part = lax.dynamic_slice_in_dim(x, at.t, self.rows, axis)
        along, N = self.G * self.rows, x.shape[4 if axis == -2 else 2]
        shape = (along, N) if axis == -2 else (N, along)
        return part.reshape(self.batch, self.heads, *shape)

    def keys(self, x, at: At, axis: int) -> jax.Array:
        """The block of a place's rows (axis -2) or columns (-1) of keys."""
        return lax.dynamic_slice_in_dim(x, at.s, self.columns, axis)

    def put_columns(self, total, part, at: At) -> jax.Array:
        """`total` [batch, heads, N, G, T] with this block [batch, heads, N, G rows]."""
        part = part.reshape(*part.shape[:3], self.G, self.rows).astype(total.dtype)
        return lax.dynamic_update_slice_in_dim(total, part, at.t, -1)

    def add_columns(self, total, part, at: At) -> jax.Array:
        """`total` [batch, heads, N, G, T] with this block added."""
        return self.put_columns(total, self.queries(total, at, -1) + part, at)

    def add_keys(self, total, part, at: At) -> jax.Array:
        """`total` [batch, heads, S, N] with this block [batch, heads, columns, N]."""
        part = self.keys(total, at, -2) + part
        return lax.dynamic_update_slice_in_dim(total, part, at.s, -2)

    def block_of(self, N: int) -> tuple[int, ...]:
        """Shape of a block of columns of queries."""
        return self.batch, self.heads, N, self.G * self.rows

    def columns_of(self, N: int) -> tuple[int, ...]:
        """Shape of a place's columns of queries."""
        return self.batch, self.heads, N, self.G, self.T

    def tile(self, bias, place: Place, at: At) -> jax.Array | None:
        """The block [batch or 1, heads or 1, columns, G rows] of bias [B, H, T, S].

        Any axis of bias may be 1, for all alike; and bias may be None.
        """
        if bias is None:
            return None
        part = lax.dynamic_slice(bias, *self._tile(bias, place, at))
        b, _h, t, s = part.shape
        heads, G = (1, 1) if bias.shape[1] == 1 else (self.heads, self.G)
        part = part.reshape(b, heads, G, t, s)
        part = jnp.broadcast_to(part, (b, heads, self.G, self.rows, self.columns))
        part = part.reshape(b, heads, self.G * self.rows, self.columns)
        return part.swapaxes(2, 3)

    def add_tile(self, total, part, place: Place, at: At) -> jax.Array | None:
        """`total` with this block [batch, heads, columns, G rows] added, summed over
        the axes in which `total` is 1, as bias is."""
        if total is None:
            return None
        part = part.swapaxes(2, 3)
        part = part.reshape(self.batch, self.heads * self.G, self.rows, self.columns)
        alike = tuple(axis for axis in range(4) if total.shape[axis] == 1)
        start, size = self._tile(total, place, at)
        part = lax.dynamic_slice(total, start, size) + part.sum(alike, keepdims=True)
        return lax.dynamic_update_slice(total, part, start)

    def _tile(self, bias, place: Place, at: At):
        """Start and sizes of a block of bias."""
        start = place.b, place.h * self.G, at.t, at.s
        size = self.batch, self.heads * self.G, self.rows, self.columns
        alike = [n == 1 for n in bias.shape]
        start = [
            jnp.int32(0) if one else n for one, n in zip(alike, start, strict=True)
        ]
        return start, [1 if one else n for one, n in zip(alike, size, strict=True)]


def cut(q, k, causal: bool, window: int | None) -> Grid:
    """The table of q [B, T, H, D] and k [B, S, K, D], cut as suits this platform."""
    (B, T, H, _), (S, K) = q.shape, k.shape[1:3]
    high = T + S if window is None else window
    low = -1 if causal else -high
    rows, columns = blocking.positions(T), blocking.positions(S)
    batch, heads = blocking.batch_and_heads(B, K, max(H // K * T, S))
    places = B // batch, K // heads
    return Grid(T, S, H // K, low, high, rows, columns, batch, heads, places)

"""Items two by two in a row, so that half of the padding is never computed.

A batch of makemore's names is 55 % padding: 32 rows of 16 places hold 228 symbols. But
a row has room for two names, and 17 rows for nearly any 32 of them:

    0 a n n a 0 0 0              0 a n n a 0 i o         places  0 1 2 3 4 0 1 2
    0 i o 0 0 0 0 0

What a model must know is each symbol's place in its own item: where it is 0, another
item begins, of which nothing before is seen. Then each loss, and so the sum of all
gradients, has the terms that it had, and no others.

Which two? Any fit that is possible is possible with the k longest items alone, and of
the others the longest with the shortest, the next longest with the next shortest, and
so on. (If two pairs fit, they still do when the longer halves change places.) k is the
least number for which that fits.

Compiled programs have fixed shapes, so rows come in groups of `rows_of_a_group`, and a
loop runs over as many groups as there are: one, nearly always. A batch that does not
fit takes a second turn of the same program. So nothing is dropped, and there is no
other program whose sums would be rounded otherwise.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Int


class Rows(NamedTuple):
    """Packed items: what a by-hand pass reads."""

    ids: jax.Array  # [R, T]
    labels: jax.Array  # [R, T], -1 where there is none
    places: jax.Array  # [R, T] place in the item; it begins where this is 0


class Pairs(NamedTuple):
    """Which items share a row; the index of an item, or -1 for none."""

    first: jax.Array  # [N]
    second: jax.Array  # [N]
    used: jax.Array  # how many rows have items


def rows_of_a_group(items: int) -> int:
    """Half of the items, and 1 in 32 more for long ones: 17 rows for 32 names."""
    return (items + 1 + items // 16) // 2


def in_packed_rows(
    walk: Callable[[Rows, jax.Array], Any],
    ids: Int[Array, "N T"],
    labels: Int[Array, "N T"],
) -> Any:
    """The sum of `walk(rows, n)` over all groups of packed rows.

    Args:
        walk: returns sums over the items in its rows, divided by n, which is the number
            of labels in the whole batch, at least 1.
        ids: [N, T] of items, as a sequence model reads them.
        labels: [N, T].
    """
    n = jnp.maximum((labels >= 0).sum(), 1)
    size = rows_of_a_group(len(ids))
    pairs = paired(labels)
    shapes = jax.eval_shape(lambda: walk(rows_at(ids, labels, pairs, 0, size), n))
    zero = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), shapes)

    def group(i, sums):
        more = walk(rows_at(ids, labels, pairs, i * size, size), n)
        return jax.tree.map(jnp.add, sums, more)

    return lax.fori_loop(0, -(-pairs.used // size), group, zero)


def paired(labels: Int[Array, "N T"]) -> Pairs:
    """The k longest items alone, and the longest of the others with the shortest."""
    N, T = labels.shape
    lengths = jnp.where(labels >= 0, jnp.arange(1, T + 1), 0).max(1)
    order = jnp.argsort(-lengths)  # the longest first
    k = _alone(lengths[order], T)
    row = jnp.arange(N)
    partner = N - 1 - (row - k)  # the shortest for row k, the next for the next
    paired = (row >= k) & (partner > row)
    second = jnp.where(paired, order[jnp.clip(partner, 0, N - 1)], -1)
    used = k + (N - k + 1) // 2
    return Pairs(jnp.where(row < used, order, -1), second, used)


def _alone(lengths: jax.Array, T: int) -> jax.Array:
    """The least k for which lengths[k + i] + lengths[N - 1 - i] <= T, all i."""
    N = len(lengths)
    i = jnp.arange(N)
    # the i-th shortest fits with the items from this one on
    fits_from = (lengths[None] > (T - lengths[::-1])[:, None]).sum(1)
    most = lax.cummax(fits_from - i)  # over the first i shortest: k must not be below
    pairs = (N - i) // 2
    enough = (pairs == 0) | (i >= most[jnp.maximum(pairs - 1, 0)])
    return jnp.argmax(enough)


def rows_at(
    ids: Int[Array, "N T"],
    labels: Int[Array, "N T"],
    pairs: Pairs,
    start: Any,
    size: int,
) -> Rows:
    """`size` rows of the table of pairs, from `start` on; without items behind it."""
    T = ids.shape[1]
    row = start + jnp.arange(size)
    first, second = (
        jnp.where(row < len(a), a[jnp.minimum(row, len(a) - 1)], -1)[:, None]
        for a in pairs[:2]
    )
    t = jnp.arange(T)
    length = jnp.where(labels >= 0, jnp.arange(1, T + 1), 0).max(1)[first]  # [R, 1]
    in_first = (t < length) | (second < 0)
    places = jnp.where(in_first, t, t - length)
    item = jnp.where(in_first, first, second)
    there = item >= 0
    return Rows(
        jnp.where(there, ids[item, places], 0),
        jnp.where(there, labels[item, places], -1),
        places,
    )

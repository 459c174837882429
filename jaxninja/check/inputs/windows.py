"""Windows that start within an array and would end beyond it.

`lax.dynamic_slice` and `lax.dynamic_update_slice` move such a window back. Where an
argument says where it starts, that is a value of the function like any other, and a
backward pass that counts positions from the start as given is wrong there.
"""

from collections.abc import Callable, Iterator

import jax
import jax.numpy as jnp
import numpy as np

from jaxninja.check.inputs.kinds import kind_of
from jaxninja.jaxpr import CALLS, body, opened, run

_FIRST_START = {"dynamic_slice": 1, "dynamic_update_slice": 2}  # of the operands
_NONE: frozenset[int] = frozenset()


def late(f: Callable, args: tuple, names: list[str]) -> Iterator[tuple[str, tuple]]:
    """(label, args) with each number that starts a window at the last entry of what the
    window slides over.

    Args:
        f: the plain forward.
        args: its arguments.
        names: of all their leaves.
    """
    leaves, tree = jax.tree.flatten(args)
    starts = [frozenset({i} if _counts(a) else ()) for i, a in enumerate(leaves)]
    if not any(starts):
        return
    last: dict[int, int] = {}
    _follow(jax.make_jaxpr(f)(*args), starts, last)
    for i, end in last.items():
        value = np.full_like(leaves[i], end)
        changed = [*leaves[:i], value, *leaves[i + 1 :]]
        yield f"{names[i]} at the last entry", jax.tree.unflatten(tree, changed)


def _counts(leaf) -> bool:
    return np.ndim(leaf) == 0 and kind_of(leaf) == "int"


def _follow(closed, starts: list, last: dict[int, int]) -> list:
    """Of which leaves each output is a number; in `last`, the last entries."""

    def step(eqn, operands: list) -> list:
        if eqn.primitive in CALLS:
            return _follow(body(eqn), operands, last)
        for leaf, end in _ends(eqn, operands):
            last[leaf] = min(end, last.get(leaf, end))
        made_of = _NONE.union(*operands)
        return [made_of if _whole(v.aval) else _NONE for v in eqn.outvars]

    jaxpr, consts = opened(closed)
    return run(jaxpr, [_NONE] * len(consts), starts, step, lambda literal: _NONE)


def _ends(eqn, operands: list) -> Iterator[tuple[int, int]]:
    """(leaf, last entry) where a leaf starts a window of some entries, not of all."""
    first = _FIRST_START.get(eqn.primitive.name)
    if first is None:
        return
    shape = eqn.invars[0].aval.shape
    window = eqn.params.get("slice_sizes") or eqn.invars[1].aval.shape
    for leaves, n, size in zip(operands[first:], shape, window, strict=True):
        yield from ((leaf, n - 1) for leaf in leaves if 1 < size < n)


def _whole(aval) -> bool:
    return not aval.shape and jnp.issubdtype(aval.dtype, jnp.integer)

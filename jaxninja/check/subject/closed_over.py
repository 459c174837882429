"""NumPy tables that a function closes over, handed to JAX anew in each precision.

JAX remembers which array became of a NumPy array of 64 bits, one of 32 bits say, for as
long as a trace that holds it lives, and does not ask whether x64 was switched since. A
rule that reads such a table and is traced in both precisions would then meet int32
where its other numbers are int64. So a copy stands in the table's place while the
function is called, another one with x64 than without.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import lru_cache, wraps
from itertools import chain
from types import CellType, CodeType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxninja.check.subject.subject import Subject
from jaxninja.errors import is_users


@dataclass(frozen=True)
class Slot:
    """Where a function reads a value: a cell of its closure, or a global by name."""

    holder: CellType | dict = field(compare=False)
    name: str
    place: int

    def read(self) -> Any:
        if isinstance(self.holder, dict):
            return self.holder[self.name]
        return self.holder.cell_contents

    def write(self, value) -> None:
        if isinstance(self.holder, dict):
            self.holder[self.name] = value
        else:
            self.holder.cell_contents = value


def handed_anew(subject: Subject) -> Subject:
    """The same rule, whose functions meet NumPy tables anew in each precision."""
    if subject.is_numpy:
        return subject
    op = subject.op_function
    if isinstance(op, jax.custom_vjp) and any(
        anew(f) is not f for f in (op.fun, op.fwd, op.bwd)
    ):
        op = jax.custom_vjp(anew(op.fun), nondiff_argnums=op.nondiff_argnums)
        fwd, bwd = map(anew, (subject.fwd_function, subject.bwd_function))
        op.defvjp(fwd, bwd, symbolic_zeros=subject.symbolic_zeros)
    return replace(
        subject,
        plain_function=anew(subject.plain_function),
        fwd_function=anew(subject.fwd_function),
        bwd_function=anew(subject.bwd_function),
        op_function=op if isinstance(op, jax.custom_vjp) else anew(op),
    )


@lru_cache(maxsize=256)
def anew(function: Callable) -> Callable:
    """`function`, which meets tables that JAX has not seen in the other precision; it
    itself where it reads none."""
    slots = [s for s in dict.fromkeys(_slots(function, set())) if _is_table(s.read())]
    if not slots:
        return function
    copies: dict[tuple, tuple] = {}

    @wraps(function)
    def run(*args, **options):
        with _replaced(slots, copies):
            return function(*args, **options)

    return run


def _slots(function, seen: set) -> Iterator[Slot]:
    """What a function of the user's reads, and what the functions in it do."""
    if isinstance(function, jax.custom_vjp):
        for part in (function.fun, function.fwd, function.bwd):
            yield from _slots(part, seen)
        return
    while hasattr(function, "__wrapped__"):
        function = function.__wrapped__
    code = getattr(function, "__code__", None)
    if code is None or id(function) in seen or not is_users(code.co_filename):
        return
    seen.add(id(function))
    cells, known = filter(_is_filled, function.__closure__ or ()), function.__globals__
    found = [Slot(cell, "", id(cell)) for cell in cells]
    found += [Slot(known, n, id(known)) for n in _names(code) if n in known]
    for slot in found:
        yield slot
        if callable(slot.read()):
            yield from _slots(slot.read(), seen)


def _is_filled(cell: CellType) -> bool:
    try:
        return cell.cell_contents is not None
    except ValueError:
        return False


def _names(code: CodeType) -> list[str]:
    inner = [_names(c) for c in code.co_consts if isinstance(c, CodeType)]
    return [*code.co_names, *chain(*inner)]


def _is_wide(leaf) -> bool:
    return (
        isinstance(leaf, np.ndarray)
        and leaf.dtype.kind in "iufc"
        and (leaf.dtype.itemsize // (2 if leaf.dtype.kind == "c" else 1) == 8)
    )


def _is_table(value) -> bool:
    """A NumPy array of 64 bits, or a container of some."""
    if not isinstance(value, np.ndarray | list | tuple | dict):
        return False
    return any(map(_is_wide, jax.tree.leaves(value)))


@contextmanager
def _replaced(slots: list[Slot], copies: dict) -> Iterator[None]:
    wide = jnp.result_type(float)
    before = [slot.read() for slot in slots]
    try:
        for slot, value in zip(slots, before, strict=True):
            slot.write(_copy(value, wide, copies))
        yield
    finally:
        for slot, value in zip(slots, before, strict=True):
            slot.write(value)


def _copy(value, wide, copies: dict):
    """The copy for this precision, made again where the user has changed the table."""
    leaves = [a for a in jax.tree.leaves(value) if _is_wide(a)]
    kept, copy, exact = copies.get((id(value), wide), (None, None, []))
    if kept is value and all(map(np.array_equal, leaves, exact)):
        return copy
    copy = jax.tree.map(lambda a: np.array(a) if _is_wide(a) else a, value)
    exact = [a for a in jax.tree.leaves(copy) if _is_wide(a)]
    copies[id(value), wide] = value, copy, exact
    return copy

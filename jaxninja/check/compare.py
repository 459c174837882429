"""The one comparison of the project: elementwise, scale-aware, NaN is never equal.

    an entry agrees  if  |got - expected| <= tolerance of this entry

The tolerance never grows with the number of entries: an array of a million entries is
as right as its worst one. Shape and type are compared first and nothing is broadcast.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from jaxninja.errors import ArgumentError

# relative tolerance of two computations that round differently on the way
RELATIVE = {"float64": 1e-10, "float32": 1e-5, "float16": 4e-3, "bfloat16": 3e-2}


@dataclass(frozen=True)
class Difference:
    """How far an array is from the expected one.

    Attributes:
        ok: every entry is within its tolerance, and none is NaN where it should not.
        error: largest |got - expected| over the entries that both have.
        relative: that error over the largest expected magnitude.
        worst: index of the entry furthest out of its tolerance.
        got, expected: the values there.
        reason: why it is not ok: "shape", "value" or "nan"; "" if it is.
        better: entries that are finite here and not in the expected array.
        undecided: entries that are finite in neither, so nothing is known of them.
    """

    ok: bool
    error: float
    relative: float
    worst: tuple[int, ...]
    got: complex
    expected: complex
    reason: str = ""
    better: int = 0
    undecided: int = 0


def difference(got, expected, tolerance) -> Difference:
    """Compare two arrays elementwise; `tolerance` is a number or one per entry."""
    got, expected = wide(got), wide(expected)
    if got.shape != expected.shape:
        return Difference(False, np.inf, np.inf, (), np.nan, np.nan, "shape")
    if not got.size:
        return Difference(True, 0.0, 0.0, (), 0.0, 0.0)
    known, finite = np.isfinite(expected), np.isfinite(got)
    both = known & finite
    error = np.zeros(got.shape)
    error[both] = np.abs(got[both] - expected[both])
    excess = np.where(both, error - tolerance, np.where(known, np.inf, -np.inf))
    worst = np.unravel_index(np.argmax(excess), got.shape)
    ok = bool(excess[worst] <= 0)
    bad = "" if ok else ("value" if finite[worst] else "nan")
    largest = float(error.max())
    scale = float(np.max(np.abs(expected), where=known, initial=0.0))
    relative = largest / scale if scale else (np.inf if largest else 0.0)
    return Difference(
        ok,
        largest,
        relative if bad != "nan" else np.inf,
        tuple(map(int, worst)),
        got[worst].item(),
        expected[worst].item(),
        bad,
        int((finite & ~known).sum()),
        int((~finite & ~known).sum()),
    )


def wide(array) -> np.ndarray:
    """Any framework's array as a NumPy array of double precision."""
    if hasattr(array, "detach"):  # a torch tensor, perhaps one with grad or on a GPU
        array = array.detach().cpu()
        array = array.double() if "bfloat16" in str(array.dtype) else array
    array = np.asarray(array)
    kind = np.complex128 if np.iscomplexobj(array) else np.float64
    return array.astype(kind)


@dataclass(frozen=True)
class Line:
    """One leaf of a comparison: `name | exact | approximate | maxdiff`."""

    name: str
    exact: bool
    approximate: bool
    maxdiff: float
    note: str = ""

    def __str__(self) -> str:
        note = f" | {self.note}" if self.note else ""
        return (
            f"{self.name:15s} | exact: {self.exact!s:5s} | approximate: "
            f"{self.approximate!s:5s} | maxdiff: {self.maxdiff}{note}"
        )


@dataclass(frozen=True)
class Comparison:
    """What `compare_grads` found: true if every leaf agrees; str is a line a leaf."""

    lines: tuple[Line, ...]

    @property
    def ok(self) -> bool:
        """Whether every leaf agrees."""
        return bool(self.lines) and all(line.approximate for line in self.lines)

    def __bool__(self) -> bool:
        return self.ok

    def __str__(self) -> str:
        return "\n".join(map(str, self.lines))


def compare_grads(
    mine: Any,
    truth: Any,
    names: Sequence[str] | None = None,
    *,
    rtol: float | None = None,
    zero: Iterable[str] = (),
) -> Comparison:
    """Compare hand-derived gradients with true ones, leaf by leaf.

    An entry agrees if |mine - truth| <= rtol max|truth|, the maximum over its leaf. A
    leaf that should be exactly zero has no such scale (both sides hold rounding only):
    name it in `zero`, and the largest entry of all leaves serves.

    Args:
        mine: a pytree of arrays: JAX, NumPy, torch, anything `np.asarray` takes.
        truth: the same structure and shapes.
        names: one name a leaf, in the order of the leaves; by default their paths.
        rtol: relative tolerance; by default that of the less precise dtype of the two
            (1e-10 in float64, 1e-5 in float32).
        zero: names of leaves whose true gradient is exactly zero, as that of a bias
            in front of batch normalisation.

    Returns:
        A `Comparison`: true if all leaves agree, one line a leaf as a string. A leaf of
        another shape disagrees; nothing is broadcast.

    Raises:
        ValueError: the structures differ, there is no leaf or no entry, so that nothing
            is compared, or a name is missing.
    """
    paths, leaves = _leaves(mine)
    wanted, expected = _leaves(truth)
    if paths != wanted:
        missing = sorted(set(wanted) - set(paths)) or sorted(set(paths) - set(wanted))
        raise ArgumentError(
            f"compare_grads: {len(leaves)} leaves given, {len(expected)} expected; they"
            f" differ at {missing or 'their order'}: give both the same structure"
        )
    names = _named(paths, names)
    unknown = set(zero) - set(names)
    if unknown:
        raise ArgumentError(
            f"compare_grads: zero names {sorted(unknown)}, not in {names}"
        )
    if not any(np.size(wide(a)) for a in (*leaves, *expected)):
        raise ArgumentError(
            f"compare_grads: nothing to compare, {', '.join(names)} hold no entries"
        )
    overall = max(_magnitude(a) for a in expected)
    scales = [overall if name in zero else None for name in names]
    triples = zip(names, leaves, expected, scales, strict=True)
    return Comparison(tuple(_line(*entry, rtol) for entry in triples))


def _leaves(tree) -> tuple[list[str], list]:
    pairs = jax.tree_util.tree_flatten_with_path(tree)[0]
    return [jax.tree_util.keystr(path) for path, _ in pairs], [a for _, a in pairs]


def _named(paths: list[str], names: Sequence[str] | None) -> list[str]:
    names = [p or "gradient" for p in paths] if names is None else list(names)
    if not paths:
        raise ArgumentError(
            "compare_grads: no gradient to compare, the trees are empty"
        )
    if len(names) != len(paths):
        raise ArgumentError(
            f"compare_grads: {len(names)} names for {len(paths)} leaves: {paths}"
        )
    return names


def _line(name: str, mine, truth, scale: float | None, rtol: float | None) -> Line:
    shapes = tuple(np.shape(wide(a)) for a in (mine, truth))
    if shapes[0] != shapes[1]:
        note = f"shape {shapes[0]}, expected {shapes[1]}"
        return Line(name, False, False, np.inf, note)
    rtol = max(_rtol(mine), _rtol(truth)) if rtol is None else rtol
    tolerance = rtol * (_magnitude(truth) if scale is None else scale)
    found = difference(mine, truth, tolerance)
    nan = found.reason == "nan" or found.undecided or found.better
    note = "not finite" if nan else ""
    exact = bool(np.array_equal(wide(mine), wide(truth)))
    error = np.nan if nan else found.error
    return Line(name, exact, found.ok and not nan, error, note)


def _magnitude(array) -> float:
    values = np.abs(wide(array))
    return float(np.max(values, where=np.isfinite(values), initial=0.0))


def _rtol(array) -> float:
    dtype = str(getattr(array, "dtype", "float64")).removeprefix("torch.")
    return RELATIVE.get(dtype, RELATIVE["float64"])

"""How near is a gradient to the true one? A ladder of comparisons, a word on each.

shape, dtype, exact bits, largest difference in ULPs, relative error in float32, and in
float64. Only the last proves: in float32 rounding and a small mistake look alike.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from jaxninja.check.compare import RELATIVE, Line, compare_grads, wide
from jaxninja.errors import ArgumentTypeError
from jaxninja.workbook.texts.languages import sentence
from jaxninja.workbook.texts.wrapping import padded


@dataclass(frozen=True)
class Rung:
    """One rung of the ladder: what is compared, what was found, a word on it."""

    what: str
    found: str
    word: str
    ok: bool

    def __str__(self) -> str:
        return f"{self.what:<8} {padded(self.found, 44)} {self.word}"


def cmp(name: str, mine: Any, truth: Any, scale: float | None = None) -> Line:
    """The lecture's line: `name | exact | approximate | maxdiff`.

    It is `compare_grads` for one array. Unlike the lecture's it broadcasts nothing: a
    wrong shape is neither exact nor approximate, and the line says both shapes.

    Args:
        name: at the head of the line.
        mine, truth: arrays of JAX, NumPy or torch.
        scale: the magnitude that rounding is measured by; by default truth's largest
            entry. A gradient that is zero in theory (the lecture's db1, dlogit_maxes)
            needs one, as all that is left of it is rounding.

    Returns:
        A line: print it, or read its `exact`, `approximate` and `maxdiff`, which is NaN
        where an array is not finite.

    Raises:
        TypeError: one of them is no array: None, a list, a string.
    """
    for what, given in (("mine", mine), ("truth", truth)):
        if given is None or isinstance(given, str | list | tuple | dict | set):
            kind = type(given).__name__
            text = sentence("cmp", name=name, what=what, kind=kind)
            raise ArgumentTypeError(text)
    measure = np.asarray(scale or 0.0, "float32")
    one, other = ({name: a, "its scale": measure} for a in (mine, truth))
    zero = [name] if scale else []
    names = sorted([name, "its scale"])
    lines = compare_grads(one, other, names, zero=zero).lines
    line = next(line for line in lines if line.name == name)
    return replace(line, note=_note(line, np.shape(wide(mine)), np.shape(wide(truth))))


def _note(line: Line, given: tuple[int, ...], expected: tuple[int, ...]) -> str:
    """The end of a line, in the current language."""
    if given != expected:
        shapes = sentence("near shapes", given=given, expected=expected)
        return f"{sentence('rung shape')} {shapes}"
    return sentence("near not finite") if np.isnan(line.maxdiff) else ""


def ladder(
    mine: Any,
    truth: Any,
    scale: float,
    float64: float | None,
    note: str = "",
    worst: str = "",
) -> tuple[Rung, ...]:
    """The rungs for one gradient, down to the first that makes the others senseless.

    Args:
        mine, truth: in float32.
        scale: the magnitude that relative errors are taken of.
        float64: the largest relative error on samples in float64; None if unknown.
        note: on the last rung.
        worst: the sample in float64 that the error is largest on.
    """
    shapes = tuple(list(np.shape(wide(a))) for a in (mine, truth))
    if shapes[0] != shapes[1]:
        text = sentence("near shapes", given=shapes[0], expected=shapes[1])
        return (Rung("shape", text, sentence("near shape"), False),)
    right = Rung("shape", str(shapes[0]), sentence("near right"), True)
    rungs = [right, _dtype(mine, truth)]
    gap = np.abs(wide(mine) - wide(truth))
    if not np.isfinite(gap).all():
        bad = int((~np.isfinite(wide(mine))).sum())
        text = sentence("near bad", bad=bad, size=gap.size)
        return (*rungs, Rung("bits", text, sentence("near not a number"), False))
    same = int((wide(mine) == wide(truth)).sum())
    word = "near identical" if same == gap.size else "near not identical"
    text = sentence("near bits", same=same, size=gap.size)
    rungs.append(Rung("bits", text, sentence(word), True))
    largest = float(gap.max(initial=0.0))
    rungs += [_ulps(largest, scale), _relative("float32", largest / scale)]
    if float64 is not None:
        rungs.append(_relative("float64", float64, note, worst))
    return tuple(rungs)


def _dtype(mine, truth) -> Rung:
    given = str(getattr(mine, "dtype", np.asarray(mine).dtype))
    wanted = str(truth.dtype)
    word = sentence("near right")
    if given != wanted:
        word = sentence("near dtype", wanted=wanted)
    return Rung("dtype", given, word, given == wanted)


def _ulps(worst: float, scale: float) -> Rung:
    """A unit in the last place of the scale: for entries near zero it would be none."""
    ulps = worst / float(np.spacing(np.float32(scale)))
    word = "near none" if not worst else "near rounding" if ulps < 100 else "near more"
    text = sentence("near ulp", worst=f"{worst:.3g}", ulps=f"{ulps:.3g}")
    return Rung("maxdiff", text, sentence(word), ulps < 100)


def _relative(dtype: str, error: float, note: str = "", place: str = "") -> Rung:
    ok = error <= RELATIVE[dtype]
    wrong = sentence("near wrong for" if place else "near wrong", place=place)
    word = note or (sentence("near equal") if ok else wrong)
    return Rung(dtype, sentence("near error", error=f"{error:.2g}"), word, ok)

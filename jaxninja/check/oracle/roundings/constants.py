"""Constants that are rounded to float32 already, as `np.float32(0.1)` is.

A rule that brings one has the precision of float32, in float64 too. No cast shows it:
the number becomes one of float64 as it is traced. But its last digits are zeros, which
those of a number that is not round are once in 2^29.
"""

import jax
import numpy as np
from jax.extend.core import Literal

from jaxninja.check.subject.pytrees import is_float
from jaxninja.check.subject.structure_traced import traced_forward, traced_rule
from jaxninja.check.subject.subject import Subject
from jaxninja.jaxpr import equations

MASKED = 1e8  # numbers from it on hold back what is masked out
LAST = 8  # digits of float32 that are 0 in round numbers, as in 0.5 and 4096
WHOLE = 2**24  # integers up to it are numbers of float32, as is a round one, 1e8


def rounded_constants(subject: Subject, args: tuple) -> list[float]:
    """Those of the rule and none of the forward's, and the other way round; call it
    under float64."""
    mine, theirs = traced_rule(subject, args), traced_forward(subject, args)
    return sorted({*_rounded(mine)} ^ {*_rounded(theirs)})


def _rounded(closed) -> list[float]:
    held = [v.val for e in equations(closed.jaxpr) for v in e.invars if _is_literal(v)]
    known = [a for a in (*closed.consts, *held) if not isinstance(a, jax.core.Tracer)]
    numbers = [np.ravel(a) for a in known if is_float(a)]
    values = np.real(np.concatenate([np.zeros(1), *numbers])).astype(np.float64)
    values = values[np.isfinite(values)]
    with np.errstate(over="ignore"):
        narrow = values.astype(np.float32)
    return narrow[(narrow == values) & ~_is_round(narrow)].tolist()


def _is_literal(atom) -> bool:
    return isinstance(atom, Literal)


def _is_round(values: np.ndarray) -> np.ndarray:
    narrow = values.astype(np.float32)
    with np.errstate(invalid="ignore"):  # of what is infinite in float32
        small = (np.abs(narrow) < WHOLE) & (np.mod(narrow, 1) == 0)
        whole = small | (np.mod(narrow, 1000) == 0)
    return (narrow.view(np.uint32) % 2**LAST == 0) | whole


def is_rounded(atom) -> bool:
    """Whether an operand is a number in the text of a program which no dtype holds, as
    pi; what masks, -1e30 say, is none."""
    if not _is_literal(atom) or not is_float(atom.val):
        return False
    value = np.real(np.asarray(atom.val, complex))
    return bool(np.all(np.abs(value) < MASKED)) and not _is_round(value).all()

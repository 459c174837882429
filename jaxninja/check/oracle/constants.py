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

LAST = 8  # digits of float32 that are 0 in round numbers, as in 0.5 and 4096


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
    last = narrow.view(np.uint32) % 2**LAST
    return narrow[(narrow == values) & (last != 0)].tolist()


def _is_literal(atom) -> bool:
    return isinstance(atom, Literal)

"""Structure of a NumPy pair, found by running it once on copies of its arguments.

NumPy code cannot be traced, so its trees and shapes show when it runs. Its dtypes are
not judged: NumPy computes in float64 where it likes, and no contract forbids it.
"""

import jax
import numpy as np

from jaxninja.check.errors import running
from jaxninja.check.report import Finding
from jaxninja.check.subject.pytrees import cotangent, float_leaves, is_float
from jaxninja.check.subject.structure_traced import (
    nones,
    of_backward,
    of_forward,
    of_signatures,
)
from jaxninja.check.subject.subject import Subject

_OF_DTYPES = ("E-DTYPE", "E-FWDTYPE")


def structure_by_running(
    subject: Subject, args: tuple, differences: bool
) -> tuple[list[Finding], list[str]]:
    """As `structure`, of NumPy code; `differences`: its forward is its own reference.

    A forward that works in place is told here, where its values are still known.
    """
    findings = of_signatures(subject, args)
    if findings:
        return findings, []
    given = _copied(args)
    with running(f"forward of {subject.name}"):
        y, residuals = subject.fwd(given)
    changed = _changed(subject, args, given)
    findings = changed or _held_against_plain(subject, args, y, differences)
    if not findings and not float_leaves(y):
        text = f"no gradient to check: {subject.name} returns no floats"
        findings = [Finding("N-NOGRAD", text, subject.where)]
    if findings:
        return findings, []
    ones = [np.ones(np.shape(a), np.result_type(a)) for a in float_leaves(y)]
    with running(f"backward of {subject.name}"):
        raw = subject.bwd(_copied(residuals), cotangent(y, ones))
    return _without_dtypes(of_backward(subject, raw, args)), nones(subject, raw, args)


def _held_against_plain(subject, args, y, differences: bool) -> list[Finding]:
    """Output by output: nothing to be held against where the pair is its own truth."""
    if differences:
        return []
    with running(f"the reference of {subject.name}"):
        plain = jax.eval_shape(subject.plain, *args)
    return _without_dtypes(of_forward(subject, plain, y))


def _changed(subject: Subject, args: tuple, given: tuple) -> list[Finding]:
    names = [
        name
        for name, old, new in zip(subject.argument_names, args, given, strict=True)
        if not all(map(_same, jax.tree.leaves(old), jax.tree.leaves(new)))
    ]
    text = f"forward changes {' and '.join(names)} in place: work on a copy"
    return [Finding("E-MUTATES", text, subject.where)] if names else []


def _copied(tree):
    """Arrays of a tree copied; whatever else a residual may be stays as it is."""
    return jax.tree.map(lambda a: a.copy() if isinstance(a, np.ndarray) else a, tree)


def _same(old, new) -> bool:
    if not isinstance(old, np.ndarray):
        return True
    return np.array_equal(old, new, equal_nan=is_float(old))


def _without_dtypes(findings: list[Finding]) -> list[Finding]:
    return [f for f in findings if f.code not in _OF_DTYPES]

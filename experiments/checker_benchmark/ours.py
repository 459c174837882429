"""The checker under test, `jaxninja.check.check_vjp`, and its report as a record."""

import time
from dataclasses import replace

import jax

from jaxninja.check.hints import Hint
from jaxninja.mutation.operators import is_float
from jaxninja.rule import Rule

NAME = "check_vjp"


def run(rule: Rule, seed: int, level: str, dtype: str = "float32") -> dict:
    """Verdict, names given and time; "crashed" with the exception's text.

    Names are the report's errors about the rule as a whole and its hints, in the order
    in which a reader meets them.
    """
    from jaxninja.check import check_vjp

    start = time.perf_counter()
    try:
        report = check_vjp(rule, level=level, seed=seed, dtypes=(dtype,))
    except Exception as error:
        text = f"{type(error).__name__}: {error}"[:500]
        return {"verdict": "crashed", "error": text, **_seconds(start)}
    told = {"ok": "passed", "fail": "detected"}.get(report.verdict, report.verdict)
    names = names_of(report)
    return {"verdict": told, "names": names, **_seconds(start)}


def names_of(report) -> list[dict]:
    """The errors about the rule as a whole and the hints, as a reader meets them."""
    told = [_hint(c) if isinstance(c, Hint) else _finding(c) for c in report.causes]
    return [name for name in told if name]


def _seconds(start: float) -> dict:
    return {"seconds": time.perf_counter() - start}


def _finding(finding) -> dict | None:
    if finding.severity != "error":
        return None
    said = {"kind": finding.code, "sentence": finding.sentence, "where": finding.where}
    return {**said, "verified": True, "edit": None}


def _hint(hint) -> dict:
    return {
        "kind": hint.kind,
        "sentence": hint.sentence,
        "where": hint.where,
        "verified": hint.verified,
        "edit": hint.edit,
    }


def scaled(rule: Rule, scale: float) -> Rule:
    """The rule with the floating-point leaves of its example times `scale`."""

    def example(key, **dims):
        return jax.tree.map(times, rule.example(key, **dims))

    def times(a):
        return a * a.dtype.type(scale) if is_float(a) else a

    return replace(rule, example=example)

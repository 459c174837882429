"""The report of a check: what was tested, what failed, what was left out."""

import dataclasses
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from jaxninja.check.errors import VJPCheckError
from jaxninja.check.hints import Hint
from jaxninja.check.records import LINEARITY, Coverage, Finding, Leaf, Residuals
from jaxninja.check.render import page


@dataclass(frozen=True)
class Report:
    """What `check_vjp` found. `ok` is true only for what was tested and is right.

    Attributes:
        name, where: of the rule, and "file:line" of its bwd.
        level, seed: as given; the same seed repeats the check.
        leaves, findings, hints: the parts of the verdict.
        not_tested: in words, what this check left out.
        coverage, residuals: see there.
        seconds: what it took.
        environment: versions and platform.
    """

    name: str
    where: str | None
    level: str
    seed: int
    leaves: tuple[Leaf, ...] = ()
    findings: tuple[Finding, ...] = ()
    hints: tuple[Hint, ...] = ()
    not_tested: tuple[str, ...] = ()
    coverage: Coverage = field(default_factory=Coverage)
    residuals: Residuals | None = None
    seconds: float = 0.0
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def verdict(self) -> str:
        """ "fail", "not tested" or "ok"."""
        if self.failures:
            return "fail"
        blocked = any(f.severity == "not tested" for f in self.findings)
        verdicts = [leaf.verdict for leaf in self.leaves]
        tested = "ok" in verdicts and "not tested" not in verdicts
        return "ok" if tested and not blocked else "not tested"

    @property
    def ok(self) -> bool:
        """Whether the rule is right, and something was tested."""
        return self.verdict == "ok"

    def __bool__(self) -> bool:
        return self.ok

    @property
    def failures(self) -> tuple[Leaf | Finding, ...]:
        """Wrong leaves and errors."""
        leaves = (leaf for leaf in self.leaves if leaf.verdict == "fail")
        return (*leaves, *(f for f in self.findings if f.severity == "error"))

    def table(self) -> str:
        """The report as plain text, a line a leaf."""
        return "\n".join(self._lines())

    __str__ = table

    def _lines(self) -> list[str]:
        wrong = sum(leaf.verdict == "fail" for leaf in self.leaves)
        count = f"   {wrong} of {len(self.leaves)} gradients" if wrong else ""
        where = f"   {self.where}" if self.where else ""
        lines = [f"{self.name}  {self.verdict.upper()}{count}{where}"]
        lines += map(str, self.leaves)
        lines += [line for part in self.causes for line in _told(part)]
        lines += [f"  not tested: {text}" for text in joined(self.not_tested)]
        lines += [f"  gap: {text}" for text in self.coverage.gaps]
        lines += [f"  {self.residuals}"] if self.residuals else []
        end = f"level {self.level}, seed {self.seed}, {self.seconds * 1e3:.0f} ms"
        return [*lines, f"  {self.coverage}, {end}"]

    @property
    def causes(self) -> tuple[Finding | Hint, ...]:
        """Findings and hints, the cause before what follows from it.

        That a backward is not linear in dy follows from a mistake that has a name.
        """
        named = any(hint.verified for hint in self.hints)
        follow = [f for f in self.findings if named and f.code in LINEARITY]
        follow += [f for f in self.findings if f.severity != "error"]
        first = [f for f in self.findings if f not in follow]
        return (*first, *self.hints, *follow)

    def _hints(self) -> list[str]:
        return [line for hint in self.hints for line in hint.lines()]

    def explain(self) -> str:
        """What is wrong, why it may have gone unseen, and how to fix it."""
        lines = [f"{self.name}: {self.verdict}."]
        for item in self.failures:
            lines.append(str(item).strip())
            lines += [f"    {row}" for row in getattr(item, "heat", ())]
        lines += map(str.strip, self._hints())
        if self.failures and not self.hints:
            lines.append("No hint: the error fits no known class of mistake.")
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """The report as plain dicts, lists and numbers."""
        return {
            "verdict": self.verdict,
            "ok": self.ok,
            **dataclasses.asdict(self),
            "hints": [hint.to_dict() for hint in self.hints],
        }

    def to_json(self) -> str:
        """The report as JSON; infinite and NaN numbers become strings."""
        return json.dumps(_plain(self.to_dict()), indent=2, allow_nan=False)

    def raise_if_failed(self) -> "Report":
        """Raise VJPCheckError with the table unless the verdict is ok."""
        if not self.ok:
            raise VJPCheckError(self.table())
        return self

    def _repr_html_(self) -> str:
        parts = map(_told, self.causes)
        notes = [" ".join(map(str.strip, lines)) for lines in parts]
        notes += [f"not tested: {text}" for text in joined(self.not_tested)]
        notes.append(str(self.coverage))
        return page(self.name, self.verdict, self.leaves, notes)


def joined(texts: Iterable[str]) -> list[str]:
    """ "what: why" with all that was left out for one reason in one line."""
    reasons: dict[str, list[str]] = {}
    for text in texts:
        what, colon, why = text.partition(": ")
        reasons.setdefault(f"{colon}{why}" if why else text, []).append(what)
    return [
        "; ".join(whats) + (why if why.startswith(": ") else "")
        for why, whats in reasons.items()
    ]


def _told(part: Finding | Hint) -> list[str]:
    return part.lines() if isinstance(part, Hint) else [f"  {part}"]


def _plain(value):
    """JSON has no NaN, no infinity, no complex number."""
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if isinstance(value, complex):
        return str(value)
    if isinstance(value, float) and (value != value or abs(value) == float("inf")):
        return str(value)
    return value

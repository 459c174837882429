"""The report of a check: what was tested, what failed, what was left out."""

import dataclasses
import json
from dataclasses import dataclass, field
from typing import Any

from jaxninja.check.errors import VJPCheckError
from jaxninja.check.evidence import Hint

SHADES = "·░▒▓█"  # of the error heat map: right, then a decade of tolerance each


@dataclass(frozen=True)
class Finding:
    """One statement about the rule as a whole.

    Attributes:
        code: "E-..." an error, "W-..." a warning, "N-..." nothing could be tested.
        sentence: what was given, what was expected, what to do.
        where: "file:line" in the user's code, if known.
    """

    code: str
    sentence: str
    where: str | None = None

    @property
    def severity(self) -> str:
        return {"E": "error", "W": "warning", "N": "not tested"}[self.code[0]]

    def __str__(self) -> str:
        at = (
            f" ({self.where})" if self.where and self.where not in self.sentence else ""
        )
        return f"{self.code}: {self.sentence}{at}"


@dataclass(frozen=True)
class Leaf:
    """The verdict on one float leaf of the arguments.

    Attributes:
        name: "x", or "params['W']" within a pytree.
        shape: of the sample shown.
        dtype: in which the rule ran where it failed; "" where it did not.
        verdict: "ok", "fail", "not tested" or "declared" (zero, or no gradient).
        relative: largest error over the largest expected magnitude: of the sample
            that failed, or, in float64, of all that could have failed.
        worst: index of the worst entry; got and expected are the values there.
        ratios: for each run dtype, the rule's error over that of autodiff.
        sample: the input and cotangent that showed it.
        note: what else is to be said of it.
        heat: rows of `SHADES`, where the error of a failing 1-D or 2-D leaf lies.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    verdict: str
    relative: float = 0.0
    worst: tuple[int, ...] = ()
    got: complex = 0.0
    expected: complex = 0.0
    ratios: dict[str, float] = field(default_factory=dict)
    sample: str = ""
    note: str = ""
    heat: tuple[str, ...] = ()

    def __str__(self) -> str:
        shape = f"({', '.join(map(str, self.shape))})"
        start = f"  {self.name:10s} {self.verdict:10s} {shape}"
        if self.verdict == "fail" and self.sample:
            start += f" {self.dtype}   rel {self.relative:.2g}   worst "
            start += f"{list(self.worst)}: got "
            start += f"{self.got:.6g}, expected {self.expected:.6g}"
        elif self.verdict == "ok":
            start += f"   float64 {self.relative:.1e}"
        if self.verdict == "ok":
            for dtype, ratio in self.ratios.items():
                start += f"   {dtype} {ratio:.2f} x autodiff's error"
        start += f"   [{self.sample}]" if self.verdict == "fail" and self.sample else ""
        return start + (f"   {self.note}" if self.note else "")


@dataclass(frozen=True)
class Coverage:
    """How much of the rule the check has seen.

    Attributes:
        leaves: float leaves tested, and all of them.
        entries: gradient entries that were not zero at least once, and all of them.
        predicates: comparisons of the forward seen both true and false, and all.
        gaps: in words, what was not reached.
    """

    leaves: tuple[int, int] = (0, 0)
    entries: tuple[int, int] = (0, 0)
    predicates: tuple[int, int] = (0, 0)
    dtypes: tuple[str, ...] = ()
    shapes: int = 0
    samples: int = 0
    transformations: tuple[str, ...] = ()
    gaps: tuple[str, ...] = ()

    def __str__(self) -> str:
        parts = [
            "{}/{} leaves".format(*self.leaves),
            "{}/{} entries".format(*self.entries),
            "{}/{} predicates both ways".format(*self.predicates),
            f"dtypes {' '.join(self.dtypes) or 'none'}",
            f"{self.shapes} shapes, {self.samples} samples",
            f"transformations {' '.join(self.transformations) or 'none'}",
        ]
        return "covered: " + ", ".join(parts)


@dataclass(frozen=True)
class Residuals:
    """Bytes that wait between forward and backward.

    Attributes:
        bytes: of the rule's residuals.
        autodiff: of those that `jax.vjp` of the plain forward keeps.
        unused: names of residuals that bwd never reads.
    """

    bytes: int
    autodiff: int
    unused: tuple[str, ...] = ()

    def __str__(self) -> str:
        unused = f", never read: {', '.join(self.unused)}" if self.unused else ""
        return f"residuals: {self.bytes} bytes, autodiff keeps {self.autodiff}{unused}"


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
        lines += [f"  {finding}" for finding in self.findings]
        lines += hint_lines(self.hints)
        lines += [f"  not tested: {text}" for text in self.not_tested]
        lines += [f"  gap: {text}" for text in self.coverage.gaps]
        lines += [f"  {self.residuals}"] if self.residuals else []
        end = f"level {self.level}, seed {self.seed}, {self.seconds * 1e3:.0f} ms"
        return [*lines, f"  {self.coverage}, {end}"]

    def explain(self) -> str:
        """What is wrong, why it may have gone unseen, and how to mend it."""
        lines = [f"{self.name}: {self.verdict}."]
        for item in self.failures:
            lines.append(str(item).strip())
            lines += [f"    {row}" for row in getattr(item, "heat", ())]
        lines += [line.strip() for line in hint_lines(self.hints)]
        if self.failures and not self.hints:
            lines.append("No hint: the error fits no known class of mistake.")
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        return {
            "verdict": self.verdict,
            "ok": self.ok,
            **dataclasses.asdict(self),
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
        from jaxninja.check.render import page

        return page(self)


def hint_lines(hints) -> list[str]:
    lines = []
    for hint in hints:
        start = "Hint" if hint.verified else "Looks like"
        where = f"   ({hint.where})" if hint.where else ""
        lines.append(f"  {start} [{hint.leaf}]: {hint.sentence}{where}")
        lines += [f"        {hint.edit}"] if hint.edit else []
    return lines


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

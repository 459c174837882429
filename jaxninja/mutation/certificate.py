"""A certificate of the rules: what was proved of each, with what, at which source.

The figures are those of one machine, and all rows of a file are made under the same
conditions, which head it. What identifies a rule is its name and the hash of its
source: a rule that was edited is a rule without a certificate.
"""

import hashlib
import inspect
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import jax

from jaxninja.check import Report, check_vjp
from jaxninja.check.inputs.shapes import settings_of
from jaxninja.check.results import environment
from jaxninja.check.subject.adapters import Normalised
from jaxninja.check.subject.residuals import bench_arrays, bytes_of, residual_bytes
from jaxninja.mutation.selection import expect_count, mutants
from jaxninja.rule import Rule

BEGIN, END = "<!-- jaxninja certify -->", "<!-- end of certificate -->"
RULES_PACKAGE = "jaxninja.rules."

# one of each kind, for a reader in a hurry
SHORT = ("linear", "batchnorm", "layernorm", "attention", "conv2d", "lstm", "swiglu",
         "linear_cross_entropy")  # fmt: skip


@dataclass(frozen=True)
class Row:
    """What is certified of one rule.

    Attributes:
        name, file, hash: of the rule, its file below the folder of rules, and the first
            8 hex digits of the SHA-256 of its source.
        verdict: of `check_vjp`.
        ratios: per run dtype, the rule's error over autodiff's, of its worst gradient.
        transformations: under which it was right.
        not_tested: in words, what was left out.
        keeps: names (or shapes) of the residuals.
        residuals, autodiff: bytes kept at the rule's `bench` size, and by autodiff.
        killed, mutants: wrong versions of its backward that `check_vjp` refused.
        survivors: names of those that it did not.
        why: what stands in the way where it is behind autodiff, as its record says.
    """

    name: str
    file: str
    hash: str
    verdict: str
    ratios: dict[str, float]
    transformations: tuple[str, ...]
    not_tested: tuple[str, ...]
    keeps: str
    residuals: int
    autodiff: int
    killed: int
    mutants: int
    survivors: tuple[str, ...]
    why: str = ""


def certify(rule: Rule, level: str, seed: int, count: int, after: Callable) -> Row:
    """Check a rule and `count` of its mutants (0: all); `after()` after each check."""
    report = check_vjp(rule, level=level, seed=seed)
    after()
    found, survivors = _wrong(rule, count), []
    for name, broken in found:
        verdict = check_vjp(broken, seed=seed, hints=False).verdict
        survivors += [] if verdict == "fail" else [name]
        after()
    mine, autodiff = residual_bytes(rule)
    return Row(
        rule.name,
        _file(rule),
        source_hash(rule),
        report.verdict,
        _ratios(report),
        report.coverage.transformations,
        report.not_tested,
        _keeps(rule),
        mine,
        autodiff,
        len(found) - len(survivors),
        len(found),
        tuple(survivors),
        rule.why,
    )


def source_hash(rule: Rule) -> str:
    """First 8 hex digits of the SHA-256 of the rule's file, and of those it shares.

    These are the modules of `jaxninja.rules` that it imports, and that they import.
    """
    modules = _shared(sys.modules[rule.fwd.__module__], {})
    files = [inspect.getsourcefile(modules[name]) for name in sorted(modules)]
    text = b"".join(Path(file).read_bytes() for file in files if file)
    return hashlib.sha256(text).hexdigest()[:8]


def _shared(module: Any, found: dict[str, Any]) -> dict[str, Any]:
    """The module and the modules of rules that it names, by name."""
    found[module.__name__] = module
    for value in [*vars(module).values()]:
        name = getattr(value, "__module__", None) or getattr(value, "__name__", "")
        ours = isinstance(name, str) and name.startswith(RULES_PACKAGE)
        if ours and name not in found and name in sys.modules:
            _shared(sys.modules[name], found)
    return found


def _file(rule: Rule) -> str:
    """`topic/name.py` of a rule of ours, else the file's name."""
    module = rule.fwd.__module__.removeprefix("jaxninja.rules.")
    return module.replace(".", "/") + ".py"


def conditions(level: str, seed: int, count: int) -> dict[str, Any]:
    """What rows that are made here and now depend on, beside their sources."""
    expect_count(count)
    about = {**environment(), "devices": jax.device_count()}
    return {"level": level, "seed": seed, "mutants": count, "environment": about}


def read(path: Path) -> tuple[dict[str, Any], list[Row]]:
    """Conditions and rows of a certificate that was written as JSON."""
    found = json.loads(path.read_text(encoding="utf-8"))
    several = ("transformations", "not_tested", "survivors")
    rows = [
        # pyrefly: ignore[bad-argument-type]  JSON, which has its types
        Row(**{**row, **{k: tuple(row[k]) for k in several}})
        for row in found.pop("rules")
    ]
    # older files do not say: the most that a rule has
    return {"mutants": max((row.mutants for row in rows), default=0), **found}, rows


def to_json(rows: list[Row], made: dict[str, Any]) -> str:
    """The rows below the conditions under which all of them were made."""
    return json.dumps({**made, "rules": [asdict(row) for row in rows]}, indent=1) + "\n"


def text(rows: list[Row]) -> str:
    """For a terminal, a few lines a rule."""
    return "\n\n".join("\n".join(_lines(row)) for row in rows)


def markdown(rows: list[Row], folder: str, made: dict[str, Any]) -> str:
    """A table; rules link to their files in `folder`."""
    head = (
        "rule", "keeps for its backward pass", "residual bytes", "autodiff's",
        "float32", "bfloat16", "transformations", "mutants refused", "source",
    )  # fmt: skip
    lines = [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    lines += [f"| {' | '.join(_cells(row, folder))} |" for row in rows]
    about = made["environment"]
    note = (
        f"Level {made['level']}, JAX {about['jax']}, Python {about['python']}, "
        f"{about['devices']} {about['backend']} devices. Bytes at each rule's "
        "`bench` size; float32 and bfloat16: error over autodiff's in the same dtype, "
        "both the root mean square of all samples, edges among them; of the worst "
        "gradient."
    )
    reasons = [f"- `{row.name}`: {row.why}" for row in rows if row.why]
    head = ["", "Where a rule is behind autodiff in something:", ""] if reasons else []
    return "\n".join([*lines, "", note, *head, *reasons])


def short(rows: list[Row], folder: str, whole: str) -> str:
    """A table of a few rules, with a link to the file with all of them."""
    head = ("rule", "keeps for its backward pass", "residual bytes", "autodiff's")
    lines = [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    few = [row for row in rows if row.name in SHORT]
    lines += [f"| {' | '.join([*_cells(row, folder)][:4])} |" for row in few]
    note = (
        f"{len(few)} of {len(rows)} rules, bytes at each rule's `bench` size. "
        f"[All of them]({whole}), with rounding, transformations, mutants and sources."
    )
    return "\n".join([*lines, "", note])


def put_into(text: str, table: str) -> str:
    """The text with the table between its marks; without marks the table alone."""
    block = f"{BEGIN}\n{table}\n{END}\n"
    if BEGIN not in text or END not in text:
        return block
    start, rest = text.split(BEGIN, 1)
    return start + block + rest.split(END, 1)[1].removeprefix("\n")


def _wrong(rule: Rule, count: int) -> list[tuple[str, Rule]]:
    settings, _ = settings_of(Normalised(rule), (), None, "quick")
    subject, args = settings[0].draw(0)
    found = mutants(subject, args, count)
    return [(str(mutant), replace(rule, bwd=mutant.bwd)) for mutant in found]


def _ratios(report: Report) -> dict[str, float]:
    largest: dict[str, float] = {}
    for leaf in report.leaves:
        for dtype, ratio in leaf.ratios.items():
            largest[dtype] = max(largest.get(dtype, 0.0), round(ratio, 2))
    return largest


def _keeps(rule: Rule) -> str:
    """Names of the residuals where they have some, else their shapes."""
    arrays = bench_arrays(rule)
    fwd = lambda *a: rule.fwd(*rule.arranged(a, rule.bench.static))  # noqa: E731
    kept = jax.eval_shape(lambda *a: fwd(*a)[1], *arrays)
    fields = getattr(kept, "_fields", None)
    if fields:
        return ", ".join(n for n in fields if bytes_of(getattr(kept, n)))
    return ", ".join(f"{a.dtype}{list(a.shape)}" for a in jax.tree.leaves(kept))


def _cells(row: Row, folder: str) -> Iterator[str]:
    yield f"[`{row.name}`]({folder}/{row.file})"
    yield row.keeps
    yield f"{row.residuals:,}"
    yield f"{row.autodiff:,}"
    for dtype in ("float32", "bfloat16"):
        yield f"{row.ratios[dtype]:.2f}" if dtype in row.ratios else "-"
    yield f"{len(row.transformations)}" if row.verdict == "ok" else row.verdict
    yield f"{row.killed} of {row.mutants}"
    yield f"`{row.hash}`"


def _lines(row: Row) -> Iterator[str]:
    yield f"{row.name}  {row.verdict.upper()}  source {row.hash}"
    for dtype, ratio in row.ratios.items():
        yield f"  {dtype}: {ratio:.2f} x autodiff's error"
    if row.transformations:  # level quick tries none
        yield f"  right under: {', '.join(row.transformations)}"
    yield f"  keeps {row.keeps}: {row.residuals:,} B; autodiff {row.autodiff:,} B"
    yield f"  mutants refused: {row.killed} of {row.mutants}"
    yield from (f"    not refused: {name}" for name in row.survivors)
    yield from (f"  not tested: {what}" for what in row.not_tested)

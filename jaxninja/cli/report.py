"""`jaxninja report RUN [RUN ...]`."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from jaxninja import files
from jaxninja.report import Gathered, findings, gather, page


@dataclass(frozen=True)
class Report:
    """Write one HTML file about a run, or about several beside each other."""

    runs: Annotated[tuple[str, ...], tyro.conf.Positional]
    """Run folders."""
    out: str | None = None
    """The file; by default report.html in the run's folder, or beside several."""


def main(args: list[str]) -> int:
    options = tyro.cli(Report, prog="jaxninja report", args=args)
    if not options.runs:
        tyro.cli(Report, prog="jaxninja report", args=["-h"])
    paths = [Path(run) for run in options.runs]
    gathered = [gather(path) for path in paths]
    default = (paths[0] if len(paths) == 1 else paths[0].parent) / "report.html"
    out = Path(options.out) if options.out else default
    files.write_text(out, page(gathered))
    for found in gathered:
        for line in _summary(found):
            print(line)
    print(f"written    {out}")
    return 0


def _summary(found: Gathered) -> Iterator[str]:
    """How many findings are good, and the sentences of those that are not."""
    said = findings(found)
    levels = Counter(finding.level for finding in said)
    counts = ", ".join(f"{levels[k]} {k}" for k in ("good", "watch", "act"))
    yield f"{found.path}: {counts}"
    for finding in said:
        if finding.level != "good":
            yield f"  {finding.level:<6} {finding.text} {finding.todo}".rstrip()
    for problem in found.problems:
        yield f"  {problem}"

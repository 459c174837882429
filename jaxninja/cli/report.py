"""`jaxninja report RUN [RUN ...]`."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from jaxninja import files
from jaxninja.report import findings, gather, page


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
        levels = Counter(finding.level for finding in findings(found))
        counts = ", ".join(f"{levels[k]} {k}" for k in ("good", "watch", "act"))
        print(f"{found.path}: {counts}")
        for problem in found.problems:
            print(f"  {problem}")
    print(f"written    {out}")
    return 0

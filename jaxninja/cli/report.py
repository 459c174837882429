"""`jaxninja report RUN [RUN ...]`."""

import os
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from jaxninja.cli.process.arguments import parsed
from jaxninja.cli.process.lines import show
from jaxninja.errors import UserError
from jaxninja.escaping import printable
from jaxninja.report import Gathered, findings, gather, page
from jaxninja.report.sweeps import closely, members, spread
from jaxninja.storage import atomic
from jaxninja.storage.run_folder import FolderError
from jaxninja.training.runs.descriptions import read_description


@dataclass(frozen=True)
class Report:
    """Write one HTML file about a run, or about several in the same figures.

    Example: jaxninja report runs/names-network-1 runs/names-rules-1
    """

    runs: Annotated[
        tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="RUN [RUN ...]")
    ]
    """Run folders; the folder of a sweep stands for its members."""
    out: Annotated[str | None, tyro.conf.arg(metavar="FILE")] = None
    """The file; by default report.html in the run's folder, or beside several."""


def main(args: list[str]) -> int:
    options = parsed(Report, "report", args)
    if not options.runs:
        raise UserError("report takes one run folder or more, as runs/names-network-1")
    paths = _distinct(map(Path, options.runs))
    default = (paths[0] if len(paths) == 1 else paths[0].parent) / "report.html"
    out = Path(options.out) if options.out else default
    runs = _distinct(run for path in paths for run in members(path))
    for run in runs:
        read_description(run)  # is it a run? said before what takes a while
    _check_writable(out)
    close = closely(paths)
    gathered = [gather(run, run in close) for run in runs]
    atomic.write_text(out, page(gathered, spread(paths)))
    for found in gathered:
        for line in _summary(found):
            show(line)
    show(f"written    {printable(str(out))}")
    return 0


def _distinct(paths: Iterable[Path]) -> list[Path]:
    """Each folder once, by the first of its names."""
    named: dict[Path, Path] = {}
    for path in paths:
        named.setdefault(path.resolve(), path)
    return [*named.values()]


def _check_writable(out: Path) -> None:
    """Before the work: is there a folder, and may one write in it?"""
    if out.is_dir():
        raise FolderError(f"out is {out}, a folder, expected the name of a file")
    if not out.parent.is_dir():
        raise FolderError(f"out is {out}, but there is no folder {out.parent}")
    if not os.access(out.parent, os.W_OK):
        raise FolderError(f"out is {out}, but {out.parent} may not be written to")


def _summary(found: Gathered) -> Iterator[str]:
    """How many findings are good, and the sentences of those that are not."""
    said = findings(found)
    levels = Counter(finding.level for finding in said)
    counts = ", ".join(f"{levels[k]} {k}" for k in ("good", "watch", "act"))
    yield f"{printable(str(found.path))}: {counts}"
    for finding in said:
        if finding.level != "good":
            text = printable(f"{finding.text} {finding.todo}")
            yield f"  {finding.level:<6} {text}".rstrip()
    for problem in found.problems:
        yield f"  {printable(problem)}"

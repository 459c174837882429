"""What a sweep adds to its members: the spread of their losses, and who is shown."""

from collections.abc import Sequence
from pathlib import Path

from jaxninja.escaping import resume_option
from jaxninja.report.parts import Table, count, loss
from jaxninja.training.config import ConfigError
from jaxninja.training.sweeps import plan
from jaxninja.training.sweeps.trainer import summary

CLOSELY = 3  # of its members: the best ones


def members(path: Path) -> list[Path]:
    """The run folders of a sweep, or the folder itself if it is none.

    Raises:
        ConfigError: no member of the sweep has begun.
    """
    if not _is_sweep(path):
        return [path]
    named = [path / str(config.name) for config in plan.members(*plan.read(path))]
    begun = [run for run in named if (run / "config.json").exists()]
    if not begun:
        raise ConfigError(
            f"{path} is a sweep of which no member has begun; train it with: "
            f"jaxninja sweep {resume_option(path)}"
        )
    return begun


def closely(paths: Sequence[Path]) -> set[Path]:
    """Runs to show in detail: all but those of a sweep, of which the best by val are
    and one that failed; before any has ended, the first."""
    chosen = {path for path in paths if not _is_sweep(path)}
    for path in filter(_is_sweep, paths):
        rows = plan.rows(path)
        ended = sorted(
            (r for r in rows if "val_loss" in r), key=lambda r: r["val_loss"]
        )
        failed = [row for row in rows if "failed_at" in row][:1]
        names = {Path(row["path"]).name for row in (*ended[:CLOSELY], *failed)}
        runs = members(path)
        chosen |= {run for run in runs if run.name in names} or {*runs[:1]}
    return chosen


def spread(paths: Sequence[Path]) -> Table | None:
    """A row for each learning rate of the sweeps' members that have ended, if any."""
    rows = [row for path in filter(_is_sweep, paths) for row in plan.rows(path)]
    if not rows:
        return None
    head = ("lr", "members", "failed", "train (sd)", "val (sd)", "least val")
    return Table("results", "losses by lr", head, [*map(_row, summary(rows))])


def _is_sweep(path: Path) -> bool:
    return (path / plan.PLAN).exists()


def _row(line: dict) -> tuple[str, ...]:
    pairs = [
        f"{loss(line[f'{part} mean'])} ({loss(line[f'{part} sd'])})"
        for part in ("train_loss", "val_loss")
        if f"{part} mean" in line
    ]
    least = loss(line.get("val_loss least"))
    numbers = (*pairs, *["none"] * (2 - len(pairs)), least)
    return f"{line['lr']:g}", count(line["members"]), count(line["failed"]), *numbers

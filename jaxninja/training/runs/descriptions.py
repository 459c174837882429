"""What a run folder says that it is: its config.json, and who it is the same as."""

from pathlib import Path
from typing import Any

from jaxninja.errors import UserError, did_you_mean
from jaxninja.training.config import ELSEWHERE, TrainConfig
from jaxninja.training.runs import schema
from jaxninja.training.runs.schema import Description


class RunError(UserError, ValueError):
    """A folder that is no run, or whose data are gone; the message says what to do."""


def identity(config: TrainConfig) -> dict[str, Any]:
    """What makes two configurations the same run's: not where it and its data lie.

    The data are known by their sha256, the file of a route by the copy in the run.
    """
    values = config.to_dict() | {"route": Path(config.route).name}
    without = {*ELSEWHERE, "name", "runs"}
    return {k: v for k, v in values.items() if k not in without}


def read_description(path: Path) -> Description:
    """config.json of a run: configuration, vocabulary, sha256 of the data.

    Raises:
        RunError: no such folder, or it is not a run's.
        RecordError: it is not what was written.
    """
    file = path / "config.json"
    if not file.is_file():
        raise RunError(f"{path} {_is_no_run(path)}{_near(path)}")
    return schema.read_description(file)


def _is_no_run(path: Path) -> str:
    if path.is_dir():
        return "is not a run: it has no config.json"
    return "is a file, expected a run's folder" if path.is_file() else "does not exist"


def _near(path: Path) -> str:
    """Which run was meant: one beside it that has nearly this name, or one in it."""
    inside, others = _runs(path), _runs(path.parent)
    meant = did_you_mean(path.name, others, lambda name: str(path.parent / name))
    return _counted(path, inside) or meant or _counted(path.parent, others)


def _runs(folder: Path) -> list[str]:
    """The names of the runs in a folder."""
    return sorted(p.parent.name for p in folder.glob("[!.]*/config.json"))


def _counted(folder: Path, runs: list[str]) -> str:
    if not runs:
        return ""
    there = f"{len(runs)} runs are" if len(runs) > 1 else "1 run is"
    return f"; {there} in {folder}, as {folder / runs[0]}"

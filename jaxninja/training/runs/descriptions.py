"""What a run folder says that it is: its config.json, and who it is the same as."""

from pathlib import Path
from typing import Any

from jaxninja.errors import UserError, did_you_mean
from jaxninja.training.config import TrainConfig
from jaxninja.training.runs import schema
from jaxninja.training.runs.schema import Description


class RunError(UserError, ValueError):
    """A folder that is no run, or whose data are gone; the message says what to do."""


def identity(config: TrainConfig) -> dict[str, Any]:
    """What makes two configurations the same run's: not where it and its data lie.

    The data are known by their sha256, the file of a route by the copy in the run.
    """
    values = config.to_dict() | {"route": Path(config.route).name}
    return {k: v for k, v in values.items() if k not in ("data", "name", "runs")}


def read_description(path: Path) -> Description:
    """config.json of a run: configuration, vocabulary, sha256 of the data.

    Raises:
        RunError: no such folder, or it is not a run's.
        RecordError: it is not what was written.
    """
    file = path / "config.json"
    if not file.is_file():
        what = (
            "is not a run: it has no config.json" if path.is_dir() else "does not exist"
        )
        raise RunError(f"{path} {what}{_near(path)}")
    return schema.read_description(file)


def _near(path: Path) -> str:
    """Which run was meant, if one beside it has nearly this name."""
    others = {p.parent.name for p in path.parent.glob("[!.]*/config.json")}
    meant = did_you_mean(path.name, others, lambda name: str(path.parent / name))
    there = f"; {len(others)} runs are in {path.parent}" if others else ""
    return meant or there

"""The command line that makes a run again."""

import dataclasses
import shlex
from typing import Any

from jaxninja.training.config import ConfigError, TrainConfig

ELSEWHERE = {"name", "runs"}  # where it lies, not what it is


def written(config: dict[str, Any]) -> str:
    """`jaxninja train` with the options that are not the model's own.

    Args:
        config: of a run, as written in its config.json.
    """
    try:
        run = TrainConfig.from_dict(config)
        own = TrainConfig(model=run.model, size=run.size, steps=run.steps)
    except ConfigError:
        return "jaxninja train"
    by_data = {"context"} if own.context is None else set()
    bare = {
        "model": TrainConfig().model,
        "size": TrainConfig(model=run.model).size,
        "steps": TrainConfig(model=run.model, size=run.size).steps,
    }
    words = ["jaxninja", "train"]
    for field in dataclasses.fields(TrainConfig):
        name, given = field.name, getattr(run, field.name)
        default = bare.get(name, getattr(own, name))
        if name not in {*ELSEWHERE, *by_data} and given != default:
            words += _option(name, given)
    return shlex.join(words)


def _option(name: str, given: Any) -> list[str]:
    word = name.replace("_", "-")
    if isinstance(given, bool):
        return [f"--{word}" if given else f"--no-{word}"]
    return [f"--{word}", str(given)]

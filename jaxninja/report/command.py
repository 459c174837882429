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
    words = ["jaxninja", "train"]
    for field in dataclasses.fields(TrainConfig):
        given = getattr(run, field.name)
        if field.name not in ELSEWHERE and given != _default(own, field.name):
            words += _option(field.name, given)
    return shlex.join(words)


def _default(own: TrainConfig, name: str) -> Any:
    """What holds without the option: `own` was given model, size and steps itself."""
    if name == "model":
        return TrainConfig().model
    bare = TrainConfig(model=own.model)
    if name == "size":
        return bare.size
    if name == "steps":
        return TrainConfig(model=own.model, size=own.size).steps
    if name == "context" and own.context is None:
        return None
    return getattr(own, name)


def _option(name: str, given: Any) -> list[str]:
    word = name.replace("_", "-")
    if isinstance(given, bool):
        return [f"--{word}" if given else f"--no-{word}"]
    return [f"--{word}", str(given)]

"""What `train` and `sweep` are given: refused where it is of another kind."""

import os
from typing import Any

from jaxninja.errors import ArgumentTypeError
from jaxninja.training.config import ConfigError, TrainConfig
from jaxninja.training.options.values import shown


def expect_config(config: Any, fields: dict[str, Any], call: str = "train") -> None:
    """Refuse what was given in place of a configuration, and say how to give it.

    Args:
        config: the argument of that name.
        fields: arguments by names that `call` does not have.
        call: the function that takes the configuration.

    Raises:
        ConfigError: it is no TrainConfig, or there are such arguments.
    """
    if isinstance(config, dict):
        fields = {**config, **fields}
    if fields:
        TrainConfig.from_dict(fields)  # an unknown name or a bad value is told first
        given = ", ".join(f"{name}={shown(v)}" for name, v in fields.items())
        raise ConfigError(
            f"{call} takes these in a configuration: {call}(TrainConfig({given}))"
        )
    if config is not None and not isinstance(config, TrainConfig):
        is_path = isinstance(config, str | os.PathLike)
        hint = f"; to go on with a run: {call}(resume={config!r})" if is_path else ""
        raise ConfigError(f"config is {shown(config)}, expected a TrainConfig{hint}")


def expect_progress(progress: Any) -> Any:
    """`progress` itself, if it has the methods of `Progress` or is None.

    Raises:
        TypeError: it has not.
    """
    methods = ("say", "start", "update", "stop")
    if progress is not None and not all(hasattr(progress, m) for m in methods):
        raise ArgumentTypeError(
            f"progress is {progress!r}, expected an object as "
            "jaxninja.training.progress.Bar(); Progress() there says nothing"
        )
    return progress

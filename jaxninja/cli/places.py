"""What a command line names as MODULE:NAME."""

import importlib
import os
import sys
from collections.abc import Callable

from jaxninja.check.errors import user_line
from jaxninja.config import ConfigError


def load(place: str, what: str) -> Callable:
    """The object called NAME in MODULE; modules of the current folder are found too.

    Args:
        place: "MODULE:NAME".
        what: how an error calls it, such as "--args".

    Raises:
        ConfigError: it has not this form, or cannot be loaded.
    """
    module, colon, name = place.partition(":")
    if not colon:
        raise ConfigError(f"{what} is {place!r}, expected MODULE:NAME")
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"{what} {place!r} cannot be loaded: {error}") from None


def arguments_at(place: str | None) -> tuple:
    """What the callable at `--args MODULE:CALLABLE` returns; none without a place.

    A tuple or a list holds the arguments; anything else is the only one.

    Raises:
        ConfigError: it cannot be loaded or called, or raises.
    """
    if not place:
        return ()
    function = load(place, "--args")
    if not callable(function):
        kind = type(function).__name__
        raise ConfigError(
            f"--args {place!r} is of type {kind}, expected a callable that returns "
            "the example arguments"
        )
    try:
        found = function()
    except Exception as error:
        line = user_line(error)
        at = f" at {line}" if line else ""
        raise ConfigError(
            f"--args {place!r}, called without arguments, raised "
            f"{type(error).__name__}{at}: {error}"
        ) from error
    return tuple(found) if isinstance(found, tuple | list) else (found,)

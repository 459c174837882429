"""What a command line names as MODULE:NAME."""

import importlib
import os
import sys
from collections.abc import Callable

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

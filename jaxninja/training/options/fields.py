"""The fields of a configuration: known by name, and what values they may have."""

import dataclasses
import functools
from typing import Any, Literal, get_args, get_origin

from jaxninja.errors import UserError, did_you_mean
from jaxninja.training.options.values import alternatives


class ConfigError(UserError, ValueError):
    """A configuration that cannot be trained; the message says which field and why."""


def names_are_known(cls: Any) -> Any:
    """A dataclass whose unknown fields are told with those that were meant."""
    construct, known = cls.__init__, [field.name for field in dataclasses.fields(cls)]

    @functools.wraps(construct)
    def checked(self, *args, **given):
        for name in given:
            if name not in known:
                raise ConfigError(f"unknown field {name!r}{did_you_mean(name, known)}")
        construct(self, *args, **given)

    cls.__init__ = checked
    return cls


def choices(hints: dict[str, Any]) -> dict[str, tuple[str, ...]]:
    """field -> its values, of those that are a Literal, or one or None."""
    found = {}
    for name, kind in hints.items():
        values = [get_args(k) for k in alternatives(kind) if get_origin(k) is Literal]
        found |= {name: values[0]} if values else {}
    return found

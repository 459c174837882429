"""Static options whose values can be listed: booleans, enumerations, `Literal`.

A rule may be right for mean=False and wrong for mean=True. Each option is tried at each
of its values, the others staying as they were given.
"""

import inspect
import types
import typing
from collections.abc import Iterator
from enum import Enum
from typing import Any, Literal

from jaxninja.check.subject.subject import Subject


def others(subject: Subject, seen: list[tuple]) -> Iterator[tuple[str, tuple]]:
    """(label, static options) for each value of an option that was not seen.

    Args:
        subject: its static options are the ones to depart from.
        seen: tuples of static options that are checked anyway.
    """
    annotations = _annotations(subject)
    for i, name in enumerate(subject.static_names):
        known = [static[i] for static in (subject.static, *seen)]
        for value in _values(subject.static[i], annotations.get(name)):
            if not any(type(value) is type(k) and value == k for k in known):
                static = (*subject.static[:i], value, *subject.static[i + 1 :])
                yield f"{name}={_text(value)}", static


def unlisted(subject: Subject) -> list[str]:
    """Names of the options whose values cannot be listed: numbers, functions."""
    annotations = _annotations(subject)
    pairs = zip(subject.static_names, subject.static, strict=True)
    return [name for name, v in pairs if not _values(v, annotations.get(name))]


def _values(value, annotation) -> tuple:
    if isinstance(value, bool):
        return (False, True)
    if isinstance(value, Enum):
        return tuple(type(value))
    return _listed(annotation)


def _listed(annotation) -> tuple:
    """The values that an annotation lists, None among them; () if it lists none."""
    kind = typing.get_origin(annotation)
    if kind is Literal:
        return typing.get_args(annotation)
    if kind in (typing.Union, types.UnionType):
        parts = [_listed(part) for part in typing.get_args(annotation)]
        return tuple(v for part in parts for v in part) if any(parts) else ()
    if annotation is bool:
        return (False, True)
    if annotation is type(None):
        return (None,)
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return tuple(annotation.__members__.values())
    return ()


def _annotations(subject: Subject) -> dict[str, Any]:
    """Of the arguments of the function under the rule, strings among them resolved."""
    function = inspect.unwrap(subject.op_function)
    try:
        return typing.get_type_hints(function)
    except Exception:  # one of them names what is not there
        return dict(getattr(function, "__annotations__", {}))


def _text(value) -> str:
    return str(value) if isinstance(value, Enum) else repr(value)

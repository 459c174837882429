"""The plain Python value that a user's value stands for: what equals an int is one.

NumPy's and JAX's scalars, paths and whole floats become int, float, bool and str, so
that a configuration can be compared, hashed and written as JSON. Whatever is none of
these is refused, with what was meant where that is plain.
"""

import numbers
import os
import types
import typing
from typing import Any

LONGEST = 80  # characters of a value that an error shows


def plain(value: Any, kind: Any) -> Any:
    """`value` as the type that a field is annotated with.

    Args:
        value: as given.
        kind: int, float, bool, str, a Literal of texts, or one of these or None.

    Raises:
        ValueError: it is none; the text says what was expected.
    """
    kinds = alternatives(kind)
    if value is None and type(None) in kinds:
        return None
    kind = kinds[0]
    choices = typing.get_args(kind)
    kind = str if choices else kind
    read, expected = READERS[kind]
    expected = f"one of {', '.join(choices)}" if choices else expected
    try:
        return read(_unwrapped(value))
    except (TypeError, ValueError, OverflowError):
        raise ValueError(f"{expected}{_meant(value, kind)}") from None


def alternatives(kind: Any) -> tuple[Any, ...]:
    """The types in a union, None's after the others; of another type, it alone."""
    union = typing.get_origin(kind) in (types.UnionType, typing.Union)
    return typing.get_args(kind) if union else (kind,)


def shown(value: Any) -> str:
    """A value in an error: its repr on one line, not without end."""
    text = " ".join(repr(value).split())
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 3]}..."


def _unwrapped(value: Any) -> Any:
    """The number in a NumPy scalar or an array without axes; else the value itself."""
    if getattr(value, "ndim", None) == 0 and hasattr(value, "item"):
        return value.item()
    return value


def _int(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, numbers.Number):
        raise TypeError
    whole = int(value)  # type: ignore[arg-type]
    if whole != value:
        raise ValueError
    return whole


def _float(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, numbers.Number):
        raise TypeError
    return float(value)  # type: ignore[arg-type]


def _bool(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError
    return value


def _str(value: Any) -> str:
    text = os.fspath(value)
    if not isinstance(text, str):
        raise TypeError
    return str(text)


READERS = {
    int: (_int, "an integer"),
    float: (_float, "a number"),
    bool: (_bool, "True or False"),
    str: (_str, "text or a path"),
}


WORDS = {"yes": True, "true": True, "no": False, "false": False, 1: True, 0: False}


def _meant(value: Any, kind: type) -> str:
    """The value that was plainly meant by one of another type, as a question."""
    try:
        if kind is bool:
            meant: Any = WORDS[value.lower() if isinstance(value, str) else value]
        elif kind is str:
            meant = value.decode()
        else:
            meant = READERS[kind][0](float(value))
    except (AttributeError, KeyError, TypeError, ValueError, OverflowError):
        return ""
    return f"; did you mean {meant!r}?" if isinstance(value, str | bytes | int) else ""

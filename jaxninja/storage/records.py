"""JSON that a run wrote, read back: every value is checked against its declared type.

msgspec knows whether a value fits a dataclass or a TypedDict, without conversions
behind one's back. What is added here is one line on what does not fit: which file,
which field, what was given and what was expected.
"""

import dataclasses
import json
import re
import reprlib
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from jaxninja.storage.atomic import FolderError

T = TypeVar("T")
_PLACE = re.compile(r"(.*?)(?: - at `(?:key in )?\$(.*)`)?", re.DOTALL)
_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = 40


class RecordError(FolderError):
    """A file of a run that is not what was written; names file, field and values."""


def read(path: Path, kind: type[T]) -> T:
    """A JSON file as a dataclass, a TypedDict, or a list of the latter.

    Raises:
        RecordError: it cannot be read, is not JSON, or a value is of another type.
    """
    return check(parse(_text(path), str(path)), kind, str(path))


def read_lines(path: Path, kind: type[T]) -> list[T]:
    """All whole lines of a JSON Lines file; one that a crash cut short is left out.

    A file that does not exist has no lines.

    Raises:
        RecordError: names the first line that is not JSON, or not of this type.
    """
    return [check(parse(line, place), kind, place) for place, line in whole_lines(path)]


def whole_lines(path: Path) -> list[tuple[str, str]]:
    """Where each line stands, as in `metrics.jsonl, line 3`, and its text."""
    if not path.exists():
        return []
    whole = _text(path, errors="replace").split("\n")[:-1]  # the rest was cut short
    lines = [(f"{path}, line {n}", line.strip("\0")) for n, line in enumerate(whole, 1)]
    return [(place, line) for place, line in lines if line]


def parse(text: str, place: str) -> Any:
    """JSON as it stands; NaN and Infinity, which JSON lacks, are errors.

    Raises:
        RecordError: it is not JSON.
    """
    try:
        return json.loads(text, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise RecordError(
            f"{place} is {_SHORT.repr(text)}, expected JSON ({error}); it was cut "
            "short or altered"
        ) from None


def check(value: Any, kind: type[T], place: str) -> T:
    """The value as the type says: a dataclass is built, a dict stays as it is.

    Raises:
        RecordError: names the field, what it is and what was expected.
    """
    try:
        built = msgspec.convert(value, kind)
    except (msgspec.ValidationError, RecursionError) as error:
        raise RecordError(f"{place}: {_sentence(error, value, kind)}") from None
    except UnicodeEncodeError:  # a lone surrogate where text is parsed
        raise RecordError(
            f"{place} holds text that is no Unicode; it was altered"
        ) from None
    return built if dataclasses.is_dataclass(kind) else value


def _sentence(error: Exception, value: Any, kind: Any) -> str:
    """msgspec's message, with the value that it leaves out."""
    found = _PLACE.fullmatch(str(error))
    assert found is not None
    said, where = found[1].replace("`", ""), (found[2] or "").lstrip(".")
    name = where or "the whole"
    if said.startswith("Object missing required field "):
        missing = said.removeprefix("Object missing required field ")
        return f"{where + '.' if where else ''}{missing} is missing; it was altered"
    given, kind = _at(value, kind, where)
    if said.startswith("Invalid enum value"):
        said = f"Expected one of {', '.join(_choices(kind))}"
    if not said.startswith("Expected "):  # a check of our own: it says all
        return f"{where + ': ' if where else ''}{said}"
    said, _, got = said.removeprefix("Expected ").partition(", got ")
    shown = got if given is _UNKNOWN else _SHORT.repr(given)
    return f"{name} is {shown}, expected {said}; it was altered"


def _choices(kind: Any) -> Iterator[str]:
    """The values of a Literal, of one in a union too."""
    for choice in typing.get_args(kind):
        if typing.get_args(choice):
            yield from _choices(choice)
        else:
            yield "null" if choice is type(None) else str(choice)


_UNKNOWN: Any = object()


def _at(value: Any, kind: Any, where: str) -> tuple[Any, Any]:
    """What stands at a place such as `config.lr` or `vocabulary[3]`, and its type.

    msgspec writes `[...]` for any key of a dict: there the value stays unknown.
    """
    for step in re.findall(r"\w+|\.\.\.", where):
        if step == "...":
            value, kind = _UNKNOWN, (*typing.get_args(kind), None)[1]
        elif step.isdigit():
            value = _UNKNOWN if value is _UNKNOWN else value[int(step)]
            kind = next(iter(typing.get_args(kind)), None)
        else:
            value = _UNKNOWN if value is _UNKNOWN else value[step]
            kind = typing.get_type_hints(kind).get(step) if kind else None
    return value, kind


def _text(path: Path, errors: str = "strict") -> str:
    try:
        return path.read_text(encoding="utf-8", errors=errors)
    except UnicodeDecodeError as error:
        raise RecordError(
            f"{path} is not UTF-8 ({error.reason}); it was altered"
        ) from None
    except FileNotFoundError:
        raise RecordError(f"{path} does not exist") from None
    except OSError as error:
        raise RecordError(f"{path} cannot be read: {error.strerror}") from None


def _no_number(name: str) -> Any:
    raise ValueError(f"{name} is no number of JSON")

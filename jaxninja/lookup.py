"""What a user names as MODULE:NAME, found and called; its errors are the user's own."""

import importlib
import os
import sys
import traceback
from pathlib import Path
from typing import Any

from jaxninja.errors import UserError, did_you_mean, is_users

PACKAGE = Path(__file__).parent


class PlaceError(UserError, ValueError):
    """Nothing can be had from a MODULE:NAME; the message says why, and where."""


def find(place: str, what: str) -> Any:
    """The object called NAME in MODULE; modules of the current folder are found too.

    Args:
        place: "MODULE:NAME", with dots in both, as in `package.module:Class.method`.
        what: how an error calls it, such as "--args".

    Raises:
        PlaceError: it has not this form, its module does not run, or has no such name.
    """
    module, _, name = place.partition(":")
    if not _is_dotted(module) or not _is_dotted(name):
        raise PlaceError(f"{what} is {place!r}, expected MODULE:NAME{_meant(place)}")
    found = _module(module, f"{what} {place!r}", _meant(place))
    for part in name.split("."):
        found = _attribute(found, part, f"{what} {place!r}")
    return found


def call(place: str, what: str) -> Any:
    """What the callable at MODULE:NAME returns, called without arguments.

    Raises:
        PlaceError: it cannot be found or called, or raises.
    """
    function = find(place, what)
    if not callable(function):
        raise PlaceError(
            f"{what} {place!r} is of type {type(function).__name__}, expected a "
            "callable that returns the example arguments"
        )
    try:
        return function()
    except (Exception, SystemExit) as error:
        raised = describe(error)
        raise PlaceError(
            f"{what} {place!r}, called without arguments, raised {raised}"
        ) from error


def arguments(place: str | None) -> tuple:
    """The example arguments that `--args MODULE:CALLABLE` returns; none without one.

    A tuple or a list holds the arguments; anything else is the only one.

    Raises:
        PlaceError: as `call`.
    """
    if not place:
        return ()
    found = call(place, "--args")
    return tuple(found) if isinstance(found, tuple | list) else (found,)


def describe(error: BaseException) -> str:
    """An error of the user's code in a line: type, file and line, first line of it."""
    if isinstance(error, SyntaxError) and error.filename:
        line, message = f"{Path(error.filename).name}:{error.lineno}", error.msg
    else:
        line, message = _line(error), str(error)
    at = f" at {line}" if line else ""
    first = (message.strip().splitlines() or ["no message"])[0]
    return f"{type(error).__name__}{at}: {first}"


def _line(error: BaseException) -> str | None:
    """ "file:line" of the innermost frame in the user's code."""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        file = Path(frame.filename)
        ours = PACKAGE in file.parents or frame.filename == importlib.__file__
        if not ours and is_users(frame.filename):
            return f"{file.name}:{frame.lineno}"
    return None


def _module(name: str, what: str, hint: str) -> Any:
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    importlib.invalidate_caches()
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name and f"{name}.".startswith(f"{error.name}."):
            text = f"{what}: there is no module {error.name!r}{hint}"
            raise PlaceError(text) from None
        raise _unloadable(what, error) from error
    except (Exception, SystemExit) as error:
        raise _unloadable(what, error) from error


def _unloadable(what: str, error: BaseException) -> PlaceError:
    return PlaceError(f"{what} cannot be loaded: {describe(error)}")


def _attribute(found: Any, name: str, what: str) -> Any:
    try:
        return getattr(found, name)
    except AttributeError:
        hint = did_you_mean(name, dir(found))
        owner = getattr(found, "__name__", type(found).__name__)
        raise PlaceError(f"{what}: {owner} has no attribute {name!r}{hint}") from None
    except Exception as error:  # of a module's __getattr__
        raise _unloadable(what, error) from error


def _is_dotted(name: str) -> bool:
    return all(part.isidentifier() for part in name.split("."))


def _meant(place: str) -> str:
    """The place that a path, or a name without a colon, stands for."""
    module, colon, name = place.rpartition(":")
    if not colon:
        module, _, name = place.rpartition(".")
    dotted = module.strip().removesuffix(".py").strip("./").replace("/", ".")
    meant = f"{dotted}:{name.strip()}"
    fits = all(map(_is_dotted, meant.split(":"))) and meant != place
    return f"; did you mean {meant!r}?" if fits else ""

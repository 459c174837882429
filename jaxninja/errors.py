"""What a user can fix, as one family of errors; and whose code a line is."""

import difflib
import importlib.util
from collections.abc import Callable, Iterable
from pathlib import Path

_CHECKER = Path(__file__).parent / "check"
_LIBRARIES = ("/jax/", "/jaxlib/", "/numpy/", "/contextlib.py", "/functools.py")


class UserError(Exception):
    """Something was given that cannot be used.

    The message is one line: what was given, what was expected, what to do. The command
    line prints it without a traceback and ends with exit code 2.
    """


class ArgumentError(UserError, ValueError):
    """An argument of a function has a value that makes no sense."""


class ArgumentTypeError(UserError, TypeError):
    """An argument of a function is of a type that makes no sense."""


class TrainError(ArithmeticError):
    """A run cannot go on: it diverged, or its gradients are not autodiff's."""


def did_you_mean(
    given: str, known: Iterable[str], shown: Callable[[str], str] = repr
) -> str:
    """The end of a message on an unknown name: the nearest known one, if any."""
    near = difflib.get_close_matches(given, list(known), 1)
    return f"; did you mean {shown(near[0])}?" if near else ""


def expected_one_of(given: str, known: Iterable[str], *others: str) -> str:
    """The same where there are dozens: the nearest known name, or else all of them and
    what others would have done."""
    names = list(known)
    return did_you_mean(given, names) or f", expected {', '.join([*names, *others])}"


def is_users(filename: str) -> bool:
    """Whether a source file is the user's: not the checker, JAX, NumPy or Python."""
    if filename.startswith("<") and "ipython" not in filename:
        return False
    path = Path(filename)
    in_library = any(name in path.as_posix() for name in _LIBRARIES)
    return not (in_library or {_CHECKER, _site_packages()} & {*path.parents})


def _site_packages() -> Path:
    spec = importlib.util.find_spec("numpy")
    return Path(spec.origin).parent.parent if spec and spec.origin else _CHECKER

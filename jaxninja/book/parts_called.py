"""The functions of the rules that a pass calls, and those that they call.

Some passes are a line that calls them: without them a page would show no mathematics.
What only refuses bad input returns nothing, and is left out.
"""

import ast
import inspect
import textwrap
from collections.abc import Callable, Iterator

from jaxninja import rules

_RULES = rules.__name__ + "."


def by(f: Callable) -> list[Callable]:
    """In the order in which a reader comes upon them."""
    found: list[Callable] = []
    for called in _called(f):
        _enter(called, found)
    return [called for called in found if called is not f]


def _enter(f: Callable, found: list[Callable]) -> None:
    if f in found or not _returns(f):
        return
    found.append(f)
    for called in _called(f):
        _enter(called, found)


def _called(f: Callable) -> Iterator[Callable]:
    names = (n.id for n in ast.walk(_tree(f)) if isinstance(n, ast.Name))
    for found in (f.__globals__.get(name) for name in names):
        plain = inspect.unwrap(found) if callable(found) else None
        if inspect.isfunction(plain) and plain.__module__.startswith(_RULES):
            yield plain


def _returns(f: Callable) -> bool:
    values = (n.value for n in ast.walk(_tree(f)) if isinstance(n, ast.Return))
    return any(value is not None for value in values)


def _tree(f: Callable) -> ast.Module:
    return ast.parse(textwrap.dedent(inspect.getsource(f)))

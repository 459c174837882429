"""What rules on expressions share: the array at hand, and nodes of a syntax tree."""

import ast
from typing import NamedTuple

from jaxninja.workbook.hints import Hint
from jaxninja.workbook.network import Network

Edited = tuple[ast.expr, Hint]
AXES = ("0", "1", "2", "3", "(0, 1)", "(0, 2)", "(1, 2)")  # of sums


class About(NamedTuple):
    """The array whose gradient an expression makes, and its network."""

    name: str
    network: Network


def parsed(text: str) -> ast.expr:
    return ast.parse(text, mode="eval").body


def call_of(place: ast.expr, attribute: str) -> bool:
    called = isinstance(place, ast.Call) and isinstance(place.func, ast.Attribute)
    return called and place.func.attr == attribute  # type: ignore[union-attr]


def in_brackets(text: str) -> str:
    return f"({text})" if any(c in text for c in "+- ") else text


def size_names(network: Network) -> dict[str, str]:
    """What a learner writes for a size, and what it is called."""
    letters = {k: text for k, text in network.letters.items() if len(k) == 1}
    return {text: k if k == text else f"{k} ({text})" for k, text in letters.items()}

"""A line of a derivation, as the rule files write it in ASCII, read as mathematics.

Only what cannot change the meaning is read: an index in brackets is a subscript, `^` a
superscript, `sum_n` a sum over n. A slash stays a slash and a product a juxtaposition,
so nothing needs a precedence. `parse` refuses a line whose brackets do not match; such
a line is shown as it stands.
"""

import re
from typing import NamedTuple

TOKEN = re.compile(
    r"""(?P<file>[a-z_0-9]+\.py\b)
      | (?P<sum>(?:sum|max|prod)_(?:\w+(?:,\w+)*|(?={)))
      | (?P<name>[A-Za-z]\w*'*(?:\.T\b)?)
      | (?P<number>\d+(?:\.\d+)?)
      | (?P<space>\s+)
      | (?P<sign><=|>=|!=|->|\+-|\.\.\.|.)""",
    re.VERBOSE,
)
OPEN = {"(": ")", "[": "]", "{": "}"}


class NotMathematics(ValueError):
    """A line that is shown as it stands: its brackets do not match."""


class Token(NamedTuple):
    """A name, a number, a sign, a space, a sum or the name of a file."""

    kind: str
    text: str


class Group(NamedTuple):
    """What stands in a pair of brackets."""

    bracket: str  # the opening one
    items: list


class Script(NamedTuple):
    """A base with an index (`_`), a power (`^`) or what a sum goes over (`sum`)."""

    kind: str
    base: "Token | Group | Script"
    script: list


Node = Token | Group | Script


def parse(line: str) -> list[Node]:
    """The tree of a line.

    Raises:
        NotMathematics: the brackets do not match.
    """
    tokens = list(map(_token, TOKEN.finditer(line)))
    items, rest = _until(tokens, "")
    if rest:
        raise NotMathematics(f"{line!r}: a bracket closes that was not opened")
    return items


def _until(tokens: list[Token], closing: str) -> tuple[list[Node], list[Token]]:
    """The nodes up to a closing bracket, and the tokens after it."""
    items: list[Node] = []
    while tokens:
        head = tokens[0].text
        if head == closing and closing:
            return items, tokens[1:]
        if head in OPEN.values():
            break
        node, tokens = _node(tokens)
        items.append(node)
    if closing:
        raise NotMathematics(f"expected {closing!r}")
    return items, tokens


def _node(tokens: list[Token]) -> tuple[Node, list[Token]]:
    """One node with its indices and powers; a bracket after a space is no index."""
    node, tokens = _atom(tokens)
    if isinstance(node, Token) and node.kind in ("space", "sign", "file"):
        return node, tokens
    while tokens:
        if tokens[0].text == "[" and not _is_plain_bracket(node):
            group, tokens = _atom(tokens)
            node = Script("_", node, group.items)  # type: ignore[union-attr]
        elif tokens[0].text == "^":
            script, tokens = _power(tokens[1:])
            node = Script("^", node, script)
        else:
            break
    return node, tokens


def _is_plain_bracket(node: Node) -> bool:
    """Whether an index cannot follow: after a number, as in 2 [N]."""
    return isinstance(node, Token) and node.kind == "number"


def _atom(tokens: list[Token]) -> tuple[Node, list[Token]]:
    head, rest = tokens[0], tokens[1:]
    if head.text in OPEN:
        items, rest = _until(rest, OPEN[head.text])
        return Group(head.text, items), rest
    if head.kind == "sum" and head.text.endswith("_"):  # sum_{j <= i}
        group, rest = _atom(rest)
        return Script("sum", Token("sum", head.text), group.items), rest  # type: ignore[union-attr]
    if head.kind == "sum":
        name, _, over = head.text.partition("_")
        inside = TOKEN.finditer(over)
        return Script("sum", Token("sum", f"{name}_"), list(map(_token, inside))), rest
    return head, rest


def _token(match: re.Match[str]) -> Token:
    return Token(match.lastgroup or "", match[0])


def _power(tokens: list[Token]) -> tuple[list[Node], list[Token]]:
    """What stands after `^`: a name or number, with a sign, an index or brackets."""
    if not tokens:
        raise NotMathematics("nothing after ^")
    signs: list[Node] = []
    while tokens and tokens[0].text in "+-":
        signs, tokens = [*signs, tokens[0]], tokens[1:]
    if not tokens or tokens[0].kind == "space":
        raise NotMathematics("nothing after ^")
    node, tokens = _atom(tokens)
    while tokens and tokens[0].text == "[":  # e^x[i] is e to the power x[i]
        group, tokens = _atom(tokens)
        node = Script("_", node, group.items)  # type: ignore[union-attr]
    inside = node.items if isinstance(node, Group) and not signs else [node]
    return [*signs, *inside], tokens

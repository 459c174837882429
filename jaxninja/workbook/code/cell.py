"""A function where it is defined, in a cell of a notebook: its lines, and its helpers'.

A helper is whatever the cell makes and the function reads: an import, another function,
an array; and what these read in turn. So the function runs elsewhere as it does there.
"""

import ast
import inspect
import textwrap
from collections.abc import Callable, Iterator, Sequence

from jaxninja.workbook.code.parse import making
from jaxninja.workbook.code.statements import Statement, statement, variables


def lines_of(function: Callable) -> dict[int, str]:
    """The lines of a function and of its helpers, by their numbers in the cell.

    Raises:
        OSError, TypeError: it has no source.
    """
    function = inspect.unwrap(function)
    own, first = inspect.getsourcelines(function)
    whole, _ = inspect.findsource(function)
    numbers = {n for s in _with_helpers("".join(whole), first) for n in _numbers(s)}
    if numbers:
        return {n: whole[n - 1].rstrip("\n") for n in sorted(numbers)}
    inside = textwrap.dedent("".join(own))  # of another function: it stands alone
    return dict(enumerate(inside.splitlines(), first))


def as_in_cell(lines: dict[int, str]) -> str:
    """As text whose lines have the numbers of the cell's."""
    return "\n".join(lines.get(n, "") for n in range(1, max(lines) + 1)) + "\n"


def as_file(lines: dict[int, str]) -> str:
    """As text in which what stood apart is two empty lines apart."""
    starts = ("\n\n" if n - 1 not in lines else "" for n in lines)
    rows = zip(starts, lines.values(), strict=True)
    return "\n".join(start + row for start, row in rows).strip("\n") + "\n"


def _with_helpers(text: str, first: int) -> Sequence[Statement]:
    """Of a cell; nothing if no function of its own level begins in that line."""
    tree = ast.parse(text)
    names = variables(tree)
    statements = [statement(node, names) for node in tree.body]
    for one in statements:
        if isinstance(one.node, ast.FunctionDef) and min(_numbers(one)) == first:
            wanted = one.reads | one.late
            return [one, *making(statements, wanted, len(statements), ())]
    return ()


def _numbers(one: Statement) -> Iterator[int]:
    """The numbers of its lines, those of decorators too."""
    decorators = getattr(one.node, "decorator_list", [])
    first = min(node.lineno for node in (one.node, *decorators))
    yield from range(first, (one.node.end_lineno or first) + 1)

"""A learner's `backward`, read as text: which lines make which gradient.

The lines of a function are cut into one piece for each gradient, d<name>. A piece is
all the statements that assign it, second branches (`+=`) included, and those that it
leans on. So each gradient can be computed by itself, from true gradients or from the
learner's own, in the lecture's own style: one straight list of assignments.
"""

import ast
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from jaxninja.errors import UserError
from jaxninja.workbook.code.statements import (
    Statement,
    does_nothing,
    is_blank,
    is_print,
    statement,
    variables,
)
from jaxninja.workbook.texts.languages import meant, sentence

FUNCTION = "backward"


class SourceError(UserError):
    """What is wrong with a learner's file, in a sentence; `line` is where."""

    def __init__(self, sentence: str, line: int | None = None):
        super().__init__(sentence)
        self.sentence, self.line = sentence, line


@dataclass(frozen=True)
class Source:
    """A learner's function.

    Attributes:
        text, filename: of the file.
        tree: of the file.
        function: its `backward`.
        statements: of its body, in order, that make gradients or help to.
        prints: the others, prints and asserts.
    """

    text: str
    filename: str
    tree: ast.Module
    function: ast.FunctionDef
    statements: tuple[Statement, ...]
    prints: tuple[Statement, ...] = ()

    @property
    def parameters(self) -> tuple[str, ...]:
        a = self.function.args
        return tuple(p.arg for p in (*a.posonlyargs, *a.args, *a.kwonlyargs))

    def assigning(self, variable: str) -> list[Statement]:
        return [s for s in self.statements if variable in s.assigns]

    def attempt(self, variable: str) -> list[Statement]:
        """The statements that assign it, from the last that does so afresh."""
        found = self.assigning(variable)
        fresh = [k for k, s in enumerate(found) if s.is_fresh(variable)]
        return found[fresh[-1] :] if fresh else found

    def is_gap(self, variable: str) -> bool:
        """Whether a gradient is still None or ..., as the exercise came."""
        nodes = [s.node for s in self.attempt(variable)]
        return bool(nodes) and all(map(is_blank, nodes))

    @property
    def returns(self) -> bool:
        """Whether it ends with what it returns."""
        last = self.function.body[-1]
        return isinstance(last, ast.Return) and last.value is not None

    def piece(self, variable: str, gradients: Sequence[str]) -> list[Statement]:
        """The statements that make one gradient, in order.

        Those of `gradients` that come before it are handed to it. All other names are
        the learner's own helpers, and so is a gradient that is not complete yet: what
        assigned them last belongs to the piece.
        """
        known = [*gradients]
        given = known[: known.index(variable)] if variable in known else known
        return making(self.statements, {variable}, len(self.statements), given)

    def leading_to(self, one: Statement, gradients: Sequence[str]) -> list[Statement]:
        """A print or an assert, after what makes the helpers that it reads."""
        place = sum(s.is_above(one) for s in self.statements)
        wanted = one.reads | one.late
        return [*making(self.statements, wanted, place, gradients), one]


def making(
    statements: Sequence[Statement],
    wanted: Collection[str],
    place: int,
    given: Collection[str],
) -> list[Statement]:
    """The statements that make names what they are at a place, in order.

    Of what these read in turn, a gradient that is given and complete there is at hand.
    """
    chosen, seen, todo = set[int](), set(), [(place, name) for name in wanted]
    while todo:
        place, name = reading = todo.pop()
        complete = all(name not in s.assigns for s in statements[place:])
        if reading in seen or (name in given and complete):
            continue
        seen.add(reading)
        for k in _last(statements[:place], name):
            chosen.add(k)
            todo += [(k, other) for other in statements[k].reads]
            todo += [(place, other) for other in statements[k].late]
    return [statements[k] for k in sorted(chosen)]


def _last(statements: Sequence[Statement], name: str) -> Iterator[int]:
    """Where a name is assigned last, and what this only changes, and so on."""
    for k in reversed(range(len(statements))):
        if name in statements[k].assigns:
            yield k
            if name in statements[k].binds:
                return


def read(text: str, filename: str) -> Source:
    """Parse a learner's file.

    Raises:
        SourceError: it is not Python, or has no function `backward`.
    """
    try:
        tree = ast.parse(text.removeprefix("\ufeff"), filename)
    except SyntaxError as error:
        if isinstance(error, IndentationError) and (tab := _tab(text)):
            raise SourceError(sentence("tab"), tab) from None
        what = sentence("not Python yet", error=error.msg)
        raise SourceError(what, error.lineno) from None
    except ValueError as error:  # null bytes
        raise SourceError(sentence("not Python", error=error)) from None
    defined = [n for n in tree.body if isinstance(n, ast.FunctionDef)]
    functions = [n for n in defined if n.name == FUNCTION]
    if not functions:
        names = ", ".join(n.name for n in defined) or sentence("nothing")
        raise SourceError(sentence("no function", function=FUNCTION, names=names))
    function = functions[-1]
    names = variables(tree)
    nodes = [node for node in function.body if not does_nothing(node)]
    prints = [node for node in nodes if is_print(node, names)]
    _refuse_early_return(function)
    for node in nodes:
        _refuse_return(node)
    return Source(
        text,
        filename,
        tree,
        function,
        tuple(statement(node, names) for node in nodes if node not in prints),
        tuple(statement(node, names) for node in prints),
    )


def _tab(text: str) -> int | None:
    """The first line that a tab indents, where spaces indent others."""
    lines = text.splitlines()
    if not any(line.startswith(" ") for line in lines):
        return None
    return next((k for k, line in enumerate(lines, 1) if line.startswith("\t")), None)


def out_of_order(source: Source, gradients: Sequence[str]) -> dict[int, str]:
    """Lines that read a gradient before it is complete, and what is wrong with each.

    A piece by itself would not show it: it is handed complete gradients. But the
    function runs from top to bottom.
    """
    found = {}
    for k, reader in enumerate(source.statements):
        for variable in sorted(reader.values & set(gradients) - reader.assigns):
            above, below = (
                [s for s in part if variable in s.assigns]
                for part in (source.statements[:k], source.statements[k + 1 :])
            )
            if below:
                found[reader.line] = _order(variable, above, below)
    return found


def _order(variable: str, above: list[Statement], below: list[Statement]) -> str:
    if not above:
        return sentence("early", variable=variable, line=below[0].line)
    fresh = [s.line for s in below if s.is_fresh(variable)]
    if fresh:
        facts = dict(above=above[-1].line, below=fresh[-1])
        return sentence("anew", variable=variable, **facts)
    return sentence("half", variable=variable, below=below[-1].line)


def check_parameters(source: Source, known: Sequence[str]) -> None:
    """Whether every parameter is an array that the check can pass.

    Raises:
        SourceError: it takes *args or **kwargs, or a name that is no such array.
    """
    a = source.function.args
    if a.vararg or a.kwarg or a.defaults or any(a.kw_defaults):
        raise SourceError(
            sentence("stars", function=FUNCTION),
            source.function.lineno,
        )
    for name in source.parameters:
        if name not in known:
            hint = meant(name, known)
            raise SourceError(
                sentence("no such array", function=FUNCTION, name=name, hint=hint),
                source.function.lineno,
            )


def _refuse_early_return(function: ast.FunctionDef) -> None:
    for node in function.body[:-1]:
        if isinstance(node, ast.Return):
            raise SourceError(sentence("return early"), node.lineno)


def _refuse_return(node: ast.stmt) -> None:
    if isinstance(node, ast.FunctionDef):
        return  # it is its own
    for inner in ast.walk(node):
        if isinstance(inner, ast.Return | ast.Yield | ast.Global | ast.Nonlocal):
            word = type(inner).__name__.lower()
            raise SourceError(
                sentence("inside", word=word),
                getattr(inner, "lineno", node.lineno),
            )

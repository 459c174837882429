"""What a learner's function does beside its gradients: prints and asserts.

A check runs the lines of a gradient many times, in silence. A print is of interest
once, with the numbers of the lecture's sizes, when all gradients above it are there.
"""

import ast
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import jax

from jaxninja.check.errors import UserCodeError, running
from jaxninja.workbook.code import snippets
from jaxninja.workbook.code.parse import Source, SourceError
from jaxninja.workbook.code.snippets import Piece
from jaxninja.workbook.code.statements import Statement
from jaxninja.workbook.exercise import Exercise
from jaxninja.workbook.gradient import Chain, Judged
from jaxninja.workbook.texts.languages import sentence


class Prints:
    """The prints and asserts of a function that have not had their turn yet.

    Args:
        exercise, learner, scope: whose they are, and the names of their file.
        chain: the lecture's sizes, and the learner's own gradients on them.
        tell: hears that a line is about to be run.
    """

    def __init__(
        self,
        exercise: Exercise,
        learner: Source,
        scope: dict[str, Any],
        chain: Chain,
        tell: Callable[[str, int], None],
    ):
        self.exercise, self.learner, self.scope = exercise, learner, scope
        self.chain, self.tell = chain, tell
        self.done: dict[str, Any] = {}
        self.waiting = [*learner.prints]
        self.printing = snippets.printing(learner.tree)

    def inside(self, piece: Piece) -> None:
        """Let the lines of a gradient print what they do; errors are reported later."""
        if piece.used & self.printing:
            with suppress(Exception), jax.enable_x64(False):
                piece.aloud(self.chain.sample.values, self.chain.mine)

    def after(self, name: str, judged: Judged) -> None:
        """Run those that stand below a gradient, now that it was judged.

        Raises:
            SourceError, UserCodeError: one does not hold, or raised.
        """
        if judged.first is None:
            return
        self.done[name] = judged.first
        try:
            self.run()
        except (SourceError, UserCodeError):
            if judged.right:  # a wrong gradient is worth more words than an assert
                raise

    def run(self) -> None:
        """Run those that stand below no gradient but those that are done."""
        due = [one for one in self.waiting if self._above(one) <= self.done.keys()]
        for one in due:
            self.waiting.remove(one)
            self._run(one)

    def _above(self, one: Statement) -> set[str]:
        above = (s for s in self.learner.statements if s.is_above(one))
        assigned = {name for statement in above for name in statement.assigns}
        return {k for k in self.exercise.names if f"d{k}" in assigned}

    def _run(self, one: Statement) -> None:
        self.tell("this line", one.line)
        lines = snippets.of_print(
            self.learner, self.scope, one, self.exercise.gradients
        )
        try:
            with jax.enable_x64(False), running("this line"):
                lines.aloud(self.chain.sample.values, {**self.chain.mine, **self.done})
        except UserCodeError as error:
            if not isinstance(error.__cause__, AssertionError):
                raise
            raise SourceError(_failed(one.node, error.__cause__), one.line) from None


def _failed(node: ast.stmt, error: AssertionError) -> str:
    """An assert that does not hold, and what it compares."""
    tested = [ast.unparse(node.test)] if isinstance(node, ast.Assert) else []
    return ": ".join([sentence("assert"), *tested, *filter(None, [str(error)])])

"""What has no translation, and why, in a sentence."""

import ast

from jaxninja.errors import UserError


class NotebookError(UserError, ValueError):
    """A notebook that cannot be read, or that is not the lecture's."""


class NoTranslation(Exception):
    """A line of PyTorch that has no counterpart here."""

    def __init__(self, sentence: str, node: ast.AST | None = None):
        super().__init__(sentence)
        self.sentence, self.line = sentence, getattr(node, "lineno", None)

"""What a learner's text must not name: derivatives by machine, and what stops a check.

The equations that JAX traced tell more (`by_machine.not_by_hand`). The names serve to
tell the learner which call it was, and for lines that do not trace.
"""

import ast
from collections.abc import Iterator

from jaxninja.models.by_hand.by_machine import Machine
from jaxninja.workbook.code.parse import SourceError
from jaxninja.workbook.texts.languages import sentence

AUTODIFF = {
    *("grad", "value_and_grad", "vjp", "jvp", "linearize", "linear_transpose"),
    *("jacobian", "jacrev", "jacfwd", "hessian", "retain_grads"),
}
MODULES = ("torch", "tensorflow", "autograd", "jaxninja", "importlib")
MODULES += ("jax.experimental.jet", "jax.interpreters", "jax._src", "jax.extend")
CALLS = {  # call -> the sentence that is said of it
    "breakpoint": "terminal",
    "set_trace": "terminal",
    "input": "terminal input",
    "exec": "runs lines",
    "eval": "runs expression",
    "compile": "runs lines",
    "__import__": "imports text",
}


def written(tree: ast.AST) -> str | None:
    """The first derivative by machine that a text names, in words; None without one.

    `grad` counts as an attribute, as in jax.grad, or if it is imported; a variable of
    that name is the learner's own.
    """
    return next(_names(tree), None)


def _names(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr in AUTODIFF:
            yield sentence("by machine autodiff", what=ast.unparse(node))
        if isinstance(node, ast.Constant) and isinstance(node.value, complex):
            yield sentence("by machine complex step", what=node.value)
        if isinstance(node, ast.ImportFrom):
            for name in {a.name for a in node.names} & AUTODIFF:
                what = sentence("an import", name=name)
                yield sentence("by machine autodiff", what=what)


def found(machine: Machine) -> str:
    """What an equation was made by, in words."""
    what = machine.what
    if machine.code == "autodiff":
        what = sentence("an equation", name=machine.what, place=machine.place)
    return sentence(f"by machine {machine.code}", what=what)


def refuse(tree: ast.AST) -> None:
    """Before anything is run.

    Raises:
        SourceError: it imports what has gradients ready, or calls what cannot be.
    """
    for node in ast.walk(tree):
        if module := next(_modules(node), None):
            raise SourceError(
                sentence("imports", module=module),
                getattr(node, "lineno", None),
            )
        if isinstance(node, ast.Call):
            name = getattr(node.func, "attr", getattr(node.func, "id", ""))
            of_re = isinstance(node.func, ast.Attribute) and name == "compile"
            if name in CALLS and not of_re:
                raise SourceError(sentence(CALLS[name], call=name), node.lineno)


def _modules(node: ast.AST) -> Iterator[str]:
    """The modules that it imports and must not."""
    names = []
    if isinstance(node, ast.Import):
        names = [alias.name for alias in node.names]
    elif isinstance(node, ast.ImportFrom):
        names = [f"{node.module or ''}.{alias.name}" for alias in node.names]
    for name in names:
        if any(f"{name}.".startswith(f"{module}.") for module in MODULES):
            yield name

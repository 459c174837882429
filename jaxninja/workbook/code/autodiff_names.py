"""Automatic differentiation by its names in a text.

The equations that JAX traced tell more (`user_file.not_by_hand`). The
names serve to tell the learner which call it was, and for lines that do not trace.
"""

import ast
from collections.abc import Iterator

AUTODIFF = {
    *("grad", "value_and_grad", "vjp", "jvp", "linearize", "linear_transpose"),
    *("jacobian", "jacrev", "jacfwd", "hessian", "retain_grads"),
}
PACKAGES = {"torch", "tensorflow", "autograd"}


def written(tree: ast.AST) -> str | None:
    """The first function of autodiff that a text names, in words; None without one.

    `grad` counts as an attribute, as in jax.grad, or if it is imported; a variable of
    that name is the learner's own.
    """
    name = next(_names(tree), None)
    return name and f"uses automatic differentiation ({name})"


def _names(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr in AUTODIFF:
            yield ast.unparse(node)
        if isinstance(node, ast.Import | ast.ImportFrom):
            module = getattr(node, "module", None) or ""
            for alias in node.names:
                package = (module or alias.name).split(".")[0]
                if alias.name in AUTODIFF or package in PACKAGES:
                    yield f"import {alias.name}"

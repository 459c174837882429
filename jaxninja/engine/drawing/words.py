"""Operations and values in few words, for drawings."""

from collections.abc import Set

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from jaxninja.engine.computation import Computation, Node, Step
from jaxninja.escaping import printable

SYMBOLS = {"add": "+", "add_any": "+", "sub": "-", "mul": "*", "div": "/", "pow": "^"}
SYMBOLS |= {"gt": ">", "ge": ">=", "lt": "<", "le": "<=", "eq": "==", "ne": "!="}
BY_NAME = ("custom_vjp_call", "custom_jvp_call")  # called what their function is


def operation(graph: Computation, step: Step, numbers: Set[int]) -> str:
    """The operation with the numbers that it is given: `* 2`, `1 -`, `^ 3`, `tanh`."""
    name = called(step)
    given = [number(graph.values[i]) if i in numbers else "" for i in step.ins]
    if name in SYMBOLS.values() and len(given) == 2:
        return " ".join(filter(None, [given[0], name, given[1]]))
    return name


def expression(
    graph: Computation, step: Step, numbers: Set[int], nodes: list[Node]
) -> str:
    """The operation and its operands: `a * 2`, `tanh(n)`."""
    name = called(step)
    words = [
        number(graph.values[i]) if i in numbers else label(nodes[i]) for i in step.ins
    ]
    if name in SYMBOLS.values() and len(words) == 2:
        return f" {name} ".join(words)
    if name.startswith("^"):
        return f"{words[0]} {name}"
    return f"{name}({', '.join(words)})"


def called(step: Step) -> str:
    """What an operation is called: its symbol, its function, or its primitive."""
    name, params = step.eqn.primitive.name, step.eqn.params
    if name == "integer_pow":
        return f"^ {params['y']}"
    if name == "scan":
        return f"scan, {params['length']} steps"
    if name in BY_NAME:
        return printable(step.called or str(name))
    return SYMBOLS.get(name) or name


def number(x) -> str:
    item = np.asarray(x).item()
    return f"{item:.4g}" if isinstance(item, float) else str(item)


def title(node: Node) -> str:
    """The name of a node, else its number; and its dtype and shape."""
    return f"{label(node)}  {node.dtype}{list(node.shape)}"


def label(node: Node) -> str:
    return printable(node.name) if node.name else f"#{node.index}"


def measure(x) -> str:
    """A scalar as it is; of an array mean and standard deviation; integers: the range.

    Empty for what has no numbers: nothing, a random key, a value that is being traced.
    """
    if x is None or isinstance(x, Tracer):
        return ""
    if jnp.issubdtype(x.dtype, jax.dtypes.extended) or x.size == 0:
        return ""
    array = np.asarray(x)
    if not jnp.issubdtype(x.dtype, jnp.inexact):
        if x.size == 1:
            return str(array.item())
        if array.dtype == bool:
            return f"{array.sum()} of {array.size} true"
        return f"{array.min()} to {array.max()}"
    is_complex = jnp.issubdtype(x.dtype, jnp.complexfloating)
    array = array.astype(np.complex128 if is_complex else np.float64)
    if x.size == 1:
        return _rounded(array.item())
    with np.errstate(all="ignore"):  # infinities are shown as what they give
        return f"mean {array.mean():.3g}, std {array.std():.3g}"


def _rounded(item: complex) -> str:
    """Four places; what these would show as 0 by its digits, as 1e-06."""
    text = f"{item:.4f}"
    return f"{item:.3g}" if item and complex(text) == 0 else text

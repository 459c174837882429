"""A small engine of backpropagation: micrograd, from scalars to tensors.

    graph = trace(f, x)            every value of f(x), as the nodes of a graph
    grads = backward(graph)        the gradient of every node
    value_and_grad(f)              as `jax.value_and_grad`, by this engine

No `jax.grad`, `jax.vjp` or `jax.linearize` is inside: `core.py` walks the graph, and a
table of hand-derived rules, one for each primitive operation, says how.
"""

from jaxninja.engine.api import backward, trace, value_and_grad
from jaxninja.engine.computation import Node
from jaxninja.engine.core import Call
from jaxninja.engine.errors import NoRule
from jaxninja.engine.gradients import Gradients
from jaxninja.engine.graph import Graph
from jaxninja.engine.primitives.table import PRIMITIVES

__all__ = [
    "PRIMITIVES",
    "Call",
    "Gradients",
    "Graph",
    "NoRule",
    "Node",
    "backward",
    "trace",
    "value_and_grad",
]

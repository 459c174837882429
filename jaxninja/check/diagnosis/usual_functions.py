"""A gradient that is another function's: softmax's for that of another projection.

Backwards are written by the output y, and copied: y (1 - y) dy is the sigmoid's.
"""

from collections.abc import Callable, Iterator

import jax
import numpy as np

from jaxninja.check.diagnosis.code.problem import Problem, close
from jaxninja.check.diagnosis.regions import Found
from jaxninja.check.hints import say
from jaxninja.check.subject.pytrees import on_device

ELEMENTWISE: dict[str, Callable] = {
    "the identity": lambda y, g: g,
    "exp": lambda y, g: y * g,
    "sigmoid": lambda y, g: y * (1 - y) * g,
    "tanh": lambda y, g: (1 - y * y) * g,
    "relu": lambda y, g: (y > 0) * g,
    "sqrt": lambda y, g: g / (2 * y),
    "the reciprocal": lambda y, g: -y * y * g,
}
ALONG: dict[str, Callable] = {
    "softmax": lambda y, g, a: y * (g - (y * g).sum(a, keepdims=True)),
    "log_softmax": lambda y, g, a: g - np.exp(y) * g.sum(a, keepdims=True),
    "centring": lambda y, g, a: g - g.mean(a, keepdims=True),
    "cumsum": lambda y, g, a: np.flip(np.cumsum(np.flip(g, a), a), a),
}


def borrowed(problem: Problem, leaf: int) -> Found | None:
    """The gradient that a usual function with the same output has."""
    cotangents = [np.asarray(g) for g in jax.tree.leaves(problem.sample.dy)]
    mine = problem.got[leaf]
    if len(cotangents) != 1 or cotangents[0].shape != mine.shape or mine.size < 2:
        return None
    args = problem.sample.args
    traceable = problem.program is not None  # else it may be NumPy code
    given = on_device(args) if traceable else args
    values = jax.tree.leaves(problem.subject.plain(*given))
    y, name = np.asarray(values[0]), problem.sample.names[leaf]
    for function, model in _models(y, cotangents[0]):
        if close(mine, model, problem.floor) and np.isfinite(model).all():
            return "function", say("borrowed", leaf=name, function=function)
    return None


def _models(y: np.ndarray, g: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    for function, of in ELEMENTWISE.items():
        yield function, of(y, g)
    for function, along in ALONG.items():
        for axis in range(y.ndim):
            at = f" over axis {axis}" if y.ndim > 1 else ""
            yield f"{function}{at}", along(y, g, axis)

"""The cotangents that a walk starts from: the weights of the outputs."""

import jax
import jax.numpy as jnp

from jaxninja.engine.computation import Computation
from jaxninja.errors import ArgumentError, ArgumentTypeError


def weights(graph: Computation, cotangent) -> list:
    """One cotangent for each output; None for an integer output."""
    if cotangent is None:
        instead = "give its weights as the cotangent"
        return [weight_of_scalar(graph.output, "the function", instead)]
    given, tree = jax.tree.flatten(cotangent)
    if tree != graph.tape.out_tree:
        raise ArgumentError(
            f"cotangent has the structure {tree}, expected that of the output, "
            f"{graph.tape.out_tree}"
        )
    outputs = [graph.values[i] for i in graph.tape.outputs]
    return [_fitting(c, y) for c, y in zip(given, outputs, strict=True)]


def _fitting(cotangent, y):
    if not is_differentiable(y):
        return None
    array = jnp.asarray(cotangent, y.dtype)
    if array.shape != y.shape:
        raise ArgumentError(
            f"a cotangent has shape {array.shape}, expected {y.shape} as its output"
        )
    return array


def weight_of_scalar(value, name: str, instead: str):
    """The weight 1, of the one real scalar that a function returned.

    `instead` is what else can be done with what is none.
    """
    scalar = isinstance(value, jax.Array) and value.shape == ()
    if scalar and jnp.issubdtype(value.dtype, jnp.floating):
        return jnp.ones_like(value)
    given = jax.tree.map(lambda a: f"{a.dtype}{list(a.shape)}", value)
    why = f"a gradient needs a real scalar: reduce it, or {instead}"
    if scalar and not is_differentiable(value):
        why = f"{value.dtype} has no gradient: pass floats, 2.0 for 2, and return one"
    raise ArgumentTypeError(f"{name} returned {given}, and {why}")


def is_differentiable(x) -> bool:
    """Floating and complex numbers move smoothly; integers and booleans jump."""
    return jnp.issubdtype(x.dtype, jnp.inexact)

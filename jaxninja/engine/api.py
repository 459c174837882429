"""The calls of the engine: `trace`, `backward`, and both in one, `value_and_grad`."""

import functools
import inspect
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxninja.engine.core import Rules, evaluate, walk
from jaxninja.engine.cotangents import is_differentiable, weight_of_scalar, weights
from jaxninja.engine.errors import tracing
from jaxninja.engine.gradients import Gradients
from jaxninja.engine.graph import Graph
from jaxninja.engine.primitives.table import PRIMITIVES
from jaxninja.errors import ArgumentTypeError
from jaxninja.jaxpr import opened


def trace(f: Callable[..., Any], *args: Any, rules: Rules = PRIMITIVES) -> Graph:
    """The graph of f(*args), with the value of every node.

    Args:
        f: any function that `jax.jit` takes: in place of `if` on an argument it has
            jnp.where or jax.lax.cond, in place of math and NumPy jnp.
        args: pytrees. Arrays and floats are arguments of the graph, named as in f's
            signature; what is neither (an int, a string, a config) stays as it is, and
            has no gradient: pass 2.0 for 2.
        rules: the table of primitive VJPs that `backward` will use.

    Returns:
        A `Graph`. It is a pytree: `jax.jit(lambda x: trace(f, x))` works too.

    Raises:
        TypeError: f is no function, or it needs the numbers of its arguments, which a
            trace has not.
    """
    if not callable(f):
        raise ArgumentTypeError(
            f"trace takes a function and then its arguments, as in trace(f, 2.0), not "
            f"a {type(f).__name__}"
        )
    leaves, in_tree = jax.tree.flatten(args)
    places = [i for i, leaf in enumerate(leaves) if _is_argument(leaf)]
    arrays = [jnp.asarray(leaves[i]) for i in places]

    def flat(*given):
        filled = list(leaves)
        for i, leaf in zip(places, given, strict=True):
            filled[i] = leaf
        return f(*jax.tree.unflatten(in_tree, filled))

    active = [is_differentiable(a) for a in arrays]
    graph = _trace(_called(f), flat, arrays, active, rules)
    names = dict(zip(graph.tape.arguments, _names(f, args, places), strict=True))
    names |= graph.tape.names
    ints = [i for i, leaf in enumerate(leaves) if type(leaf) is int]
    fixed = {k: leaves[i] for k, i in zip(_names(f, args, ints), ints, strict=True)}
    tape = replace(graph.tape, names=names, in_tree=(in_tree, places), fixed=fixed)
    return replace(graph, tape=tape)


def backward(graph: Graph, cotangent: Any = None) -> Gradients:
    """The gradient of every node of a graph.

    Args:
        graph: from `trace`; it is only read, so a second call gives the same again.
        cotangent: the weights of the outputs, in f's output structure; without it f
            must have returned one real scalar, whose weight is 1.

    Raises:
        NoRule: a gradient comes to a primitive without a rule.
        TypeError, ValueError: no graph was given; the cotangent does not fit; a rule
            gave a wrong shape.
    """
    if not isinstance(graph, Graph):
        raise ArgumentTypeError(
            f"backward takes the graph that trace(f, ...) returns, not a "
            f"{type(graph).__name__}"
        )
    return walk(graph, weights(graph, cotangent))


def value_and_grad(
    f: Callable[..., Any],
    argnums: int | Sequence[int] = 0,
    has_aux: bool = False,
    *,
    rules: Rules = PRIMITIVES,
) -> Callable[..., tuple[Any, Any]]:
    """A drop-in for `jax.value_and_grad`, by this engine, for what `jax.jit` takes.

    It traces f before there are numbers: an `if` on an argument, float(x) and math.sin
    are refused, where `jax.value_and_grad` without jit takes them.

    Where f has a kink or a tie the gradient is that of `jax.grad`: relu'(0) = 0,
    |.|'(0) = 1, and a maximum shared by k entries gives 1/k to each.

    Args:
        f: returns a real scalar, or (scalar, aux) with `has_aux`.
        argnums: which arguments to differentiate: pytrees of floating arrays, or
            complex ones, where the gradient of a + i b is da - i db, as in JAX.
        has_aux: f returns (value, aux); aux is returned and not differentiated.
        rules: `{**PRIMITIVES, primitive: rule}` for a rule of your own.

    Returns:
        A function of f's arguments that returns (value, gradient), or ((value, aux),
        gradient); for a sequence of argnums a tuple of gradients.

    Raises:
        TypeError: an argument to differentiate is not floating; f's value is no real
            scalar; f needs its numbers. NoRule: a primitive in the way of the gradient
            has no rule.
    """
    several = not isinstance(argnums, int)
    wanted = tuple(argnums) if isinstance(argnums, Sequence) else (argnums,)

    @functools.wraps(f)
    def valued(*args, **kwargs):
        chosen = tuple(args[_place(f, i, len(args))] for i in wanted)
        leaves, tree = jax.tree.flatten(chosen)
        arrays = [_differentiable(f, leaf) for leaf in leaves]

        def flat(*given):
            filled = list(args)
            for i, value in zip(wanted, jax.tree.unflatten(tree, given), strict=True):
                filled[i] = value
            out = f(*filled, **kwargs)
            return _pair(out) if has_aux else (out, ())

        graph = _trace(_called(f), flat, arrays, [True] * len(arrays), rules)
        value, aux = graph.output
        instead = "return the rest as aux (has_aux=True)"
        one = weight_of_scalar(value, _called(f), instead)
        grads = walk(graph, [one] + [None] * (len(graph.tape.outputs) - 1))
        tree_of_grads = jax.tree.unflatten(
            tree, [grads[i] for i in graph.tape.arguments]
        )
        result = (value, aux) if has_aux else value
        return result, tree_of_grads if several else tree_of_grads[0]

    return valued


def _trace(name: str, flat, arrays, active, rules) -> Graph:
    with tracing(name):
        closed, out = jax.make_jaxpr(flat, return_shape=True)(*arrays)
    ran = evaluate(*opened(closed), arrays, active, rules)
    tape = replace(ran.tape, out_tree=jax.tree.structure(out))
    return Graph(ran.values, ran.saved, tape)


def _is_argument(leaf) -> bool:
    return isinstance(leaf, float | complex | jax.Array | np.ndarray | np.generic)


def _names(f, args, places) -> list[str]:
    """`x`, `params['W1']`: each argument as f's signature and the pytree call it."""
    paths = [path for path, _ in jax.tree_util.tree_leaves_with_path(args)]
    try:
        bound = inspect.signature(f).bind(*args).arguments
    except (TypeError, ValueError):  # a builtin, say
        bound = {}
    named = list(bound) if len(bound) == len(args) else []
    first = [*named, *(f"arg{k}" for k in range(len(named), len(args)))]
    return [first[paths[i][0].idx] + jax.tree_util.keystr(paths[i][1:]) for i in places]


def _differentiable(f, leaf):
    array = jnp.asarray(leaf) if _is_argument(leaf) else None
    if array is None or not is_differentiable(array):
        kind = type(leaf).__name__ if array is None else array.dtype
        raise ArgumentTypeError(
            f"{_called(f)}: an argument to differentiate holds {kind}, expected "
            "floating-point or complex arrays: choose others with argnums, or convert "
            "it"
        )
    return array


def _place(f, i: int, count: int) -> int:
    if not isinstance(i, int):
        raise ArgumentTypeError(
            f"{_called(f)}: argnums has {i!r}, expected the places of arguments, as 0"
        )
    if -count <= i < count:
        return i
    raise ArgumentTypeError(
        f"{_called(f)}: argnums is {i}, but {count} arguments were given"
    )


def _pair(out):
    if isinstance(out, tuple) and len(out) == 2:
        return out
    raise ArgumentTypeError(
        f"with has_aux f must return (value, aux), not a {type(out).__name__}"
    )


def _called(f) -> str:
    return getattr(f, "__name__", str(f))

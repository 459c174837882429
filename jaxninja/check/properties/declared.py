"""Gradients that are declared by `surrogate=`: whether they are gradients at all."""

from collections.abc import Callable
from inspect import Parameter

import jax
import numpy as np

from jaxninja.check.errors import running
from jaxninja.check.oracle.trial import Setup
from jaxninja.check.oracle.truth import gradient_leaves, reference_of
from jaxninja.check.subject.pytrees import float_leaves
from jaxninja.check.subject.static_options import defaults
from jaxninja.check.subject.structure_traced import shapes_of_output
from jaxninja.check.subject.subject import Subject
from jaxninja.errors import ArgumentError, ArgumentTypeError
from jaxninja.jaxpr import run

CALLED = "check_vjp: surrogate(args, dy)"


def accept(subject: Subject, args: tuple, surrogate: Callable) -> None:
    """Raise where the surrogate gives no gradients of the arguments as given."""
    names = subject.argument_names

    def call(args, dy):
        return surrogate(tuple(subject.plain.merged(args)), dy)

    with running(f"the plain forward of {subject.name}"):
        y = jax.eval_shape(subject.plain, *args)
    try:
        given = jax.eval_shape(call, args, y)
    except jax.errors.JAXTypeError:  # of NumPy: it is run, or told for what it is
        return
    except Exception as error:
        said = f"raised {type(error).__name__}: {error}"
        told = "args is the tuple of all arguments, static options too, dy is like y"
        raise ArgumentTypeError(f"{CALLED} {said}; {told}") from error
    expected = f"expected a tuple with the gradients of {', '.join(names)}"
    if not isinstance(given, tuple | list):
        found = "an array" if hasattr(given, "shape") else f"a {type(given).__name__}"
        raise ArgumentTypeError(f"{CALLED} returns {found}, {expected}")
    pairs = list(zip(names, args, strict=False))
    if len(given) > len(args) or _any_needed(subject, pairs[len(given) :]):
        raise ArgumentError(f"{CALLED} returns {len(given)} gradients, {expected}")
    for name, gradient, arg in zip(names, given, args, strict=False):
        if gradient is not None and float_leaves(arg):
            _accept_one(name, gradient, arg)


def _any_needed(subject: Subject, rest: list[tuple]) -> bool:
    """Whether one of the arguments without a declared gradient has one: it holds
    floats, and was not left at its default."""
    known = defaults(subject)
    return any(
        float_leaves(arg) and known.get(name, Parameter.empty) is Parameter.empty
        for name, arg in rest
    )


def _accept_one(name: str, gradient, arg) -> None:
    """Of the form of its argument: its containers, and the shapes in them."""
    try:
        leaves = gradient_leaves((gradient,), (arg,))
    except ValueError as error:  # containers
        text = f"{CALLED} returns a gradient of {name} of another form than {name}"
        raise ArgumentError(f"{text}: {error}") from error
    for leaf, of in zip(leaves, float_leaves(arg), strict=True):
        if jax.tree.structure(leaf) != jax.tree.structure(0):
            found = f"a {type(leaf).__name__}"
        elif not np.issubdtype(leaf.dtype, np.inexact):
            found = str(leaf.dtype)
        elif leaf.shape != np.shape(of):
            found = f"shape {leaf.shape}"
        else:
            continue
        expected = f"expected a gradient of shape {np.shape(of)}"
        raise ArgumentError(f"{CALLED} returns {found} for {name}, {expected}")


def undeclared(subject: Subject, args: tuple, surrogate: Callable) -> str | None:
    """Why there is no declared gradient at sizes that the forward takes, if so."""
    try:
        _traced(subject, args, surrogate)
    except jax.errors.JAXTypeError:  # a surrogate of NumPy: it is run
        return None
    except Exception as error:
        return f"the surrogate raised {type(error).__name__}: {error}"
    return None


def _traced(subject: Subject, args: tuple, surrogate: Callable | None):
    declared = reference_of(subject.plain, surrogate)
    y = shapes_of_output(subject, args)
    return jax.make_jaxpr(lambda args, dy: declared(args, dy)[1])(args, y)


def of_no_input(setup: Setup, args: tuple) -> set[str]:
    """Names of the leaves whose declared gradient is made of no input: zeros as a rule,
    which no sample can show otherwise."""
    try:
        traced = _traced(setup.subject, args, setup.surrogate)
    except Exception:  # a surrogate of NumPy
        return set()
    given = [True] * len(traced.jaxpr.invars)
    moved = run(
        traced.jaxpr,
        [False] * len(traced.consts),
        given,
        lambda eqn, operands: [any(operands)] * len(eqn.outvars),
        lambda literal: False,
    )
    return {n for n, m in zip(setup.leaf_names, moved, strict=True) if not m}

"""Structure of a rule, found by tracing alone: trees, shapes, dtypes, None, prefixes.

JAX accepts much of this without a word: a cotangent of another dtype, None for an
argument that has a gradient, one array for a whole dict, a forward that differs.
"""

import inspect
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from jaxninja.check.errors import UserCodeError, running
from jaxninja.check.records import Finding
from jaxninja.check.subject.plain_forward import line_of, opened
from jaxninja.check.subject.pytrees import (
    cotangent,
    float_leaves,
    is_float,
    with_floats,
)
from jaxninja.check.subject.subject import Subject, accepts
from jaxninja.check.subject.traces import remembered, remembered_by_rank
from jaxninja.errors import ArgumentTypeError
from jaxninja.jaxpr import equations

STOPPING = (
    *("E-ARGS", "E-COUNT", "E-TREE", "E-SHAPE", "E-FWDSTRUCT", "E-TUPLE"),
    "N-NOGRAD",
)

OPAQUE = frozenset(  # what JAX differentiates sometimes or never
    ("while", "pallas_call", "pure_callback", "io_callback", "ffi_call", "custom_call")
) | {"reduce_window"}  # whose first value is traced


@remembered
def structure(subject: Subject, args: tuple) -> tuple[list[Finding], list[str]]:
    """What is wrong with the structure of the rule, and for what it returns None."""
    name = subject.name
    with running(f"the plain forward of {name}"):
        plain = jax.eval_shape(subject.plain, *args)
    findings = of_signatures(subject, args)
    if findings:
        return findings, []
    with running(f"fwd of {name}"):
        out = jax.eval_shape(lambda *a: _pair(subject.fwd(a), name), *args)
    y, residuals = out
    findings = of_forward(subject, plain, y)
    if not findings and not float_leaves(y):
        text = f"no gradient to check: {name} returns no floats"
        findings = [Finding("N-NOGRAD", text, subject.where)]
    if any(finding.code in STOPPING for finding in findings):
        return findings, []
    raw: list = []

    def backward(residuals, floats):
        raw.append(subject.bwd(residuals, cotangent(y, floats)))
        return [a for a in jax.tree.leaves(raw[-1]) if _has_dtype(a)]

    floats = [a for a in jax.tree.leaves(y) if is_float(a)]
    with running(f"bwd of {name}"):
        jax.eval_shape(backward, residuals, floats)
    findings += of_backward(subject, raw[-1], args)
    return findings, nones(subject, raw[-1], args)


@remembered
def shapes_of_output(subject: Subject, args: tuple) -> list:
    """Shapes and dtypes of the float leaves that the plain forward returns."""
    return float_leaves(jax.eval_shape(subject.plain, *args))


def of_signatures(subject: Subject, args: tuple) -> list[Finding]:
    """fwd takes what the forward takes; bwd the static options, residuals and dy."""
    bwd, fwd = subject.bwd_function, subject.fwd_function
    given = (*subject.static_names, "residuals", "dy")
    if not accepts(bwd, *given):
        text = f"bwd takes {inspect.signature(bwd)}, but JAX calls it with "
        text += f"({', '.join(given)})"
        return [Finding("E-ARGS", text, subject.where)]
    if not accepts(fwd, *subject.merged(args)):
        text = f"fwd takes {inspect.signature(fwd)}, but JAX calls it as {subject.name}"
        return [Finding("E-ARGS", f"{text}, with all its arguments", subject.where)]
    return []


@remembered_by_rank
def accepted_by_jax(subject: Subject, args: tuple) -> None:
    """Trace the rule as `jax.grad` does: residuals must be arrays, and more."""

    def gradient(*args):
        def f(*floats):
            return float_leaves(subject.op(*with_floats(args, floats)))

        y, pull = jax.vjp(f, *float_leaves(args))
        return pull(y)

    with running(f"the rule of {subject.name} under jax.vjp"):
        jax.eval_shape(gradient, *args)


@remembered
def not_differentiable(subject: Subject, args: tuple) -> str | None:
    """Why JAX cannot differentiate the plain forward; None if it can."""
    traced = traced_forward(subject, args)
    held = {eqn.primitive.name for eqn in equations(traced.jaxpr)}
    return no_gradient(subject, args) if OPAQUE & held else None


@remembered
def no_gradient(subject: Subject, args: tuple) -> str | None:
    """What JAX says where it cannot differentiate the plain forward."""

    def gradient(*floats):
        plain = opened(subject.plain)
        y, pull = jax.vjp(
            lambda *f: float_leaves(plain(*with_floats(args, f))), *floats
        )
        return pull(y)

    try:
        jax.eval_shape(gradient, *float_leaves(args))
    except Exception as error:
        return (str(error).splitlines() or [type(error).__name__])[0]
    return None


def nones(subject: Subject, raw, args: tuple) -> list[str]:
    """Names of arguments with floats for which bwd returns None."""
    if not isinstance(raw, tuple | list) or len(raw) != len(args):
        return []
    pairs = zip(subject.argument_names, raw, args, strict=True)
    return [name for name, given, arg in pairs if given is None and float_leaves(arg)]


def _pair(out, name: str):
    if not (isinstance(out, tuple | list) and len(out) == 2):
        raise ArgumentTypeError(f"fwd of {name} must return (y, residuals), two things")
    for leaf in jax.tree.leaves(out):
        if not _has_dtype(leaf):
            what = f"fwd of {name} returns a {type(leaf).__name__} among its arrays, "
            what += "which JAX refuses; a static option needs no saving"
            raise UserCodeError("E-RAISE", what, None)
    return out


def _has_dtype(leaf) -> bool:
    return isinstance(leaf, jax.Array | np.ndarray | float | int)


def of_forward(subject: Subject, plain, y) -> list[Finding]:
    where = subject.where
    if jax.tree.structure(plain) != jax.tree.structure(y):
        text = f"the reference returns {_tree(plain)}, fwd returns {_tree(y)}"
        return [Finding("E-FWDSTRUCT", text + ": both must be the same", where)]
    for expected, given in zip(jax.tree.leaves(plain), jax.tree.leaves(y), strict=True):
        if expected.shape != given.shape:
            text = f"the reference returns an output of shape {expected.shape}, fwd one"
            return [Finding("E-FWDSTRUCT", f"{text} of shape {given.shape}", where)]
        if expected.dtype != given.dtype:
            text = f"fwd returns {given.dtype}, the plain forward {expected.dtype}"
            return [Finding("E-FWDTYPE", text + ": give y the plain dtype", where)]
    return []


def of_backward(subject: Subject, raw, args: tuple) -> list[Finding]:
    names, where = subject.argument_names, subject.where
    if not isinstance(raw, tuple | list):
        what = "one array" if hasattr(raw, "shape") else type(raw).__name__
        text = f"bwd returns {what}, expected a tuple of {len(names)}: "
        return [Finding("E-TUPLE", text + f"({', '.join(names)},)", where)]
    if len(raw) != len(args):
        text = f"bwd returns {_counted(len(raw), 'cotangent')} for "
        text += f"{_counted(len(args), 'argument')}: "
        return [Finding("E-COUNT", text + f"one each for {', '.join(names)}", where)]
    found = []
    for name, given, arg in zip(names, raw, args, strict=True):
        found += _argument(name, given, arg, where)
    return found


def _counted(count: int, what: str) -> str:
    return f"{count} {what}" + ("" if count == 1 else "s")


def _argument(name: str, given, arg, where) -> list[Finding]:
    leaves, tree = jax.tree.flatten(arg)
    if not any(map(is_float, leaves)):
        return _of_integers(name, given, where)
    if given is None:
        return []  # zeros: right or wrong is seen by their values
    if jax.tree.structure(given) == jax.tree.structure(0) and len(leaves) > 1:
        text = f"bwd returns one array for {name}, a tree of {len(leaves)} arrays; JAX "
        return [Finding("E-PREFIX", text + "copies it to every one of them", where)]
    try:
        parts = tree.flatten_up_to(given)
        fits = all(jax.tree.structure(p).num_leaves <= 1 for p in parts)
    except ValueError:
        parts, fits = [], False
    if not fits:
        text = f"the cotangent of {name} is {_tree(given)}, {name} is {_tree(arg)}"
        return [Finding("E-TREE", text, where)]
    paths = [
        jax.tree_util.keystr(p) for p, _ in jax.tree_util.tree_leaves_with_path(arg)
    ]
    found = []
    for path, part, leaf in zip(paths, parts, leaves, strict=True):
        if is_float(leaf) and part is not None:
            found += _leaf(name + path, part, leaf, where)
    return found


def _leaf(name: str, given, leaf, where) -> list[Finding]:
    if np.shape(given) != np.shape(leaf):
        text = f"d{name} has shape {np.shape(given)}, {name} has {np.shape(leaf)}"
        text += _missing_sum(np.shape(given), np.shape(leaf))
        return [Finding("E-SHAPE", text, where)]
    dtype = jnp.result_type(given)
    if dtype != leaf.dtype and not getattr(
        given, "weak_type", isinstance(given, float)
    ):
        text = f"d{name} is {dtype}, {name} is {leaf.dtype}; JAX accepts it without a "
        return [Finding("E-DTYPE", text + f"word: cast it to {name}.dtype", where)]
    return []


def _of_integers(name: str, given, where) -> list[Finding]:
    floats = [g for g in jax.tree.leaves(given) if _has_dtype(g) and is_float(g)]
    if not floats:
        return []
    text = f"{name} holds no floats, yet bwd returns a float cotangent for it, which "
    return [Finding("W-INTCOT", text + "JAX ignores: return None", where)]


def _missing_sum(given: tuple, expected: tuple) -> str:
    """In words, the broadcast axes over which the gradient was not summed."""
    if len(given) < len(expected):
        return ""
    padded = (0,) * (len(given) - len(expected)) + tuple(expected)
    axes = [i for i, (g, e) in enumerate(zip(given, padded, strict=True)) if g != e]
    fits = all(padded[i] in (0, 1) for i in axes)
    return f": it is not summed over axis {', '.join(map(str, axes))}" if fits else ""


def _tree(tree) -> str:
    structure = jax.tree.structure(tree)
    if structure == jax.tree.structure(0):
        return "one array"
    return str(structure).removeprefix("PyTreeDef(").removesuffix(")")


@remembered
def traced_forward(subject: Subject, args: tuple):
    """The closed jaxpr of the plain forward."""
    with running(f"the plain forward of {subject.name}"):
        return jax.make_jaxpr(subject.plain)(*args)


@remembered
def traced_rule(subject: Subject, args: tuple):
    """The closed jaxpr of fwd and bwd, one after the other."""
    with running(f"the rule of {subject.name}"):
        return jax.make_jaxpr(forth_and_back(subject))(*args)


def forth_and_back(subject: Subject) -> Callable:
    """fwd, and bwd at a cotangent of ones."""

    def both(*args):
        y, residuals = subject.fwd(args)
        dy = jax.tree.map(jnp.ones_like, float_leaves(y))
        return subject.bwd(residuals, cotangent(y, dy))

    return both


def casts(closed) -> list[str]:
    """ "float64 -> float32 at file:line" for each cast to a narrower float in a jaxpr
    that was traced under float64, and for each product that is summed in one."""
    found = []
    for eqn in equations(closed.jaxpr):
        product = eqn.params.get("preferred_element_type") is not None
        if eqn.primitive.name != "convert_element_type" and not product:
            continue
        old, new = eqn.invars[0].aval.dtype, eqn.outvars[0].aval.dtype
        narrower = jnp.issubdtype(new, jnp.floating) and new.itemsize < old.itemsize
        if narrower and jnp.issubdtype(old, jnp.floating) and eqn.invars[0].aval.shape:
            found.append(f"{old} -> {new} at {line_of(eqn) or 'an unknown line'}")
    return list(dict.fromkeys(found))

"""What is checked, in one form: plain, fwd and bwd with their static options bound.

A `jax.custom_vjp` function, a `Rule` and a pair (forward, backward) of plain callables
differ in how they are called; from here on they do not.
"""

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import jax
import numpy as np

from jaxninja.rule import Rule


@dataclass(frozen=True)
class Subject:
    """A backward pass to be judged, and the plain forward that judges it.

    Attributes:
        name: of the forward, for messages.
        plain_function, fwd_function, bwd_function: as the user wrote them; bwd takes
            `(*static, residuals, dy)`.
        op_function: the function under test as users call it, with its rule.
        parameters: names of all arguments of the forward.
        static_positions: which of them are static (nondiff_argnums).
        static: their values.
        kind: "custom_vjp", "rule", "pair" or "numpy".
        symbolic_zeros: the rule was defined with symbolic_zeros=True.
    """

    name: str
    plain_function: Callable[..., Any]
    fwd_function: Callable[..., Any]
    bwd_function: Callable[..., Any]
    op_function: Callable[..., Any]
    parameters: tuple[str, ...]
    static_positions: tuple[int, ...] = ()
    static: tuple = ()
    kind: str = "custom_vjp"
    symbolic_zeros: bool = False

    def plain(self, *args):
        return self.plain_function(*self.merged(args))

    def op(self, *args):
        return self.op_function(*self.merged(args))

    def fwd(self, args: tuple):
        """-> (y, residuals)"""
        if self.symbolic_zeros:
            wrap = jax.custom_derivatives.CustomVJPPrimal
            args = jax.tree.map(lambda leaf: wrap(leaf, True), args)
        return self.fwd_function(*self.merged(args))

    def bwd(self, residuals, dy):
        """-> one cotangent per argument, as the user's function returns them."""
        return self.bwd_function(*self.static, residuals, dy)

    def merged(self, args: Sequence) -> list:
        """Arguments and static options in the order of the signature."""
        rest, static = iter(args), dict(zip(self.static_positions, self.static))  # noqa: B905
        count = len(args) + len(static)
        return [static[i] if i in static else next(rest) for i in range(count)]

    @property
    def argument_names(self) -> tuple[str, ...]:
        kept = [
            i for i in range(len(self.parameters)) if i not in self.static_positions
        ]
        return tuple(self.parameters[i] for i in kept)

    @property
    def static_names(self) -> tuple[str, ...]:
        return tuple(self.parameters[i] for i in self.static_positions)

    @property
    def source(self) -> tuple[str, int] | None:
        return source_of(self.bwd_function)

    @property
    def where(self) -> str | None:
        """ "file:line" of bwd."""
        return _short(self.source)

    @property
    def is_numpy(self) -> bool:
        return self.kind == "numpy"

    def with_static(self, static: tuple) -> "Subject":
        return replace(self, static=tuple(static))


def subject_of(f, args: tuple, reference=None) -> tuple[Subject, tuple]:
    """Normalise `f`, and split its arguments into arrays and static options.

    Args:
        f: a custom_vjp function, a `Rule`, or a pair (forward, backward).
        args: arguments as the user passed them, static ones included.
        reference: plain forward that replaces the one `f` brings.

    Returns:
        The subject, and its array arguments.

    Raises:
        TypeError: `f` is none of these, or carries no rule.
    """
    if isinstance(f, Rule):
        return _of_rule(f, args, reference)
    if isinstance(f, tuple) and len(f) == 2 and all(map(callable, f)):
        return _of_pair(*f, args, reference)
    if isinstance(f, jax.custom_vjp):
        return _of_custom_vjp(f, args, reference)
    name = getattr(f, "__name__", repr(f))
    raise TypeError(
        f"check_vjp: {name} is of type {type(f).__name__} and carries no backward "
        "rule to check; give a jax.custom_vjp function, a jaxninja Rule, or a pair "
        "(forward, backward)"
    )


def _of_custom_vjp(op, args, reference) -> tuple[Subject, tuple]:
    fwd, bwd = getattr(op, "fwd", None), getattr(op, "bwd", None)
    plain = op.fun
    name = getattr(plain, "__name__", "f")
    if fwd is None or bwd is None:
        raise TypeError(f"check_vjp: {name} has no rule yet; call {name}.defvjp first")
    parameters = _parameters(plain, len(args))
    positions = tuple(op.nondiff_argnums)
    filled = _filled(plain, args)
    static = tuple(filled[i] for i in positions if i < len(filled))
    arrays = tuple(a for i, a in enumerate(filled) if i not in positions)
    subject = Subject(
        name,
        plain if reference is None else _door(reference, "reference"),
        fwd,
        bwd,
        op,
        parameters[: len(filled)],
        positions,
        static,
        symbolic_zeros=bool(getattr(op, "symbolic_zeros", False)),
    )
    return subject, arrays


def _of_rule(rule: Rule, args, reference) -> tuple[Subject, tuple]:
    primal = rule.op
    positions = tuple(getattr(primal, "nondiff_argnums", ()))
    if not positions and rule.cases:
        count = len(rule.arguments)
        positions = tuple(range(count - len(rule.cases[0].static), count))
    op = primal
    if getattr(op, "fwd", None) is not rule.fwd or op.bwd is not rule.bwd:
        op = jax.custom_vjp(inspect.unwrap(primal), nondiff_argnums=positions)
        op.defvjp(rule.fwd, rule.bwd)
    subject = Subject(
        rule.name,
        rule.reference if reference is None else _door(reference, "reference"),
        rule.fwd,
        rule.bwd,
        op,
        rule.arguments,
        positions,
        kind="rule",
        symbolic_zeros=bool(getattr(primal, "symbolic_zeros", False)),
    )
    if not args:
        return subject, ()
    filled = _filled(inspect.unwrap(primal), args)
    arrays = tuple(a for i, a in enumerate(filled) if i not in positions)
    return subject.with_static(tuple(filled[i] for i in positions)), arrays


def _of_pair(forward, backward, args, reference) -> tuple[Subject, tuple]:
    def value(*args):
        return forward(*args)[0]

    kind = "numpy" if _is_numpy(forward, args) else "pair"
    op = jax.custom_vjp(value)
    op.defvjp(forward, backward)
    plain = value if reference is None else _door(reference, "reference")
    name = getattr(forward, "__name__", "forward")
    parameters = _parameters(forward, len(args))[: len(args)]
    return (
        Subject(name, plain, forward, backward, op, parameters, kind=kind),
        tuple(args),
    )


def _is_numpy(forward, args) -> bool:
    """Whether forward is NumPy code: it gives NumPy arrays for NumPy arrays."""
    from jaxninja.check.errors import running

    with running(f"forward {getattr(forward, '__name__', '')}".strip()):
        result = forward(*jax.tree.map(np.asarray, args))
    if not (isinstance(result, tuple) and len(result) == 2):
        raise TypeError(
            "check_vjp: forward must return (y, residuals), it returned "
            f"{type(result).__name__}"
        )
    arrays = [a for a in jax.tree.leaves(result) if hasattr(a, "dtype")]
    return bool(arrays) and not any(isinstance(a, jax.Array) for a in arrays)


def _door(function, name: str):
    if not callable(function):
        raise TypeError(
            f"check_vjp: {name} is {type(function).__name__}, expected the plain "
            "forward, a function of the same arguments"
        )
    return function.fun if isinstance(function, jax.custom_vjp) else function


def _parameters(function, count: int) -> tuple[str, ...]:
    """Parameter names; positions where the signature does not say."""
    try:
        named = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return tuple(f"args[{i}]" for i in range(count))
    found = [p.name for p in named if p.kind is not p.VAR_POSITIONAL]
    return (*found, *(f"args[{i}]" for i in range(len(found), count)))


def _filled(function, args: tuple) -> tuple:
    """The arguments with defaults for those that were not given."""
    try:
        bound = inspect.signature(function).bind(*args)
    except ValueError:
        return tuple(args)
    except TypeError as error:
        name = getattr(function, "__name__", "f")
        raise TypeError(
            f"check_vjp: {len(args)} arguments for {name}: {error}; it takes "
            f"{inspect.signature(function)}"
        ) from None
    bound.apply_defaults()
    return bound.args


def source_of(function) -> tuple[str, int] | None:
    """File and first line of a function, if Python knows them."""
    code = getattr(inspect.unwrap(function), "__code__", None)
    return (code.co_filename, code.co_firstlineno) if code else None


def _short(source) -> str | None:
    return f"{source[0].rsplit('/', 1)[-1]}:{source[1]}" if source else None

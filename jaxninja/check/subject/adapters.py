"""The forms in which a rule comes to the checker, each made a `Subject`."""

import functools
import inspect
from collections.abc import Callable
from enum import Enum

import jax
import numpy as np

from jaxninja.check.errors import NoRuleError, is_users, running, without_rule
from jaxninja.check.subject.closed_over import handed_anew
from jaxninja.check.subject.subject import Subject, accepts, is_torch, short, source_of
from jaxninja.errors import ArgumentTypeError
from jaxninja.jaxpr import holds_rule
from jaxninja.rule import Rule


def subject_of(f, args: tuple, reference=None) -> tuple[Subject, tuple]:
    """Normalise `f`, and split its arguments into arrays and static options.

    Args:
        f: a custom_vjp function, a `Rule`, a pair (forward, backward), or a function
            that calls custom_vjp functions inside.
        args: arguments as the user passed them, static ones included.
        reference: plain forward that replaces the one `f` brings.

    Returns:
        The subject, and its array arguments.

    Raises:
        NoRuleError: it carries no rule. TypeError: it is none of these.
    """
    subject, arrays = _adapted(f, args, reference)
    return handed_anew(subject), arrays


def _adapted(f, args: tuple, reference) -> tuple[Subject, tuple]:
    if isinstance(f, Rule):
        return _of_rule(f, args, reference)
    if isinstance(f, tuple) and len(f) == 2 and all(map(callable, f)):
        return _of_pair(*f, args, reference)
    under_jit = _under_jit(f)
    if _is_rule(under_jit):
        return _of_custom_vjp(under_jit, args, reference)
    if callable(f) and not is_torch(f):
        return _of_function(f, args, reference)
    raise ArgumentTypeError(
        f"check_vjp: {f!r} is of type {type(f).__name__} and carries no backward pass "
        "to check; give a jax.custom_vjp function, a jaxninja Rule, a pair (forward, "
        "backward), or a function that calls a custom_vjp function; of PyTorch's "
        "Function a pair that calls its own two on NumPy arrays"
    )


class Normalised:
    """`f` made a `Subject` at the first arguments that it is called on, and once.

    Later ones are split into arrays and static options only: so what was compiled for
    the functions of the subject serves them, too.
    """

    def __init__(self, f, reference=None):
        self.f, self.reference = f, reference
        self.subject: Subject | None = None

    def __call__(self, args: tuple) -> tuple[Subject, tuple]:
        """The subject with the static options of these arguments, and their arrays."""
        if self.subject is None:
            self.subject, arrays = subject_of(self.f, args, self.reference)
            return self.subject, arrays
        subject, positions = self.subject, self.subject.static_positions
        if subject.kind in ("custom_vjp", "rule"):
            args = _filled(inspect.unwrap(subject.op_function), args)
        arrays = tuple(a for i, a in enumerate(args) if i not in positions)
        static = tuple(args[i] for i in positions if i < len(args))
        return subject.with_static(static), arrays


def _under_jit(f):
    """The function that `jax.jit` wraps; `f` itself where it is not jitted."""
    return inspect.unwrap(f, stop=_is_rule) if isinstance(f, type(jax.jit(len))) else f


def _is_rule(f) -> bool:
    return isinstance(f, jax.custom_vjp)


def _of_custom_vjp(op, args, reference) -> tuple[Subject, tuple]:
    fwd, bwd = getattr(op, "fwd", None), getattr(op, "bwd", None)
    plain = op.fun
    name = getattr(plain, "__name__", "f")
    if fwd is None or bwd is None:
        raise NoRuleError(f"{name} has no backward rule yet: call {name}.defvjp first")
    parameters = _parameters(plain, len(args))
    positions = tuple(op.nondiff_argnums)
    filled = _filled(plain, args)
    static = tuple(filled[i] for i in positions if i < len(filled))
    arrays = tuple(a for i, a in enumerate(filled) if i not in positions)
    subject = Subject(
        name,
        plain if reference is None else _reference(reference, filled, name),
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
    if (getattr(op, "fwd", None), getattr(op, "bwd", None)) != (rule.fwd, rule.bwd):
        op = jax.custom_vjp(inspect.unwrap(primal), nondiff_argnums=positions)
        op.defvjp(rule.fwd, rule.bwd)
    subject = Subject(
        rule.name,
        rule.reference if reference is None else _reference(reference, args, rule.name),
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
    positions = _options(args)
    kind = "numpy" if _is_numpy(forward, args) else "pair"
    forward = _of_arrays(forward) if kind == "numpy" else forward

    def value(*args):
        return forward(*args)[0]

    op = jax.custom_vjp(value, nondiff_argnums=positions)
    bwd = _after_options(backward, positions, len(args)) if positions else backward
    op.defvjp(forward, bwd)
    name = getattr(forward, "__name__", "forward")
    plain = value if reference is None else _reference(reference, args, name)
    parameters = _parameters(forward, len(args))[: len(args)]
    static = tuple(args[i] for i in positions)
    subject = Subject(
        name, plain, forward, bwd, op, parameters, positions, static, kind=kind
    )
    return subject, tuple(a for i, a in enumerate(args) if i not in positions)


def _of_arrays(forward) -> Callable:
    """A NumPy forward whose output is an array where it gave a Python number."""

    @functools.wraps(forward)
    def fwd(*args):
        y, residuals = forward(*args)
        return jax.tree.map(np.asarray, y), residuals

    return fwd


def _options(args) -> tuple[int, ...]:
    """Strings, booleans, members of an enumeration are static options."""
    return tuple(i for i, a in enumerate(args) if isinstance(a, str | bool | Enum))


def _after_options(backward, positions: tuple[int, ...], count: int) -> Callable:
    """The backward of a pair, called as JAX calls one: static options come first.

    It may return something for them, None say, or leave them out.
    """

    @functools.wraps(backward, assigned=())
    def bwd(*given):
        found = backward(*given[-2:])
        if isinstance(found, tuple | list) and len(found) == count:
            return tuple(g for i, g in enumerate(found) if i not in positions)
        return found

    return bwd


def _of_function(f, args, reference) -> tuple[Subject, tuple]:
    """Its pullback is the backward pass: all rules inside, as they are composed."""
    name = getattr(f, "__name__", type(f).__name__)
    if not args:
        raise ArgumentTypeError(f"check_vjp: {name} is given without example arguments")
    positions = _options(args)
    of_arrays, arrays = _split(f, positions, args)
    with running(name):
        holds = holds_rule(jax.make_jaxpr(of_arrays)(*arrays).jaxpr)
    if not holds:
        is_jvp = isinstance(f, jax.custom_jvp)
        raise NoRuleError(without_rule(name, is_jvp), _line_of(f))

    def fwd(*args):
        of_arrays, arrays = _split(f, positions, args)
        return jax.vjp(of_arrays, *arrays)

    @functools.wraps(f, assigned=())  # so that its file and line are those of f
    def bwd(*given):
        pullback, dy = given[-2:]
        return pullback(dy)

    parameters = _parameters(f, len(args))[: len(args)]
    plain = f if reference is None else _reference(reference, args, name)
    static = tuple(args[i] for i in positions)
    subject = Subject(
        name, plain, fwd, bwd, f, parameters, positions, static, kind="function"
    )
    return subject, arrays


def _split(f, positions: tuple[int, ...], given) -> tuple[Callable, tuple]:
    """`f` as a function of its arrays alone, the options bound; and these arrays."""
    fixed = {i: given[i] for i in positions}

    def of_arrays(*arrays):
        rest = iter(arrays)
        return f(*(fixed[i] if i in fixed else next(rest) for i in range(len(given))))

    return of_arrays, tuple(a for i, a in enumerate(given) if i not in fixed)


def _line_of(f) -> str | None:
    """ "file:line" of a function of the user's."""
    source = source_of(f)
    return short(source) if source and is_users(source[0]) else None


def _is_numpy(forward, args) -> bool:
    """Whether forward is NumPy code: it gives NumPy arrays for NumPy arrays."""
    with running(f"forward {getattr(forward, '__name__', '')}".strip()):
        options = _options(args)
        result = forward(
            *(
                a if i in options else jax.tree.map(np.array, a)  # it may write there
                for i, a in enumerate(args)
            )
        )
    if not (isinstance(result, tuple) and len(result) == 2):
        what = "one array" if hasattr(result, "shape") else type(result).__name__
        raise ArgumentTypeError(
            f"check_vjp: forward must return (y, residuals), it returned {what}"
        )
    arrays = [a for a in jax.tree.leaves(result) if hasattr(a, "dtype")]
    return bool(arrays) and not any(isinstance(a, jax.Array) for a in arrays)


def _reference(function, args: tuple, name: str):
    """A valid `reference=`: a plain function of the same arguments."""
    if not callable(function):
        raise ArgumentTypeError(
            f"check_vjp: reference is {type(function).__name__}, expected the plain "
            "forward, a function of the same arguments"
        )
    plain = function.fun if isinstance(function, jax.custom_vjp) else function
    if args and not accepts(plain, *args):
        raise ArgumentTypeError(
            f"check_vjp: reference takes {inspect.signature(plain)}, but is called as "
            f"{name} is, with {len(args)} arguments"
        )
    return plain


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
        raise ArgumentTypeError(
            f"check_vjp: {len(args)} arguments for {name}: {error}; it takes "
            f"{inspect.signature(function)}"
        ) from None
    bound.apply_defaults()
    return bound.args

"""What is checked, in one form: plain, fwd and bwd with their static options bound.

A `jax.custom_vjp` function, a `Rule`, a pair (forward, backward) of plain callables and
a function that calls rules inside differ in how they are called; from here on they do
not. `adapters.py` brings each into this form.
"""

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any

import jax

from jaxninja.check.subject.saved_numbers import fixed, given_back


class Bound:
    """A function of arrays alone: its static options are bound.

    Two of one function with equal options are equal, so that what is compiled for one
    serves the other. An option that has no hash is equal to itself only.
    """

    def __init__(self, function: Callable, positions: tuple[int, ...], static: tuple):
        self.function, self.static = function, dict(zip(positions, static))  # noqa: B905
        self.key = (function, positions, tuple(map(_hashable, static)))

    def __call__(self, *args):
        return self.function(*self.merged(args))

    def merged(self, args: Sequence) -> list:
        """Arguments and static options in the order of the signature."""
        rest, static = iter(args), self.static
        count = len(args) + len(static)
        return [static[i] if i in static else next(rest) for i in range(count)]

    def __eq__(self, other) -> bool:
        return isinstance(other, Bound) and self.key == other.key

    def __hash__(self) -> int:
        return hash(self.key)


class _Itself:
    """A value that has no hash, as a part of a key."""

    def __init__(self, value):
        self.value = value

    def __eq__(self, other) -> bool:
        return isinstance(other, _Itself) and self.value is other.value

    def __hash__(self) -> int:
        return id(self.value)


def _hashable(value):
    try:
        hash(value)
    except TypeError:
        return _Itself(value)
    return value


@dataclass(frozen=True, eq=False)
class Subject:
    """A backward pass to be judged, and the plain forward that judges it.

    It can be a key: subjects of the same functions and equal options are equal.

    Attributes:
        name: of the forward, for messages.
        plain_function, fwd_function, bwd_function: as the user wrote them; bwd takes
            `(*static, residuals, dy)`.
        op_function: the function under test as users call it, with its rule.
        parameters: names of all arguments of the forward.
        static_positions: which of them are static (nondiff_argnums).
        static: their values.
        kind: "custom_vjp", "rule", "pair", "numpy" or "function".
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

    @property
    def plain(self) -> Bound:
        """The plain forward, of arrays alone."""
        return self._plain

    @cached_property
    def _plain(self) -> Bound:
        return Bound(self.plain_function, self.static_positions, self.static)

    def op(self, *args):
        return self.op_function(*self.merged(args))

    def fwd(self, args: tuple):
        """-> (y, residuals)"""
        if self.symbolic_zeros:
            wrap = jax.custom_derivatives.CustomVJPPrimal
            args = jax.tree.map(lambda leaf: wrap(leaf, True), args)
        out = self.fwd_function(*self.merged(args))
        if self.is_numpy or not (isinstance(out, tuple | list) and len(out) == 2):
            return out
        y, residuals = out
        return y, fixed(residuals)

    def bwd(self, residuals, dy):
        """-> one cotangent per argument, as the user's function returns them."""
        return self.bwd_function(*self.static, given_back(residuals), dy)

    def merged(self, args: Sequence) -> list:
        """Arguments and static options in the order of the signature."""
        return self.plain.merged(args)

    @cached_property
    def key(self) -> tuple:
        """What makes two subjects equal."""
        rest = (getattr(self, f.name) for f in fields(self) if f.name != "static")
        return (self.plain, *rest)

    def __eq__(self, other) -> bool:
        return isinstance(other, Subject) and self.key == other.key

    def __hash__(self) -> int:
        return hash(self.key)

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
        return short(self.source)

    @property
    def is_numpy(self) -> bool:
        return self.kind == "numpy"

    def with_static(self, static: tuple) -> "Subject":
        return replace(self, static=tuple(static))


def source_of(function) -> tuple[str, int] | None:
    """File and first line of a function, if Python knows them."""
    code = getattr(inspect.unwrap(function), "__code__", None)
    return (code.co_filename, code.co_firstlineno) if code else None


def short(source) -> str | None:
    """ "file:line", the file without its folders."""
    return f"{source[0].rsplit('/', 1)[-1]}:{source[1]}" if source else None


def is_torch(f) -> bool:
    """Whether it is an `autograd.Function` of PyTorch, its `apply`, or a module."""
    owner = getattr(f, "__self__", f)
    bases = inspect.getmro(owner if isinstance(owner, type) else type(owner))
    return any(base.__module__.partition(".")[0] == "torch" for base in bases)


def accepts(function, *args) -> bool:
    """Whether a function can be called so, as far as its signature tells."""
    try:
        inspect.signature(function, follow_wrapped=False).bind(*args)
    except TypeError:
        return False
    except ValueError:  # it has none
        pass
    return True

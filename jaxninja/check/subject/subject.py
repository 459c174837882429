"""What is checked, in one form: plain, fwd and bwd with their static options bound.

A `jax.custom_vjp` function, a `Rule`, a pair (forward, backward) of plain callables and
a function that calls rules inside differ in how they are called; from here on they do
not. `adapters.py` brings each into this form.
"""

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import jax


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


def accepts(function, *args) -> bool:
    """Whether a function can be called so, as far as its signature tells."""
    try:
        inspect.signature(function, follow_wrapped=False).bind(*args)
    except TypeError:
        return False
    except ValueError:  # it has none
        pass
    return True

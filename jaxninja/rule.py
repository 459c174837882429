"""What a rule is: a `jax.custom_vjp` function and a record that describes it.

The function stays in JAX's own idiom and works without this file. The record is for
whoever wants to go over all rules: the checker, the tests, the documentation and the
benchmarks read the same cases from it.
"""

import importlib
import inspect
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from numbers import Integral
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import NamedSharding, PartitionSpec


@dataclass(frozen=True)
class Case:
    """One set of sizes for a rule's example, and the static options to call it with.

    `dims` are the keyword arguments of `Rule.example`; `static` are the hyperparameters
    of the op, in its order.
    """

    dims: Mapping[Any, int]
    static: tuple = ()

    def __str__(self) -> str:
        sizes = [f"{name}={size}" for name, size in self.dims.items()]
        return ",".join([*sizes, *map(shown, self.static)])


def shown(option: Any) -> str:
    """A static option in a name or a message: a function by its name."""
    return getattr(option, "__name__", str(option))


@dataclass(frozen=True)
class Rule:
    """A layer with a hand-derived backward pass.

    Attributes:
        op: the function under `jax.custom_vjp`, called as `op(*arrays, *static)`, or
            with static options elsewhere where its `nondiff_argnums` say so: a function
            to iterate comes first. See `arranged`.
        fwd: `fwd(*arrays, *static) -> (y, residuals)`, in the order of op.
        bwd: `bwd(*static, residuals, dy) -> one cotangent per array argument`.
        example: `example(key, **dims) -> arrays`, generic float32 inputs: no zeros, no
            ones, no symmetry, since such data hide wrong gradients.
        cases: small and awkward sizes, for checking.
        bench: one large size, for timing.
        source: where the layer comes from (author, year, arXiv).
        jvp: `jvp(*static, primals, tangents) -> (y, dy)`, the perturbation with which
            the derivation begins: a tangent per array argument, with zeros where it
            does not move. That of an integer, a key or None is never looked at. None
            where forward mode has not been written down.
        zero: names of arguments whose gradient is exactly zero, if there are any.
        why: where the rule takes more time than autodiff, keeps more or rounds worse:
            what stands in the way, in a sentence.
        reference: the plain forward that `jax.vjp` differentiates to judge `bwd`; by
            default the function under the decorator.
    """

    op: Callable[..., Any]
    fwd: Callable[..., Any]
    bwd: Callable[..., Any]
    example: Callable[..., tuple]
    cases: tuple[Case, ...]
    bench: Case
    source: str
    jvp: Callable[..., tuple[Any, Any]] | None = None
    zero: tuple[str, ...] = ()
    why: str = ""
    reference: Callable[..., Any] = field(default=None)  # type: ignore[assignment]

    def __post_init__(self) -> None:
        if self.reference is None:
            object.__setattr__(self, "reference", inspect.unwrap(self.op))

    def __reduce_ex__(self, protocol: Any) -> Any:
        """By name, as functions are pickled, if its module calls it `rule`: the op, an
        object of JAX's, cannot be pickled."""
        module = self.fwd.__module__
        if getattr(sys.modules.get(module), "rule", None) is self:
            return _rule_of, (module,)
        return super().__reduce_ex__(protocol)

    @property
    def name(self) -> str:
        """Of the op."""
        return inspect.unwrap(self.op).__name__

    @property
    def arguments(self) -> tuple[str, ...]:
        """Names of all arguments of the op, in its order."""
        return tuple(inspect.signature(inspect.unwrap(self.op)).parameters)

    def arranged(self, arrays: tuple, static: tuple = ()) -> tuple:
        """Arrays and static options in the order of the op's arguments."""
        positions = getattr(self.op, "nondiff_argnums", ())[: len(static)]
        positions = positions or range(len(arrays), len(arrays) + len(static))
        options, rest = dict(zip(positions, static, strict=True)), iter(arrays)
        count = len(arrays) + len(static)
        return tuple(options[i] if i in options else next(rest) for i in range(count))


def _rule_of(module: str) -> Rule:
    return importlib.import_module(module).rule


def expect(op: str, argument: str, given: Any, expected: str, holds: bool) -> None:
    """Checks one argument of a rule: raises ValueError unless `holds`.

    The message says what was given and what was expected. It looks at shapes and types
    only, so under `jit` it costs nothing after tracing.
    """
    if not holds:
        raise ValueError(f"{op}: {argument} is {given}, expected {expected}")


def along_last(v: jax.Array, x: jax.Array) -> jax.Array:
    """`v` [D] as [1, ..., 1, D], to meet x [..., D].

    Broadcasting would add these axes by itself, which users forbid by JAX's setting
    `jax_numpy_rank_promotion`.
    """
    return v.reshape((1,) * (x.ndim - 1) + v.shape)


def sharding(x: Any, axes: int | None = None) -> NamedSharding:
    """How an array lies on devices whose first axes are those of x: all, unless given.

    Other axes are not split. On a mesh of Explicit axes JAX asks for it where a product
    sums over an axis that is split, as the gradient of a weight does; else it is empty.
    """
    own = jax.typeof(x).sharding
    mesh = jax.sharding.get_abstract_mesh() if own.mesh.empty else own.mesh
    return NamedSharding(mesh, PartitionSpec(*own.spec[:axes]))


def on_auto_axes(
    f: Callable[..., Any], shardings: Any, *arrays: Any, **options: Any
) -> Any:
    """`f(*arrays, **options)`, laid out inside by JAX, also on a mesh of Explicit axes.

    For loops over blocks of an axis that may be split. What comes out lies as
    `shardings`, one for each of it.
    """
    f, axes = partial(f, **options), jax.tree.leaves(shardings)[0].mesh.explicit_axes
    if not axes:
        return f(*arrays)
    return jax.sharding.auto_axes(f, axes=axes, out_sharding=shardings)(*arrays)


def in_one_program(*options: str) -> Callable[..., Any]:
    """A decorator: `jax.jit`, with the arguments of these names static.

    For functions with a loop: outside of `jit` it would be compiled at each call.
    """
    return partial(jax.jit, static_argnames=options)


def wide_type(x: Any) -> jnp.dtype:
    """float32, or the type of x where that is wider: of sums over many entries."""
    return max(x.dtype, jnp.dtype("float32"), key=lambda dtype: dtype.itemsize)


def wide(x: Any) -> jax.Array:
    """x in float32 or wider. float16 ends at 65,504: squares and counts go beyond."""
    return jnp.asarray(x, wide_type(x))


def mean_cotangent(dloss: jax.Array, n: int) -> jax.Array:
    """What a mean over n entries sends to each of them, in the type of dloss."""
    return (wide(dloss) / n).astype(dloss.dtype)


def expect_floats(op: str, **arrays: Any) -> None:
    """Checks types: the arrays named are of one floating-point type."""
    first = next(iter(arrays))
    same = jnp.result_type(arrays[first])
    for name, array in arrays.items():
        dtype = jnp.result_type(array)
        floating = jnp.issubdtype(dtype, jnp.floating)
        expect(op, name, f"of type {dtype}", "a floating-point type", floating)
        expect(op, name, f"of type {dtype}", f"{same}, as {first} is", dtype == same)


def expect_axis(op: str, x: Any, axis: Any) -> None:
    """Checks the axis of x that a rule works along, which must not be empty."""
    shape = jnp.shape(x)
    ndim = len(shape)
    fits = isinstance(axis, Integral) and axis in range(-ndim, ndim)
    allowed = f"an integer from {-ndim} to {ndim - 1}, as x is {shape}"
    expect(op, "axis", repr(axis), allowed if ndim else "an x with axes", fits)
    filled = shape[axis] > 0
    expect(op, "x", f"of shape {shape}", f"an axis {axis} that is not empty", filled)

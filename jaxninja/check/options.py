"""The options of a call, or why it makes no sense."""

from collections.abc import Callable, Iterable
from numbers import Integral
from typing import Any

import jax
import jax.numpy as jnp

from jaxninja.check.inputs.shapes import LIMITS
from jaxninja.check.results import Options
from jaxninja.check.subject.closed_over import anew
from jaxninja.errors import ArgumentError, ArgumentTypeError


def options_of(
    args: tuple,
    zeros: Iterable[str],
    *,
    level: str,
    seed: int,
    dtypes: Iterable[str] | None,
    surrogate: Callable | None,
    nondiff: Iterable[str],
    zero: Iterable[str],
    kink: str,
    **others: bool,
) -> Options:
    """What `check_vjp` was asked for.

    Args:
        args: the example arguments.
        zeros: names of arguments whose gradient the rule itself says is zero.
        level, seed, dtypes, surrogate, nondiff, zero, kink: see `check_vjp`.
        others: those that are yes or no.

    Raises:
        ArgumentError, ArgumentTypeError: an option has no such value, or an argument
            no numbers.
    """
    if surrogate is not None and not callable(surrogate):
        raise ArgumentTypeError(
            f"check_vjp: surrogate is {type(surrogate).__name__}, expected a function "
            "(args, dy) -> tuple"
        )
    if not isinstance(seed, Integral) or seed < 0:
        raise ArgumentError(
            f"check_vjp: seed is {seed!r}, expected an integer from 0 on"
        )
    if any(isinstance(a, jax.core.Tracer) for a in jax.tree.leaves(args)):
        raise ArgumentTypeError(
            "check_vjp: an argument is a traced value, expected arrays with numbers in "
            "them: call it outside of jax.jit, jax.grad and jax.vmap"
        )
    return Options(
        _choice("level", level, tuple(LIMITS)),
        seed,
        _dtypes(dtypes, args),
        surrogate and anew(surrogate),
        _several(nondiff),
        tuple(dict.fromkeys((*_several(zero), *zeros))),
        kink=_choice("kink", kink, ("any-subgradient", "jax")),
        double="float64" in _given(args) and jnp.result_type(float) == jnp.float64,
        **others,
    )


def _dtypes(dtypes: Iterable[str] | None, args: tuple) -> tuple[str, ...]:
    if dtypes is None:
        narrow = [d for d in _given(args) if d in ("bfloat16", "float16")]
        dtypes = ("float32", *narrow)
    return tuple(dict.fromkeys(map(_run_dtype, _several(dtypes))))


def _run_dtype(given: Any) -> str:
    try:
        dtype = jnp.dtype(given)
    except TypeError:
        dtype = None
    if dtype is None or not jnp.issubdtype(dtype, jnp.inexact):
        raise ArgumentTypeError(
            f"check_vjp: dtypes holds {given!r}, expected names of floating-point "
            "dtypes, such as float32"
        )
    return str(dtype)


def _given(args: tuple) -> list[str]:
    """The dtypes of all arrays among the arguments."""
    return [str(a.dtype) for a in jax.tree.leaves(args) if hasattr(a, "dtype")]


def _choice(name: str, given: str, allowed: tuple[str, ...]) -> str:
    if given not in allowed:
        raise ArgumentError(
            f"check_vjp: {name} is {given!r}, expected {' or '.join(allowed)}"
        )
    return given


def _several(given: str | Iterable[str]) -> tuple[str, ...]:
    """A single name is meant as one, not as its letters."""
    return (given,) if isinstance(given, str) else tuple(given)

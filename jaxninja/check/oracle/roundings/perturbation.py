"""A program whose inputs and steps each move by one rounding, as arithmetic has it, and
so do its constants that no dtype holds.

Each number x becomes x (1 + u) or x (1 - u), the sign drawn from the digits of x
itself, so that equal numbers and those of opposite sign move alike, as they are
rounded alike. What another draw of the signs does to the result is what its roundings
may do (Monte Carlo arithmetic: Parker, Pierce and Eggert, 2000).

What is decided stays: comparisons, indices, whole numbers are those of the program that
does not move. How a gradient jumps where a decision changes is a question of kinks, not
of roundings.
"""

import itertools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxninja.check.oracle.roundings.constants import is_rounded
from jaxninja.check.subject.control_flow import CONTROL
from jaxninja.check.subject.plain_forward import OPENED, evaluate
from jaxninja.check.subject.pytrees import is_float
from jaxninja.jaxpr import CALLS, bind, body

DECIDED = frozenset(("floor", "ceil", "round", "sign", "sort", "top_k"))
SUMS = frozenset(("dot_general", "reduce_sum", "conv_general_dilated"))
EXACT = frozenset((  # what moves, chooses or negates, and rounds nothing
    *("broadcast_in_dim", "reshape", "transpose", "squeeze", "expand_dims", "rev"),
    *("slice", "dynamic_slice", "concatenate", "pad", "gather", "copy", "select_n"),
    *("neg", "abs", "max", "min", "reduce_max", "reduce_min", "clamp", "copy_p"),
    *("stop_gradient", "optimization_barrier", "convert_element_type", "real", "imag"),
    *("scatter", "dynamic_update_slice", "cummax", "cummin", "split", "conj", "name"),
    *("reduce_precision", "complex", "pvary", "stack", "unstack"),
))  # fmt: skip


SHIFT = 0x9E3779B97F4A7C15  # of the signs, from step to step


class Pair(NamedTuple):
    """A number as it is, and as roundings have moved it."""

    exact: object
    moved: object


def draw_of_signs(rng: np.random.Generator) -> np.ndarray:
    """Two random numbers, of which and of its digits the sign of a number is made."""
    return rng.integers(0, 2**64, 2, np.uint64) | np.array([1, 0], np.uint64)


def perturbed(f: Callable, u, draw, steps: bool = True, alike: bool = True) -> Callable:
    """`f`, its arguments and each of its `steps` moved by `u`, the signs by `draw`.

    Bodies of scans and branches move at each of their steps. A while loop is one step:
    moved within, it might never end. Unless equal numbers move `alike`, each step has
    signs of its own.
    """
    counted = itertools.count(1)

    def move(value):
        if not is_float(value):
            return value
        shift = 0 if alike else next(counted) * SHIFT % 2**64
        return _moved(value, u, draw + np.uint64(shift) * np.array([0, 1], np.uint64))

    def given(value, atom):
        number = is_rounded(atom)
        return move(jnp.asarray(value, atom.aval.dtype)) if number else _rounded(value)

    def step(eqn, ins):
        name = eqn.primitive.name
        if eqn.primitive in OPENED:
            return None
        if eqn.primitive in CALLS:
            return evaluate(body(eqn), ins, step)
        if name in CONTROL:
            return CONTROL[name](eqn, ins, step, _pair, _exact)
        exact = bind(eqn, list(map(_exact, ins)))
        if name in DECIDED or not any(map(is_float, exact)):
            return exact
        operands = list(map(given, ins, eqn.invars))
        moved = bind(eqn, operands)
        if steps and name in SUMS:  # 0 too is rounded, where it is what terms leave
            (terms,) = bind(eqn, [jnp.abs(jnp.asarray(a)) for a in operands])
            moved = [moved[0] + (move(terms) - terms)]
        elif steps and name not in EXACT:
            moved = map(move, moved)
        return [
            Pair(a, b) if is_float(a) else a for a, b in zip(exact, moved, strict=True)
        ]

    def run(*args):
        traced, shape = jax.make_jaxpr(f, return_shape=True)(*args)
        pairs = [
            Pair(a, move(jnp.asarray(a))) if is_float(a) else a
            for a in jax.tree.leaves(args)
        ]
        outs = list(map(_rounded, evaluate(traced, pairs, step)))
        return jax.tree.unflatten(jax.tree.structure(shape), outs)

    return run


def _exact(value):
    return value.exact if isinstance(value, Pair) else value


def _rounded(value):
    return value.moved if isinstance(value, Pair) else value


def _pair(value):
    """A number of which nothing has moved yet."""
    return (
        value if isinstance(value, Pair) or not is_float(value) else Pair(value, value)
    )


def _moved(x, u, draw):
    if jnp.issubdtype(x.dtype, jnp.complexfloating):
        return jax.lax.complex(*(_moved(p(x), u, draw) for p in (jnp.real, jnp.imag)))
    width = x.dtype.itemsize * 8
    if width < 32:
        return x  # a cast within the function: it is coarser than any rounding
    kind = jnp.dtype(f"uint{width}")
    digits = jax.lax.bitcast_convert_type(x, kind) & kind.type(2 ** (width - 1) - 1)
    factor, offset = (a.astype(kind) for a in draw)
    positive = (digits * factor + offset) >> kind.type(width - 1)
    u = jnp.asarray(u, x.dtype)
    return x * jnp.where(positive == 1, 1 + u, 1 - u)

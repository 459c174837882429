"""A program whose inputs and steps each move by one rounding, as arithmetic has it.

Each number x becomes x (1 + u) or x (1 - u), the sign drawn from the digits of x
itself: equal numbers, and those of opposite sign, move alike, as they are rounded
alike, so that ties stay ties and symmetric matrices symmetric. What another draw of
the signs does to the result is what its roundings may do (Monte Carlo arithmetic:
Parker, Pierce and Eggert, 2000).
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from jaxninja.check.subject.plain_forward import OPENED, evaluate
from jaxninja.check.subject.pytrees import is_float
from jaxninja.jaxpr import CALLS, bind, body, closed

EXACT = frozenset((  # what moves, chooses or negates, and rounds nothing
    *("broadcast_in_dim", "reshape", "transpose", "squeeze", "expand_dims", "rev"),
    *("slice", "dynamic_slice", "concatenate", "pad", "gather", "copy", "select_n"),
    *("neg", "abs", "sign", "max", "min", "reduce_max", "reduce_min", "sort", "clamp"),
    *("stop_gradient", "optimization_barrier", "convert_element_type", "real", "imag"),
    *("scatter", "dynamic_update_slice", "cummax", "cummin", "top_k", "split", "conj"),
    *("copy_p", "name", "reduce_precision", "floor", "ceil", "round", "complex"),
    *("argsort", "iota", "pvary", "squeeze", "select_and_gather_add", "random_bits"),
))  # fmt: skip


def draw_of_signs(rng: np.random.Generator) -> np.ndarray:
    """Two random numbers, of which and of its digits the sign of a number is made."""
    return rng.integers(0, 2**64, 2, np.uint64) | np.array([1, 0], np.uint64)


def perturbed(f: Callable, u, draw) -> Callable:
    """`f`, its arguments and each of its steps moved by `u`, with the signs of `draw`.

    Bodies of scans and branches move at each of their steps. A while loop is one step:
    moved within, it might never end.
    """

    def move(value):
        return _moved(value, u, draw) if is_float(value) else value

    def step(eqn, ins):
        name = eqn.primitive.name
        if eqn.primitive in OPENED:
            return None
        if eqn.primitive in CALLS:
            return evaluate(body(eqn), ins, step)
        if name == "scan":
            return _scan(eqn, ins, step)
        if name == "cond":
            return _cond(eqn, ins, step)
        outs = bind(eqn, ins)
        return outs if name in EXACT else list(map(move, outs))

    def run(*args):
        traced, shape = jax.make_jaxpr(f, return_shape=True)(*args)
        given = [move(jnp.asarray(a)) if is_float(a) else a for a in _leaves(args)]
        return jax.tree.unflatten(_structure(shape), evaluate(traced, given, step))

    return run


_leaves, _structure = jax.tree.leaves, jax.tree.structure


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


def _scan(eqn, ins: list, step) -> list:
    p = eqn.params
    consts, count = p["num_consts"], p["num_carry"]
    fixed, init = ins[:consts], _typed(eqn, ins)[consts : consts + count]

    def run(carry, xs):
        outs = evaluate(closed(p["jaxpr"]), [*fixed, *carry, *xs], step)
        return outs[:count], outs[count:]

    xs = ins[consts + count :]
    last, ys = jax.lax.scan(run, init, xs, p["length"], p["reverse"], p["unroll"])
    return [*last, *ys]


def _cond(eqn, ins: list, step) -> list:
    index, operands = ins[0], _typed(eqn, ins)[1:]
    branches = [
        lambda *given, inner=inner: evaluate(closed(inner), given, step)
        for inner in eqn.params["branches"]
    ]
    return jax.lax.switch(jnp.asarray(index, jnp.int32), branches, *operands)


def _typed(eqn, ins: list) -> list:
    """Numbers in the text of a program as arrays of their type."""
    return [
        jnp.asarray(a, v.aval.dtype) if isinstance(a, int | float | complex) else a
        for a, v in zip(ins, eqn.invars, strict=True)
    ]

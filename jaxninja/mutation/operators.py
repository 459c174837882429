"""The mutation operators: small mistakes that people make in a backward pass.

An operator of equations gets `(eqn, operands, output, available)` and returns the wrong
output, or None where it does not apply at these shapes. An operator of leaves gets the
list of residuals, of cotangents or of returned gradients and returns a changed list.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp
from jax import lax
from jax.extend.core import Literal

from jaxninja.jaxpr import bind

ADDITIVE = ("add", "sub")
PRODUCTS = ("mul", "dot_general")
MOVING = (
    *(
        "slice",
        "concatenate",
        "pad",
        "gather",
        "rev",
        "cumsum",
        "scatter-add",
        "scatter",
    ),
    *("dynamic_slice", "dynamic_update_slice"),
)
UNARY = (
    "exp",
    "tanh",
    "logistic",
    "rsqrt",
    "sqrt",
    "log",
    "sin",
    "cos",
    "erf",
    "square",
)
INSTEAD = {
    "sin": lax.cos,
    "cos": lax.sin,
    "tanh": lax.logistic,
    "rsqrt": lax.reciprocal,
}


class EquationOperator(NamedTuple):
    name: str
    primitives: tuple[str, ...]  # () is any with a floating-point output
    change: Callable[..., Any]
    truth: str  # what a checker may call it
    variants: int = 1  # change is called with the variant's number, if more than one


def negate(eqn, ins, out, more):
    return -out


def double(eqn, ins, out, more):
    return 2 * out


def add_for_sub(eqn, ins, out, more):
    return ins[0] + ins[1] if eqn.primitive.name == "sub" else ins[0] - ins[1]


def drop_term(eqn, ins, out, more, dropped):
    kept = ins[1 - dropped]
    sign = -1 if eqn.primitive.name == "sub" and dropped == 0 else 1
    return jnp.broadcast_to(sign * kept, out.shape).astype(out.dtype)


def drop_factor(eqn, ins, out, more, dropped):
    return jnp.broadcast_to(ins[1 - dropped], out.shape).astype(out.dtype)


def drop_divisor(eqn, ins, out, more):
    return jnp.broadcast_to(ins[0], out.shape).astype(out.dtype)


def swap_operands(eqn, ins, out, more):
    fits = jnp.shape(ins[0]) == jnp.shape(ins[1])
    return bind(eqn, [ins[1], ins[0]])[0] if fits else None


def multiply_for_divide(eqn, ins, out, more):
    return ins[0] * ins[1] if eqn.primitive.name == "div" else ins[0] / ins[1]


def wrong_constant(eqn, ins, out, more):
    if eqn.primitive.name == "integer_pow":
        return bind(eqn, ins, y=eqn.params["y"] + 1)[0]
    literal = [isinstance(v, Literal) and is_float(x) for v, x in pairs(eqn, ins)]
    if not any(literal):
        return None
    changed = [
        jnp.asarray(1.5 * x, jnp.result_type(x)) if is_constant else x
        for x, is_constant in zip(ins, literal, strict=True)
    ]
    return bind(eqn, changed)[0]


def sum_to_mean(eqn, ins, out, more):
    return out * out.size / ins[0].size


def pick_for_sum(eqn, ins, out, more):
    """The first entry along the summed axes."""
    x = ins[0]
    for axis in sorted(eqn.params["axes"], reverse=True):
        x = lax.index_in_dim(x, 0, axis, keepdims=False)
    return x


def max_for_sum(eqn, ins, out, more):
    return ins[0].max(eqn.params["axes"])


def wrong_axis(eqn, ins, out, more):
    """Sum over another axis of the same length: silent on square shapes."""
    x, axes = ins[0], eqn.params["axes"]
    others = [
        a for a in range(x.ndim) if a not in axes and x.shape[a] == x.shape[axes[0]]
    ]
    return x.sum((others[0], *axes[1:])) if others else None


def partial_sum(eqn, ins, out, more):
    """Sum over all axes but the last of several, and there the first entry only."""
    *axes, last = eqn.params["axes"]
    return lax.index_in_dim(ins[0], 0, last).sum((*axes, last)) if axes else None


def skip_last_in_sum(eqn, ins, out, more):
    """Off by one: the last entry along the summed axis is left out."""
    x, axis = ins[0], eqn.params["axes"][-1]
    short = lax.slice_in_dim(x, 0, x.shape[axis] - 1, axis=axis)
    return short.sum(eqn.params["axes"])


def transpose_operand(eqn, ins, out, more, which):
    x = ins[which]
    square = x.ndim >= 2 and x.shape[-1] == x.shape[-2]
    if not square:
        return None
    changed = list(ins)
    changed[which] = jnp.swapaxes(x, -1, -2)
    return bind(eqn, changed)[0]


def drop_transpose(eqn, ins, out, more):
    return ins[0] if ins[0].shape == out.shape else None


def set_for_add(eqn, ins, out, more):
    keys = ("dimension_numbers", "indices_are_sorted", "unique_indices", "mode")
    options = {key: eqn.params[key] for key in keys}
    return lax.scatter(*ins, **options)


def off_by_one(eqn, ins, out, more):
    long = [axis for axis in range(out.ndim) if out.shape[axis] > 1]
    return jnp.roll(out, 1, long[-1]) if long else None


def swap_branches(eqn, ins, out, more):
    return lax.select_n(ins[0], *ins[:0:-1]) if ins[0].dtype == bool else None


def drop_mask(eqn, ins, out, more, branch):
    return ins[1 + branch]


def flip_comparison(eqn, ins, out, more):
    return ~out


def drop_function(eqn, ins, out, more):
    return ins[0]


def wrong_function(eqn, ins, out, more):
    return INSTEAD[eqn.primitive.name](ins[0])


def wrong_operand(eqn, ins, out, more, which):
    """A residual of the same shape in place of an operand."""
    if which >= len(ins):
        return None
    given = ins[which]
    for other in more.residuals:
        fits = other.shape == jnp.shape(given) and other.dtype == jnp.result_type(given)
        if fits and is_float(other) and all(other is not x for x in ins):
            changed = list(ins)
            changed[which] = other
            return bind(eqn, changed)[0]
    return None


def term_without_cotangent(eqn, ins, out, more):
    """Ones where this equation reads the cotangent itself."""
    reads = [any(x is g for g in more.cotangents) for x in ins]
    if not any(reads):
        return None
    changed = [jnp.ones_like(x) if r else x for x, r in zip(ins, reads, strict=True)]
    return bind(eqn, changed)[0]


def low_precision(eqn, ins, out, more):
    """Operands rounded to bfloat16, as where a kernel accumulates in it."""
    rounded = [
        x.astype(jnp.bfloat16).astype(x.dtype) if is_float(x) else x for x in ins
    ]
    return bind(eqn, rounded)[0]


def is_float(x) -> bool:
    return jnp.issubdtype(jnp.result_type(x), jnp.floating)


def pairs(eqn, ins):
    return zip(eqn.invars, ins, strict=True)


SUMS = ("reduce_sum",)
WORK = (*ADDITIVE, *PRODUCTS, "div", "neg", "reduce_sum", "select_n")
COMPARISONS = ("gt", "ge", "lt", "le", "eq")

EQUATION_OPERATORS = (
    EquationOperator("negate", WORK, negate, "sign"),
    EquationOperator("times two", PRODUCTS, double, "ratio"),
    EquationOperator("add for sub", ADDITIVE, add_for_sub, "sign"),
    EquationOperator("drop term", ADDITIVE, drop_term, "term", 2),
    EquationOperator("drop factor", ("mul",), drop_factor, "factor", 2),
    EquationOperator("drop divisor", ("div",), drop_divisor, "factor"),
    EquationOperator(
        "swap operands", ("sub", "div", "dot_general"), swap_operands, "swap"
    ),
    EquationOperator(
        "multiply for divide", ("mul", "div"), multiply_for_divide, "factor"
    ),
    EquationOperator("wrong constant", (), wrong_constant, "ratio"),
    EquationOperator("sum to mean", SUMS, sum_to_mean, "ratio"),
    EquationOperator("pick for sum", SUMS, pick_for_sum, "sum"),
    EquationOperator("max for sum", SUMS, max_for_sum, "sum"),
    EquationOperator("wrong axis", SUMS, wrong_axis, "sum"),
    EquationOperator("partial sum", SUMS, partial_sum, "sum"),
    EquationOperator("skip last in sum", SUMS, skip_last_in_sum, "index"),
    EquationOperator(
        "transpose operand", ("dot_general",), transpose_operand, "transpose", 2
    ),
    EquationOperator("drop transpose", ("transpose",), drop_transpose, "transpose"),
    EquationOperator("set for add", ("scatter-add",), set_for_add, "duplicates"),
    EquationOperator("off by one", MOVING, off_by_one, "index"),
    EquationOperator("swap branches", ("select_n",), swap_branches, "mask"),
    EquationOperator("drop mask", ("select_n",), drop_mask, "mask", 2),
    EquationOperator("flip comparison", COMPARISONS, flip_comparison, "mask"),
    EquationOperator("drop function", UNARY, drop_function, "function"),
    EquationOperator("wrong function", tuple(INSTEAD), wrong_function, "function"),
    EquationOperator("wrong operand", (), wrong_operand, "residual", 2),
    EquationOperator("term without g", (), term_without_cotangent, "affine"),
    EquationOperator(
        "low precision", ("reduce_sum", "dot_general"), low_precision, "precision"
    ),
)

"""How large the terms are that a gradient is summed from: its condition-aware scale.

A gradient is a sum of products. Rounding moves it by about a unit round-off of

    C = |J|^T |dy|        the same sum with every term made positive,

which may be far larger than the gradient where terms cancel. C is computed by running
the linear jaxpr of the reference's VJP once more, on absolute values.
"""

from typing import NamedTuple

import jax.numpy as jnp

from jaxninja.check.subject.control_flow import scan
from jaxninja.check.subject.plain_forward import OPENED, evaluate
from jaxninja.check.subject.pytrees import is_float
from jaxninja.jaxpr import bind

# Sums and products, and what only moves entries: |f(a, b)| <= f(|a|, |b|).
# fmt: off
_MULTILINEAR = frozenset((
    "mul", "div", "add", "add_any", "dot_general", "reduce_sum", "broadcast_in_dim",
    "reshape", "transpose", "squeeze", "select_n", "gather", "scatter-add",
    "dynamic_slice", "slice", "dynamic_update_slice", "pad", "concatenate", "stack",
    "convert_element_type", "copy", "cumsum", "rev", "reduce_window_sum",
    "conv_general_dilated", "name", "split", "unstack",
))
# fmt: on


class Sized(NamedTuple):
    """A value, and the sum of the magnitudes of the terms that make it up."""

    value: object
    size: object


def magnitudes(closed, args) -> list:
    """C for each float output of a linear jaxpr on `args`."""
    outs = evaluate(closed, [_sized(a) for a in args], _step)
    return [_sized(out).size for out in outs]


def _step(eqn, ins):
    if eqn.primitive in OPENED:
        return None
    if eqn.primitive.name == "scan":
        return scan(eqn, ins, _step, _sized)
    ins = [_sized(a) for a in ins]
    values = bind(eqn, [a.value for a in ins])
    sizes = _sizes(eqn, ins, values)
    return [Sized(v, s) for v, s in zip(values, sizes, strict=True)]


def _sizes(eqn, ins, values):
    name = eqn.primitive.name
    if not any(is_float(v) for v in values):
        return values
    if name in ("neg", "real", "imag", "conj", "stop_gradient"):
        return [ins[0].size]
    if name == "sub":
        return [ins[0].size + ins[1].size]
    if name in _MULTILINEAR:
        return [jnp.abs(out) for out in bind(eqn, [_like(a) for a in ins])]
    growth = _growth(ins)
    return [
        jnp.full_like(jnp.abs(v), jnp.max(jnp.abs(v), initial=0) * growth)
        if is_float(v)
        else v
        for v in values
    ]


def _like(a: Sized):
    return a.size.astype(a.value.dtype) if is_float(a.value) else a.value  # type: ignore


def _growth(ins):
    """Largest ratio of terms to value so far, for primitives without a rule."""
    ratios = [jnp.ones(())]
    for a in ins:
        if is_float(a.value) and jnp.size(a.value):
            largest = jnp.max(jnp.abs(a.value))
            ratios.append(jnp.where(largest > 0, jnp.max(a.size) / largest, 1.0))
    return jnp.max(jnp.stack([r.astype(ratios[0].dtype) for r in ratios]))


def _sized(value) -> Sized:
    if isinstance(value, Sized):
        return value
    return Sized(value, jnp.abs(value) if is_float(value) else value)

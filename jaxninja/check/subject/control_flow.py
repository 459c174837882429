"""Scans and branches whose bodies are run equation by equation, as `evaluate` does."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from jaxninja.check.subject.plain_forward import evaluate
from jaxninja.jaxpr import closed, scan_parts


def _itself(value):
    return value


def scan(eqn, ins: list, step, lift: Callable = _itself, _: Callable = _itself) -> list:
    """`lift` makes a value what a step may return in its place, here and below; `lower`
    makes that a plain value again."""
    p = eqn.params
    consts, count = scan_parts(eqn)
    fixed, given = ins[:consts], list(map(lift, _typed(eqn, ins)[consts:]))

    def run(carry, xs):
        outs = evaluate(closed(p["jaxpr"]), [*fixed, *carry, *xs], step)
        outs = list(map(lift, outs))
        return outs[:count], outs[count:]

    loop = p["length"], p["reverse"], p["unroll"]
    last, ys = jax.lax.scan(run, given[:count], given[count:], *loop)
    return [*last, *ys]


def branches(
    eqn, ins: list, step, lift: Callable = _itself, lower: Callable = _itself
) -> list:
    """Of `lax.cond` and `lax.switch`; see `scan`."""
    index, operands = lower(ins[0]), list(map(lift, _typed(eqn, ins)[1:]))
    bodies = [
        lambda *given, inner=inner: list(
            map(lift, evaluate(closed(inner), given, step))
        )
        for inner in eqn.params["branches"]
    ]
    return jax.lax.switch(jnp.asarray(index, jnp.int32), bodies, *operands)


def _typed(eqn, ins: list) -> list:
    """Numbers in the text of a program as arrays of their type."""
    return [
        jnp.asarray(a, v.aval.dtype) if isinstance(a, int | float | complex) else a
        for a, v in zip(ins, eqn.invars, strict=True)
    ]


CONTROL = {"scan": scan, "cond": branches}

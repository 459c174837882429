"""Scans and branches whose bodies are run equation by equation, as `evaluate` does."""

from collections.abc import Callable
from functools import partial
from itertools import chain

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


def noted(eqn, ins: list, note: Callable, nothing) -> tuple[list, list[tuple]]:
    """Outputs of a scan or of branches, and what is noted of the equations inside.

    Args:
        note: `note(found) -> step`, which appends (arrays, facts) to the list.
        nothing: such arrays, for the branches that are not taken.

    Returns:
        The outputs, and (arrays, facts) each; the arrays have one axis more, of steps.
    """
    return (_noted_scan if eqn.primitive.name == "scan" else _noted_branches)(
        eqn, ins, note, nothing
    )


def _noted_scan(eqn, ins: list, note: Callable, _):
    p, facts = eqn.params, []
    consts, count = scan_parts(eqn)
    fixed, given = ins[:consts], _typed(eqn, ins)[consts:]

    def run(carry, xs):
        found: list = []
        outs = evaluate(closed(p["jaxpr"]), [*fixed, *carry, *xs], note(found))
        facts[:] = [fact for _, fact in found]
        return outs[:count], (outs[count:], [arrays for arrays, _ in found])

    loop = p["length"], p["reverse"], p["unroll"]
    last, (ys, arrays) = jax.lax.scan(run, given[:count], given[count:], *loop)
    return [*last, *ys], list(zip(arrays, facts, strict=True))


def _noted_branches(eqn, ins: list, note: Callable, nothing):
    operands, inner = _typed(eqn, ins)[1:], list(map(closed, eqn.params["branches"]))
    facts: list[list] = [[] for _ in inner]

    def run(i: int, *given):
        found: list = []
        outs = evaluate(inner[i], given, note(found))
        facts[i] = [fact for _, fact in found]
        return outs, [arrays for arrays, _ in found]

    for i in range(len(inner)):
        jax.eval_shape(partial(run, i), *operands)  # for the facts
    counts = [len(f) for f in facts]

    def padded(i: int, *given):
        outs, arrays = run(i, *given)
        rows = [[nothing] * n if j != i else arrays for j, n in enumerate(counts)]
        return outs, [arrays for row in rows for arrays in row]

    bodies = [partial(padded, i) for i in range(len(inner))]
    outs, arrays = jax.lax.switch(jnp.asarray(ins[0], jnp.int32), bodies, *operands)
    lifted = [jax.tree.map(lambda a: jnp.asarray(a)[None], a) for a in arrays]
    return outs, list(zip(lifted, chain.from_iterable(facts), strict=True))

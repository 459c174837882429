"""Rules of loops: scan, and why there is none for a while loop.

A scan runs its body once a step. The graphs of all steps differ in their values alone,
so the values are stacked, [length, ...], and the way back is a scan too, from the last
step to the first: it is given the values of a step and the gradient of the carry that
left it, and hands on the gradient of the carry that entered it.

    carry[t+1], y[t] = body(fixed, carry[t], x[t])
    dcarry[t], dx[t] = walk(body at t, dcarry[t+1], dy[t]);   dfixed = sum over t

What is the same in each step (the weights of a recurrent network) is not stacked.
"""

from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.core import Tracer
from jax.extend.core import Literal

from jaxninja.engine import private
from jaxninja.engine.computation import Computation
from jaxninja.engine.core import Call, constant, evaluate, walk
from jaxninja.engine.cotangents import is_differentiable
from jaxninja.engine.errors import NoRule
from jaxninja.engine.gradients import Gradients
from jaxninja.jaxpr import JITTED, bind, body, opened, scan_parts


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Stacked:
    """The graph of a scan's body, with the values of all steps."""

    graph: Computation
    stacked: tuple[bool, ...] = field(metadata={"static": True})  # which leaves are


def scan_forward(eqn, operands, active, rules):
    jaxpr, consts = opened(body(eqn))
    fixed, init, xs = _parts(eqn, operands)
    moves = _moving(eqn, jaxpr, active, rules)
    outer = set(map(id, [*fixed, *consts]))
    traced: list[tuple] = []  # the leaves of the body's graph, and its structure

    def step(carry, x):
        graph = evaluate(jaxpr, consts, [*fixed, *carry, *x], moves, rules, eqn)
        leaves, tree = jax.tree.flatten(graph)
        stacked = [isinstance(a, Tracer) and id(a) not in outer for a in leaves]
        traced.append((leaves, stacked, tree))
        outs = [graph.values[i] for i in graph.tape.outputs]
        return outs[: len(init)], (outs[len(init) :], _rows(leaves, stacked))

    carry, (ys, rows) = lax.scan(step, init, xs, **_options(eqn))
    leaves, stacked, tree = traced[-1]
    graph = tree.unflatten(_filled(leaves, stacked, rows))
    return [*carry, *ys], Stacked(graph, tuple(stacked))


def scan_backward(eqn, saved, cts, active, rules):
    leaves, tree = jax.tree.flatten(saved.graph)
    values, tape = saved.graph.values, saved.graph.tape
    fixed, carried, _ = _parts(eqn, tape.arguments)
    dfixed = [jnp.zeros_like(values[i]) if tape.active[i] else None for i in fixed]
    pairs = zip(carried, cts[: len(carried)], strict=True)
    dcarry = [ct if tape.active[i] else None for i, ct in pairs]

    def step(state, given):
        (dfixed, dcarry), (row, dys) = state, given
        graph = tree.unflatten(_filled(leaves, saved.stacked, row))
        grads = walk(graph, [*dcarry, *dys])
        terms, dcarry, dxs = _parts(eqn, [grads[i] for i in tape.arguments])
        dfixed = jax.tree.map(jnp.add, dfixed, terms)
        return (dfixed, dcarry), (dxs, grads.terms, grads.inner)

    rows, dys = _rows(leaves, saved.stacked), cts[len(carried) :]
    back = _options(eqn) | {"reverse": not eqn.params["reverse"]}
    state, every = lax.scan(step, (dfixed, dcarry), (rows, dys), **back)
    (dfixed, dcarry), (dxs, terms, inner) = state, every
    return [*dfixed, *dcarry, *dxs], Gradients(terms, inner, values, tape)


def _parts(eqn, operands) -> tuple[list, list, list]:
    """The operands of a scan: fixed ones, the first carry, arrays to go along."""
    fixed, carried = scan_parts(eqn)
    operands = list(operands)
    stop = fixed + carried
    return operands[:fixed], operands[fixed:stop], operands[stop:]


def _options(eqn) -> dict[str, Any]:
    return {name: eqn.params[name] for name in ("length", "reverse", "unroll")}


def _rows(leaves, stacked) -> list:
    return [a for a, s in zip(leaves, stacked, strict=True) if s]


def _filled(leaves, stacked, rows) -> list:
    rows = iter(rows)
    return [next(rows) if s else a for a, s in zip(leaves, stacked, strict=True)]


def _moving(eqn, jaxpr, active, rules) -> list[bool]:
    """Which operands of the body move; a carry does if it ever does."""
    fixed, carry, xs = _parts(eqn, active)
    while True:
        outs = _reached(jaxpr, [*fixed, *carry, *xs], rules)
        after = [a or b for a, b in zip(carry, outs[: len(carry)], strict=True)]
        if after == carry:
            return [*fixed, *carry, *xs]
        carry = after


def _reached(jaxpr, active, rules) -> list[bool]:
    """Which results of a jaxpr depend on an active operand; nothing is computed."""
    moving = {v for v, moves in zip(jaxpr.invars, active, strict=True) if moves}

    def moves(atom):
        return not isinstance(atom, Literal) and atom in moving

    for eqn in jaxpr.eqns:
        ins = [moves(a) for a in eqn.invars]
        if eqn.primitive in JITTED:
            outs = _reached(opened(body(eqn))[0], ins, rules)
        else:
            passes = any(ins) and rules.get(eqn.primitive) is not constant
            outs = [passes and is_differentiable(v.aval) for v in eqn.outvars]
        moving |= {v for v, a in zip(eqn.outvars, outs, strict=True) if a}
    return [moves(a) for a in jaxpr.outvars]


# ---- while


def while_forward(eqn, operands, active, rules):
    return bind(eqn, operands), None


def while_backward(eqn, saved, cts, active, rules):
    raise NoRule(
        f"the while loop at {private.where(eqn)} has no backward pass: how many steps "
        "it takes, and so how much is to be kept, is not known before it runs. Use "
        "jax.lax.scan, or jax.lax.fori_loop with bounds that are Python ints"
    )


LOOPS = {
    "scan": Call(scan_forward, scan_backward),
    "while": Call(while_forward, while_backward),
}

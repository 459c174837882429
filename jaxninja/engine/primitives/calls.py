"""Rules of calls: functions with a rule of their own, checkpoints, decompositions.

What they run is a jaxpr too, so it is evaluated and walked by the same engine.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxninja.engine import private
from jaxninja.engine.core import Call, evaluate, walk
from jaxninja.jaxpr import bind, body, opened

# ---- jax.custom_vjp: its fwd says what is kept, its bwd is the rule


def custom_vjp_forward(eqn, operands, active, rules):
    return private.forward_of(eqn, operands, active)


def custom_vjp_backward(eqn, residuals, cts, active, rules):
    outs = zip(eqn.outvars, cts, strict=True)
    given = [_empty(v.aval) if ct is None else ct for v, ct in outs]
    return private.backward_of(eqn, residuals, given), None


def _empty(aval):
    """The cotangent of an integer output: JAX gives it a dtype without values."""
    return np.zeros(aval.shape, jax.dtypes.float0)


# ---- jax.custom_jvp: dz = J dx is linear in dx, so walking it backwards gives J^T dz


def custom_jvp_forward(eqn, operands, active, rules):
    """Run the rule on zero tangents: J^T is the same wherever J dx is evaluated."""
    jaxpr, consts, inputs, moves, given = private.jvp_of(eqn, operands, active)
    graph = evaluate(jaxpr, consts, inputs, moves, rules, eqn)
    count = len(given)
    primals, tangents = graph.tape.outputs[:count], iter(graph.tape.outputs[count:])
    # an output without a tangent: the primal stands in, which passes nothing on
    outputs = tuple(
        next(tangents) if g else p for p, g in zip(primals, given, strict=True)
    )
    results = [graph.values[i] for i in primals]
    return results, replace(graph, tape=replace(graph.tape, outputs=outputs))


def custom_jvp_backward(eqn, graph, cts, active, rules):
    grads = walk(graph, cts)
    start = eqn.params["num_consts"]
    primals = len(active) - start
    tangents = iter(grads[i] for i in graph.tape.arguments[primals:])
    every = not eqn.params["symbolic_zeros"]  # else active operands have one only
    terms = [next(tangents) if every or moves else None for moves in active[start:]]
    return [None] * start + terms, grads


# ---- jax.checkpoint: keeps the operands only, and runs the body again


def remat_forward(eqn, operands, active, rules):
    """Whatever the policy, nothing inside is kept: it changes no gradient."""
    return bind(eqn, operands), list(operands)


def remat_backward(eqn, operands, cts, active, rules):
    if eqn.params["prevent_cse"]:  # else XLA sees the same code twice, and keeps it
        operands = lax.optimization_barrier(operands)
    graph = evaluate(*opened(body(eqn)), operands, active, rules, eqn)
    grads = walk(graph, cts)
    return [grads[i] for i in graph.tape.arguments], grads


# ---- operations that are short for others


def written_out(f: Callable) -> Call:
    """The rule of an operation is that of the function that computes the same."""

    def forward(eqn, operands, active, rules):
        closed = jax.make_jaxpr(partial(f, **eqn.params))(*operands)
        graph = evaluate(*opened(closed), operands, active, rules, eqn)
        return [graph.values[i] for i in graph.tape.outputs], graph

    def backward(eqn, graph, cts, active, rules):
        grads = walk(graph, cts)
        return [grads[i] for i in graph.tape.arguments], grads

    return Call(forward, backward)


def _cumulative(combine: Callable) -> Call:
    def cumulative(x, *, axis, reverse):
        return lax.associative_scan(combine, x, reverse=reverse, axis=axis)

    return written_out(cumulative)


CALLS = {
    "cumlogsumexp": _cumulative(jnp.logaddexp),
    "cummax": _cumulative(lax.max),
    "cummin": _cumulative(lax.min),
    "cumprod": _cumulative(lax.mul),
    "custom_jvp_call": Call(custom_jvp_forward, custom_jvp_backward),
    "custom_vjp_call": Call(custom_vjp_forward, custom_vjp_backward),
    "remat": Call(remat_forward, remat_backward),
}

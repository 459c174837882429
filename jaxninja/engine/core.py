"""The engine: run a jaxpr and keep every value; walk what was kept backwards.

    forward    values[z] = op(values[x], values[y])            in the order of the jaxpr
    backward   grads[x] += grads[z] dz/dx                      in the reverse order
               grads[y] += grads[z] dz/dy

A node that is used twice receives two terms, hence +=. When the walk comes to a step,
all the steps that use its results have been walked, since they come later in the order;
so its gradient is complete. Nothing is stored in the nodes: a second walk starts anew.

How one operation turns the gradient of its results into that of its operands is its
rule, of one of two kinds:

    rule(dz, z, x, y, **params) -> (dx, dy)            most; None where there is none
    Call(forward, backward)                            runs other code: scan, custom_vjp
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.dtypes import float0
from jax.extend.core.primitives import name_p

from jaxninja.engine.computation import Computation, Step, Tape
from jaxninja.engine.cotangents import is_differentiable
from jaxninja.engine.errors import check_cotangents, no_rule
from jaxninja.engine.gradients import Gradients
from jaxninja.jaxpr import JITTED, bind, body, called_name, opened, run, scope

Rules = Mapping[Any, Any]  # primitive -> rule


class Call(NamedTuple):
    """The rule of an operation that must see, or keep, more than its results.

    forward(eqn, operands, active, rules) -> results, whatever backward will need
    backward(eqn, saved, cotangents, active, rules) -> cotangents of the operands, and
        the gradients inside of its bodies, if it has any
    """

    forward: Callable[..., tuple[list, Any]]
    backward: Callable[..., tuple[Sequence, Any]]


def constant(*_, **__):
    """The rule of what does not move, or moves in jumps: its derivative is zero."""
    raise AssertionError("the results of this operation have no gradient to pass on")


@dataclass
class _Recorder:
    """The graph while it grows."""

    rules: Rules
    values: list
    active: list[bool]
    steps: list[Step]
    names: dict[int, str]
    saved: dict[int, Any]

    def add(self, value, active: bool = False) -> int:
        self.values.append(value)
        self.active.append(active and is_differentiable(value))
        return len(self.values) - 1


def evaluate(
    jaxpr, consts, args, active: Sequence[bool], rules: Rules, caller=None
) -> Computation:
    """Run a jaxpr and keep every value.

    Args:
        jaxpr, consts, args: the open jaxpr, its constants and its operands.
        active: for each operand, whether its gradient is wanted. What does not depend
            on one of these is computed, but needs no rule and has no gradient.
        rules: primitive -> rule.
        caller: the equation whose body this is, if it is one; for error messages.
    """
    rec = _Recorder(rules, [], [], [], {}, {})
    fixed = [rec.add(jnp.asarray(c)) for c in consts]
    arguments = [rec.add(a, moves) for a, moves in zip(args, active, strict=True)]
    outputs = _record(rec, jaxpr, fixed + arguments, (), caller)
    steps, moves = tuple(rec.steps), tuple(rec.active)
    tape = Tape(steps, tuple(arguments), tuple(outputs), moves, rec.names, rules)
    return Computation(list(map(_keepable, rec.values)), rec.saved, tape)


def _record(rec: _Recorder, jaxpr, inputs, outer: tuple[str, ...], caller) -> list[int]:
    """Run the equations; a call of a jitted function is run in its place."""

    def literal(atom) -> int:
        with jax.ensure_compile_time_eval():  # a number, under jit too
            return rec.add(jnp.asarray(atom.val, atom.aval.dtype))

    def step(eqn, ins):
        around = outer + scope(eqn)
        if eqn.primitive is name_p:  # a name belongs to the value, it is no operation
            rec.names[ins[0]] = eqn.params["name"]
            return ins
        if eqn.primitive not in JITTED:
            return _apply(rec, eqn, ins, around, caller)
        inner, consts = opened(body(eqn))
        ins = [rec.add(jnp.asarray(c)) for c in consts] + ins
        names = tuple(filter(None, [called_name(eqn)]))
        return _record(rec, inner, ins, around + names, caller or eqn)

    fixed = len(jaxpr.constvars)
    return run(jaxpr, inputs[:fixed], inputs[fixed:], step, literal)


def _apply(rec: _Recorder, eqn, ins, around, caller) -> list[int]:
    operands = [rec.values[i] for i in ins]
    active = [rec.active[i] for i in ins]
    rule = rec.rules.get(eqn.primitive) if any(active) else constant
    if isinstance(rule, Call):
        results, saved = rule.forward(eqn, operands, active, rec.rules)
        rec.saved[len(rec.steps)] = saved
    else:
        results = bind(eqn, operands)
    outs = [rec.add(r, rule is not constant) for r in results]
    rec.steps.append(Step(eqn, rule, tuple(ins), tuple(outs), around, caller))
    return outs


def walk(graph: Computation, cotangents: Sequence) -> Gradients:
    """Walk a graph backwards, from the cotangents of its outputs (None: zero)."""
    tape = graph.tape
    grads: list = [None] * len(graph.values)
    inner: dict[int, Any] = {}

    def accumulate(i: int, ct) -> None:
        if ct is not None and tape.active[i]:
            grads[i] = ct if grads[i] is None else grads[i] + ct

    for i, ct in zip(tape.outputs, cotangents, strict=True):
        accumulate(i, ct)
    for k, step in reversed(list(enumerate(tape.steps))):
        if any(grads[i] is not None for i in step.outs):
            terms, inner[k] = _pull(graph, k, step, [grads[i] for i in step.outs])
            for i, ct in zip(step.ins, terms, strict=True):
                accumulate(i, ct)
    return Gradients(grads, inner, graph.values, tape)


def _pull(
    graph: Computation, k: int, step: Step, cotangents: list
) -> tuple[Sequence, Any]:
    """The cotangents of a step's operands."""
    operands = [graph.values[i] for i in step.ins]
    results = [graph.values[i] for i in step.outs]
    active = [graph.tape.active[i] for i in step.ins]
    if step.rule is None:
        raise no_rule(step)
    cts = [_full(ct, y) for ct, y in zip(cotangents, results, strict=True)]
    if isinstance(step.rule, Call):
        terms, inside = step.rule.backward(
            step.eqn, graph.saved[k], cts, active, graph.tape.rules
        )
    else:
        if not step.eqn.primitive.multiple_results:
            (cts,), (results,) = cts, results
        terms, inside = step.rule(cts, results, *operands, **step.eqn.params), None
    check_cotangents(step, operands, terms, active)
    return terms, inside


def _full(ct, y):
    """A result that the output does not depend on has the cotangent 0."""
    if ct is None and y is not None and is_differentiable(y):
        return jnp.zeros_like(y)
    return ct


def _keepable(value):
    """The tangent of an integer has a dtype without values: nothing to keep."""
    return None if value.dtype == float0 else value

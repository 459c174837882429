"""From a function to its program: traced, its calls opened, its loops written out.

Tracing gives a jaxpr; calls in it (`jit`, `custom_jvp`, ...) are opened. Each value
gets a number, its slot.
"""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import jax
import numpy as np

from jaxninja import jaxpr as jaxprs
from jaxninja.check.diagnosis.code.program import Program, Step
from jaxninja.check.diagnosis.code.source import of_a_library

LIMIT = 4000  # steps; a longer program is not worth the wait


def trace(f: Callable, *arguments, unroll: bool = False) -> tuple[Program, Any]:
    """The program of `f(*arguments)`, and the tree of its results.

    With `unroll` its loops of known length are written out.

    Raises:
        Exception: whatever tracing `f` raises; NumPy code cannot be traced.
        ValueError: it has more than LIMIT steps.
    """
    closed, shape = jax.make_jaxpr(f, return_shape=True)(*arguments)
    return flatten(closed, unroll), jax.tree.structure(shape)


def traced(f: Callable, *arguments) -> Program:
    """The program alone, with its loops written out if it has no more than LIMIT."""
    try:
        return trace(f, *arguments, unroll=True)[0]
    except ValueError:
        return trace(f, *arguments)[0]


def flatten(closed, unroll: bool = False) -> Program:
    """The program of a closed jaxpr; with `unroll` its loops of known length too."""
    builder = _Builder(unroll)
    inputs = [builder.new() for _ in closed.jaxpr.invars]
    outputs = builder.inline(closed, inputs, None)
    found = builder.constants, builder.literals, builder.steps, outputs
    return Program(inputs, *found, calls=builder.calls)


class _Builder:
    def __init__(self, unroll: bool = False):
        self.unroll = unroll
        self.count, self.constants, self.literals, self.calls = 0, {}, set(), {}
        self.steps: list[Step] = []

    def new(self) -> int:
        self.count += 1
        return self.count - 1

    def constant(self, value) -> int:
        slot = self.new()
        plain = hasattr(value, "dtype") and isinstance(value.dtype, np.dtype)
        self.constants[slot] = np.asarray(value) if plain else value
        return slot

    def literal(self, literal) -> int:
        value = np.asarray(literal.val, getattr(literal.aval, "dtype", None))
        slot = self.constant(value)
        self.literals.add(slot)
        return slot

    def inline(self, closed, inputs, caller, path=()) -> list[int]:
        """Append the steps of a jaxpr; returns the slots of its results.

        A library's jaxpr may have been traced at another line: `caller` is this one's.
        """
        numbers = {id(eqn): k for k, eqn in enumerate(closed.jaxpr.eqns)}

        def step(eqn, ins):
            where = caller or eqn.source_info.traceback
            origin = (*path, numbers[id(eqn)])
            inner = jaxprs.body(eqn) if eqn.primitive in jaxprs.CALLS else None
            if inner is not None and len(inner.jaxpr.invars) == len(ins):
                self.calls[origin] = where
                named = where if caller or of_a_library(inner) else None
                return self.inline(inner, ins, named, origin)
            if self.unroll and eqn.primitive.name == "scan":
                return self.turns(eqn, ins, origin)
            return self.append(eqn, ins, where, origin)

        consts = [self.constant(value) for value in closed.consts]
        return jaxprs.run(closed.jaxpr, consts, inputs, step, self.literal)

    def append(self, eqn, ins, traceback, origin) -> list[int]:
        if len(self.steps) >= LIMIT:
            raise ValueError(f"a program of more than {LIMIT} steps")
        outs = [self.new() for _ in eqn.outvars]
        self.steps.append(Step(eqn, tuple(ins), tuple(outs), traceback, origin))
        return outs

    def turns(self, eqn, ins, origin) -> list[int]:
        """A scan, turn by turn."""
        p, body = eqn.params, jaxprs.closed(eqn.params["jaxpr"])
        fixed, carried = jaxprs.scan_parts(eqn)
        consts, carry, xs = ins[:fixed], ins[fixed:][:carried], ins[fixed + carried :]
        turns = range(p["length"])
        ys: list[list[int]] = [[] for _ in body.jaxpr.outvars[carried:]]
        for t in reversed(turns) if p["reverse"] else turns:
            at = {"index": t, "loop": origin}
            entries = [self.laid("scan_entry", [x], **at) for x in xs]
            outs = self.inline(body, [*consts, *carry, *entries], None, origin)
            carry = outs[:carried]
            for column, slot in zip(ys, outs[carried:], strict=True):
                column.append(slot)
        for column in ys if p["reverse"] else ():
            column.reverse()
        return [*carry, *(self.laid("scan_stack", c, loop=origin) for c in ys)]

    def laid(self, name: str, ins: list[int], **params) -> int:
        """The slot of a step that no equation stands for."""
        primitive = SimpleNamespace(name=name)
        eqn = SimpleNamespace(primitive=primitive, params=params, outvars=(None,))
        return self.append(eqn, ins, None, ())[0]

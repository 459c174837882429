"""A program whose while loops end, if not by themselves then when the time is over.

An iteration to 1e-6 never gets there in bfloat16. The clock is asked every so many
steps; what a loop that was stopped has found is no result, and that is told.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import jaxprs_in_params

from jaxninja.check.errors import UserCodeError
from jaxninja.check.subject.control_flow import CONTROL
from jaxninja.check.subject.plain_forward import evaluate, line_of
from jaxninja.jaxpr import closed, equations

_SECONDS = ContextVar("seconds of a program's loops", default=5.0)
STEPS = 256  # from one look at the clock to the next


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Loops have so much time, and not the usual five seconds."""
    token = _SECONDS.set(seconds)
    try:
        yield
    finally:
        _SECONDS.reset(token)


def holds_while(jaxpr) -> bool:
    return any(eqn.primitive.name == "while" for eqn in equations(jaxpr))


class Clock:
    """Until when loops may run, and the line of one that did not end."""

    def __init__(self):
        self.end, self.late, self.seconds = 0.0, [], 0.0

    def start(self) -> None:
        self.seconds = _SECONDS.get()
        self.end, self.late = time.monotonic() + self.seconds, []

    def running(self, count) -> np.ndarray:
        return np.asarray(time.monotonic() < self.end)

    def stop(self) -> None:
        """Raise if a loop was stopped since the start."""
        jax.effects_barrier()
        if self.late:
            at = f" at {self.late[0]}" if self.late[0] else ""
            text = f"a while loop{at} does not end within {self.seconds:g} s"
            raise UserCodeError("N-ENDLESS", text, self.late[0])


def bounded(f: Callable, clock: Clock) -> Callable:
    """`f`, with the clock in each of its while loops."""

    def step(eqn, ins):
        name = eqn.primitive.name
        if name == "while":
            return _while(eqn, ins, step, clock)
        inside = name in CONTROL and any(map(holds_while, jaxprs_in_params(eqn.params)))
        return CONTROL[name](eqn, ins, step) if inside else None

    def run(*args):
        traced, shape = jax.make_jaxpr(f, return_shape=True)(*args)
        outs = evaluate(traced, jax.tree.leaves(args), step)
        return jax.tree.unflatten(jax.tree.structure(shape), outs)

    return run


def _while(eqn, ins: list, step, clock: Clock) -> list:
    p = eqn.params
    first, second = p["cond_nconsts"], p["cond_nconsts"] + p["body_nconsts"]
    of_cond, of_body, init = ins[:first], ins[first:second], ins[second:]
    types = [v.aval for v in eqn.invars[second:]]
    init = [jnp.asarray(a, t.dtype) if np.isscalar(a) else a
            for a, t in zip(init, types, strict=True)]  # fmt: skip
    test = closed(p["cond_jaxpr"])

    def wanted(values):
        return evaluate(test, [*of_cond, *values], step)[0]

    def goes_on(carry):
        return carry[1] & wanted(carry[2]).any()

    def body(carry):
        count, _, before = carry
        values = evaluate(closed(p["body_jaxpr"]), [*of_body, *before], step)
        if test.out_avals[0].shape:
            values = _where(wanted(before), values, before)
        return count + 1, _in_time(clock, count), values

    start = jnp.int32(0), jnp.bool_(True), init
    _, in_time, values = jax.lax.while_loop(goes_on, body, start)
    line = line_of(eqn)
    jax.debug.callback(lambda ok: None if ok else clock.late.append(line), in_time)
    return list(values)


def _where(going, after: list, before: list) -> list:
    """Under vmap each loop of the batch keeps what it had when it ended."""

    def chosen(a, b):
        rest = (1,) * (a.ndim - going.ndim)
        return jnp.where(going.reshape(going.shape + rest), a, b)

    return list(map(chosen, after, before))


def _in_time(clock: Clock, count):
    def ask(count):
        return jax.pure_callback(
            clock.running,
            jax.ShapeDtypeStruct((), bool),
            count,
            vmap_method="sequential",
        )

    return jax.lax.cond(count % STEPS == STEPS - 1, ask, lambda _: True, count)

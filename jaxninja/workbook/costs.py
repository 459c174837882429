"""What a learner's backward costs, beside `jax.grad` of the same forward.

Both are compiled as a training step would have them: forward and backward in one. What
is kept is counted in arrays of the forward pass that the backward reads; inputs and
parameters are there anyway and do not count.
"""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp

from jaxninja.workbook import samples
from jaxninja.workbook.code import parse, snippets
from jaxninja.workbook.exercise import Exercise
from jaxninja.workbook.exercises import EXERCISES
from jaxninja.workbook.network import Network
from jaxninja.workbook.texts.languages import current, sentence, speaking
from jaxninja.workbook.texts.wrapping import before, padded

REPEATS, CALLS = 15, 20


@dataclass(frozen=True)
class Bill:
    """FLOPs, arrays and bytes kept, temporary bytes, microseconds a call."""

    flops: float
    arrays: int
    kept: int
    temporary: int
    micros: float

    def __str__(self) -> str:
        return (
            f"{self.flops:>12,.0f} {self.arrays:>7} {self.kept:>12,} "
            f"{self.temporary:>12,} {self.micros:>9.0f}"
        )


@dataclass(frozen=True)
class Cost:
    """Two bills, and which arrays were kept; `least` of them suffice."""

    mine: Bill
    autodiff: Bill
    kept: tuple[str, ...]
    least: tuple[str, ...]
    language: str = field(default_factory=current)

    def __str__(self) -> str:
        with speaking(self.language):
            heads = (sentence(f"cost {k}") for k in range(5))
            table = zip(heads, (12, 7, 12, 12, 9), strict=True)
            head = " ".join(before(text, width) for text, width in table)
            names = ", ".join(self.kept) or sentence("nothing")
            facts = dict(count=len(self.kept), names=names)
            rows = [(sentence("yours"), self.mine), ("jax.grad", self.autodiff)]
            return "\n".join(
                [
                    f"{'':<9}{head}",
                    *(f"{padded(name, 8)} {bill}" for name, bill in rows),
                    f"{sentence('keeps', **facts)}{self._enough()}",
                ]
            )

    def _enough(self) -> str:
        """That fewer arrays suffice, if they do."""
        least = len(self.least)
        if len(self.kept) <= least:
            return ""
        key = "suffices" if least == 1 else "suffice"
        return sentence(key, count=least, names=", ".join(self.least))


def cost(number: int, text: str) -> Cost:
    """What a finished exercise costs, on its own sizes in float32.

    Args:
        number: of the exercise.
        text: of the learner's file, which should have passed its check.
    """
    exercise = EXERCISES[number]
    learner = parse.read(text, exercise.file)
    backward = snippets.environment(learner)[parse.FUNCTION]
    sample = samples.home(exercise.network)
    target = next(iter(exercise.given), exercise.network.output)
    start = {name: sample.values[name] for name in exercise.returns}
    shape = sample.values[target].shape
    dy = jax.random.normal(jax.random.key(0), shape) if shape else jnp.ones(())

    def forward(start):
        return _forward(exercise.network, sample.values, start)

    def mine(start, dy):
        values = {**forward(start), **{f"d{k}": dy for k in exercise.given}}
        return values[target], backward(**_asked(learner, values))

    def autodiff(start, dy):
        value, pull = jax.vjp(lambda s: forward(s)[target], start)
        return value, pull(dy)

    kept = _read(
        exercise, learner, backward, {**sample.values, **_upstream(exercise, dy)}
    )
    residuals = _residuals(lambda s: forward(s)[target], start)
    return Cost(
        _bill(mine, (start, dy), [sample.values[k] for k in kept]),
        _bill(autodiff, (start, dy), residuals),
        kept,
        exercise.least,
    )


def _forward(network: Network, values, start) -> dict[str, Any]:
    """All arrays, those that depend on the ones of `start` computed from these."""
    above = {name: {*network.before(name)} - {name} for name in network.steps}
    below = {name for name in above if {*start} & above[name]} - {*start}
    moved = {**values, **start}
    return {**moved, **network.recomputed(moved, below, below)}


def _upstream(exercise: Exercise, dy) -> dict[str, Any]:
    return {f"d{name}": dy for name in exercise.given}


def _asked(learner: parse.Source, values: dict) -> dict[str, Any]:
    return {name: values[name] for name in learner.parameters}


def _read(exercise: Exercise, learner, backward, values) -> tuple[str, ...]:
    """The arrays of the forward that the gradients depend on, dead code left out."""
    asked = _asked(learner, values)
    counts = exercise.network.numbers
    arrays = {k: v for k, v in asked.items() if k not in counts}
    numbers = {k: v for k, v in asked.items() if k in counts}
    traced = jax.make_jaxpr(lambda arrays: backward(**arrays, **numbers))(arrays)
    needed = {v for v in traced.jaxpr.outvars if not hasattr(v, "val")}
    for eqn in reversed(traced.jaxpr.eqns):
        if needed.intersection(eqn.outvars):
            needed |= {v for v in eqn.invars if not hasattr(v, "val")}
    inputs = zip(sorted(arrays), traced.jaxpr.invars, strict=True)
    read = {name for name, variable in inputs if variable in needed}
    return tuple(name for name in exercise.network.steps if name in read)


def _residuals(f: Callable, start) -> list:
    """What jax.vjp keeps, but for what it was given."""
    traced = jax.make_jaxpr(lambda s: jax.vjp(f, s)[1])(start)
    inputs = {*traced.jaxpr.invars, *traced.jaxpr.constvars}
    outputs = dict.fromkeys(v for v in traced.jaxpr.outvars if not hasattr(v, "val"))
    return [v.aval for v in outputs if v not in inputs]


def _bill(f: Callable, arguments: tuple, kept: list) -> Bill:
    compiled = jax.jit(f).lower(*arguments).compile()
    analysis: Any = compiled.cost_analysis() or {}
    memory: Any = compiled.memory_analysis()
    size = sum(a.size * a.dtype.itemsize for a in kept)
    temporary = int(getattr(memory, "temp_size_in_bytes", 0))
    flops = float(analysis.get("flops", 0.0))
    return Bill(flops, len(kept), size, temporary, _micros(compiled, arguments))


def _micros(compiled: Callable, arguments: tuple) -> float:
    """Median of several averages: the first call and the odd slow one do not count."""
    jax.block_until_ready(compiled(*arguments))
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        for _ in range(CALLS):
            result = compiled(*arguments)
        # pyrefly: ignore[unbound-name]  CALLS is not 0
        jax.block_until_ready(result)
        times.append((time.perf_counter() - start) / CALLS)
    return statistics.median(times) * 1e6

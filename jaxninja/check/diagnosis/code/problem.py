"""One wrong sample, laid out for diagnosis: leaves, the backward's program, its names.

`Problem.fixes(slot, value)` is the question that all of the repair asks: which leaves
are right when one value of the backward is another?
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import chain
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxninja.check.compare import difference
from jaxninja.check.diagnosis.code.names import derive, slot_names
from jaxninja.check.diagnosis.code.program import Program
from jaxninja.check.diagnosis.code.source import (
    called_rules,
    calls,
    kernel_place,
    place,
    places,
)
from jaxninja.check.diagnosis.code.tracing import traced
from jaxninja.check.evidence import Evidence, Explained, Sample
from jaxninja.check.hints import Place

COPIES = ("copy", "copy_p", "convert_element_type")
ROUNDINGS = 90  # units of the largest entry of all leaves: 1e-14 in float64
EXACT = 1e-9  # of the largest entry: float64 rounding, amplified a little


@dataclass
class Problem:
    """A sample and what is known about it.

    Attributes:
        subject, sample: the rule and the call.
        program: the backward on (residuals, dy, args), None if it cannot be traced.
        values: every slot of the program on this sample.
        home: the file whose lines are pointed at, if a step has one there.
        unit: unit round-off of the rule's own arithmetic.
    """

    subject: Explained
    sample: Sample
    program: Program | None = None
    values: list = field(default_factory=list)
    home: str = ""
    unit: float = 2.0**-53

    @cached_property
    def got(self) -> list[np.ndarray]:
        """The rule's gradients, as the program computes them if there is one."""
        if self.program is None:
            return [np.asarray(a) for a in self.sample.got]
        return [np.asarray(self.values[s]) for s in self.program.outputs]

    @cached_property
    def expected(self) -> list[np.ndarray]:
        return [np.asarray(e) for e in self.sample.expected]

    @cached_property
    def floor(self) -> float:
        """A difference below it is rounding, whatever the leaf."""
        largest = max([float(np.abs(e).max(initial=0)) for e in self.expected] + [0.0])
        return ROUNDINGS * self.unit * (largest or 1.0)

    @cached_property
    def wrong(self) -> frozenset[int]:
        return frozenset(k for k in range(len(self.expected)) if not self.right(k))

    def right(self, leaf: int, value=None) -> bool:
        """Whether a value (by default the rule's own) is that leaf's true gradient, or
        it does not matter there."""
        judged = self.sample.judged
        if judged is not None and self.sample.names[leaf] not in judged:
            return True
        value = self.got[leaf] if value is None else value
        return close(value, self.expected[leaf], self.floor)

    def agrees(self, leaf: int, value) -> bool:
        """Whether a value is that leaf's, as exactly as the check itself demands."""
        if self.right(leaf, value):
            return True
        allowed = self.sample.allowed
        held = bool(allowed) and np.shape(value) == self.expected[leaf].shape
        return held and difference(value, self.expected[leaf], allowed[leaf]).ok

    def fixes(self, results: Sequence) -> frozenset[int]:
        """The leaves that `results` gets right, but none if it spoils another."""
        right = frozenset(
            k
            for k, result in enumerate(results)
            if (result is self.got[k] and k not in self.wrong) or self.right(k, result)
        )
        spoilt = any(
            k not in right and k not in self.wrong for k in range(len(results))
        )
        return frozenset() if spoilt else right

    def called(self, dy) -> list[np.ndarray]:
        """The rule's gradients for another cotangent, by calling it."""
        grads = self.subject.bwd(self.sample.residuals, dy)
        return [np.asarray(g) for g in float_gradients(self.sample.args, grads)]

    def on(self, sample: Sample) -> "Problem":
        """The same program on another sample of the same shapes."""
        if self.program is None:
            return Problem(self.subject, sample, unit=self.unit)
        values = self.program.run(inputs(sample))
        return replace(self, sample=sample, values=values)

    @cached_property
    def names(self) -> dict[int, str]:
        """What the user calls a slot."""
        if self.program is None:
            return {}
        return slot_names(self.program, self.subject, self.sample)

    def leaf_names(self, leaves: Iterable[int]) -> tuple[str, ...]:
        return tuple(self.sample.names[k] for k in sorted(leaves))

    def place_of(self, step: int, output: int = 0) -> Place | None:
        """Where a step stands: in the backward's own file, if any step near it does.

        A step of a rule inside a model shows the line of its call; the rule's own
        backward is where it can be fixed; of a Pallas call, the line of the kernel
        that writes that output.
        """
        found = self._place_of(step, output)
        return self.rules_inside.get(found, found) if found else None

    def call_to(self, step: int, found: Place | None) -> Place | None:
        """The call in the backward that leads to the place of a step which the forward
        runs through as well: an edit of the text there would change its value, too."""
        assert self.program is not None
        if found not in self.of_the_forward:
            return None
        around = chain.from_iterable(map(calls, self.program.tracebacks(step)))
        own = (p for p in around if p.file == self.home)
        return next((p for p in own if p not in self.of_the_forward), None)

    @cached_property
    def of_the_forward(self) -> frozenset[Place]:
        """The places that the forward runs through."""
        try:
            return places(jax.make_jaxpr(self.subject.plain)(*self.sample.args))
        except Exception:  # NumPy code, or whatever it raises on a tracer
            return frozenset()

    @cached_property
    def rules_inside(self) -> dict[Place, Place]:
        """Of a function that calls rules: the backward that each call leads to."""
        if getattr(self.subject, "kind", "") != "function":
            return {}
        return called_rules(self.subject.plain, self.sample.args, self.home)

    def _place_of(self, step: int, output: int = 0) -> Place | None:
        assert self.program is not None
        steps = self.program.steps
        own = place(steps[step].traceback, self.home)
        kernel = kernel_place(steps[step].eqn, output)
        if kernel or not self.home or (own is not None and own.file == self.home):
            return kernel or own
        for i in [*self._after(step), *self._ahead(step)]:
            near = place(steps[i].traceback, self.home)
            kernel = kernel_place(steps[i].eqn)
            if kernel or (near is not None and near.file == self.home):
                return kernel or near
        return own

    def maker_of(self, leaf: int) -> tuple[int, int] | None:
        """The step that made a gradient, and which of its results that is."""
        assert self.program is not None
        slot, maker = self.program.outputs[leaf], self.program.maker
        while slot in maker and self.program.steps[maker[slot]].name in COPIES:
            slot = self.program.steps[maker[slot]].ins[0]
        if slot not in maker:
            return None
        return maker[slot], self.program.steps[maker[slot]].outs.index(slot)

    def _after(self, step: int) -> list[int]:
        assert self.program is not None
        return self.program.below(self.program.steps[step].outs[0])

    def _ahead(self, step: int) -> list[int]:
        """The steps that a step depends on, the nearest first."""
        assert self.program is not None
        found, todo = [], list(self.program.steps[step].ins)
        while todo:
            maker = self.program.maker.get(todo.pop(0))
            if maker is not None and maker not in found:
                found.append(maker)
                todo.extend(self.program.steps[maker].ins)
        return found


def close(value, expected: np.ndarray, floor: float = 0.0) -> bool:
    """Equality up to float64 rounding of the largest entry, where that is finite."""
    if np.shape(value) != expected.shape:
        return False
    value, finite = np.asarray(value), np.isfinite(expected)
    if not finite.all():
        value, expected = value[finite], expected[finite]
    scale = float(np.abs(expected).max(initial=0))
    gap = float(np.abs(np.subtract(value, expected)).max(initial=0))
    return gap <= EXACT * scale + floor


def alike(mine, other, floor: float = 0.0) -> bool:
    """The same numbers, none of them finite in one only: what explains all of mine."""
    mine, other = np.asarray(mine), np.asarray(other)
    if mine.shape != other.shape:
        return False
    finite = np.isfinite(mine) == np.isfinite(other)
    return bool(finite.all()) and close(mine, other, floor)


def inner(a, b) -> float:
    """The product of two arrays as real vectors: of complex ones both parts count."""
    return float(np.real(np.vdot(a, b)))


def inputs(sample: Sample) -> list:
    """The leaves that the program of a backward takes."""
    leaves = jax.tree.leaves((sample.residuals, sample.dy, sample.args))
    return [as_leaf(leaf) for leaf in leaves]


def as_leaf(leaf):
    """NumPy's array of a leaf; a typed PRNG key stays as it is."""
    is_key = hasattr(leaf, "dtype") and not isinstance(leaf.dtype, np.dtype)
    return leaf if is_key else np.asarray(leaf)


def float_gradients(args: tuple, grads: Any) -> list:
    """One gradient for each float leaf of the arguments; None is zero."""
    found = []
    for arg, grad in zip(args, grads, strict=True):
        leaves, tree = jax.tree.flatten(arg)
        parts = [None] * len(leaves) if grad is None else tree.flatten_up_to(grad)
        for leaf, part in zip(leaves, parts, strict=True):
            if is_inexact(leaf):
                found.append(np.zeros(np.shape(leaf)) if part is None else part)
    return found


def is_inexact(leaf) -> bool:
    """Whether a leaf has a gradient: floats do, integers and PRNG keys don't."""
    dtype = leaf.dtype if hasattr(leaf, "dtype") else np.result_type(leaf)
    return bool(jnp.issubdtype(dtype, jnp.inexact))


def problems(evidence: Evidence) -> list[Problem]:
    """The samples of the evidence, the smallest first, with the backward's program."""
    subject = evidence.subject
    ordered = sorted(
        evidence.samples, key=lambda s: sum(np.size(e) for e in s.expected)
    )
    return [problem_of(subject, sample, evidence.unit) for sample in ordered[:1]]


def problem_of(subject: Explained, sample: Sample, unit: float) -> Problem:
    def backward(residuals, dy, args):
        derive(residuals, args)
        grads = float_gradients(args, subject.bwd(residuals, dy))
        return [jnp.copy(g) for g in grads]  # a result has a slot of its own

    try:
        program = traced(backward, sample.residuals, sample.dy, sample.args)
        values = program.run(inputs(sample))
    except Exception:  # NumPy code, or whatever the user's code raises on a tracer
        return Problem(subject, sample, unit=unit)
    home = subject.source[0] if subject.source else ""
    return Problem(subject, sample, program, values, home, unit)

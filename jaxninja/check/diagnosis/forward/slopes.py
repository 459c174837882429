"""The slope of an edited forward, by differences of its NumPy program.

    D = sum_k c_k (s(x + k h v) - s(x - k h v)) / h,   s(x) = <dy, forward(x)>

with k = 1, 2, 3 has an error of h^6; k = 1 alone, of h^2, sorts edits out. Nothing is
traced again for an edit, so thousands of them are tried in a second.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import jax
import numpy as np

from jaxninja.check.diagnosis.code.numpy_primitives import run
from jaxninja.check.diagnosis.code.problem import Problem, as_leaf, is_inexact
from jaxninja.check.diagnosis.code.program import Makes, Program, Seen
from jaxninja.check.diagnosis.code.tracing import flatten

STEP = 2e-4
ROUGH = {1: 0.5}
FINE = {1: 0.75, 2: -0.15, 3: 1 / 60}


class Beside(Seen):
    """All values at a point beside the sample; a held one stays at `base`."""

    def __init__(self, values: Sequence[Any], base: Sequence[Any]):
        super().__init__(values, {})
        self.base = base


class Forward:
    """The plain forward of a sample as a program, and points beside the sample."""

    def __init__(self, problem: Problem, program: Program | None = None):
        self.problem, sample = problem, problem.sample
        leaves, tree = jax.tree.flatten(sample.args)
        if program is None:

            def forward(*leaves):
                return problem.subject.plain(*jax.tree.unflatten(tree, leaves))

            program = flatten(jax.make_jaxpr(forward)(*leaves), unroll=True)
        self.program: Program = program
        self.active = [i for i, leaf in enumerate(leaves) if is_inexact(leaf)]
        self.leaves = [as_leaf(leaf) for leaf in leaves]
        self.dy = [as_leaf(g) for g in jax.tree.leaves(sample.dy)]
        self.held = [s.outs[0] for s in program.steps if s.name == "stop_gradient"]
        self.base: list = program.run(self.leaves)
        self.points: dict[tuple, list] = {}

    def on(self, problem: Problem) -> "Forward":
        return Forward(problem, self.program)

    def direction(self, leaf: int, number: int) -> np.ndarray:
        """A random direction of one float leaf, in units of its entries."""
        x = np.asarray(self.leaves[self.active[leaf]])
        rng = np.random.default_rng([17, leaf, number])
        v = rng.standard_normal(x.shape)
        if np.iscomplexobj(x):
            v = v + 1j * rng.standard_normal(x.shape)
        size = float(np.sqrt(np.mean(np.square(np.abs(x))))) if x.size else 1.0
        return v * (size or 1.0)

    def along(self, gradients: Sequence, leaves: Iterable[int], number: int) -> float:
        """The slope that these gradients give."""
        products = [
            np.real(np.sum(gradients[k] * self.direction(k, number))) for k in leaves
        ]
        return float(sum(products))

    def terms(self, gradients: Sequence, leaves: Iterable[int], number: int) -> float:
        """The size of the terms of that slope."""
        products = [gradients[k] * self.direction(k, number) for k in leaves]
        return float(sum(np.sum(np.abs(p)) for p in products))

    def slope(
        self,
        makes: Makes,
        leaves: tuple[int, ...],
        number: int,
        stencil: dict[int, float] = FINE,
    ) -> float:
        """The slope of the edited forward; NaN if the edit cannot be made."""
        try:
            total = 0.0
            for k, weight in stencil.items():
                ahead, behind = (
                    self.value(makes, self.point(leaves, number, sign * k))
                    for sign in (1, -1)
                )
                total += weight * (ahead - behind)
            return total / STEP
        except Exception:  # operands that do not go together: not an edit
            return np.nan

    def point(self, leaves: tuple[int, ...], number: int, k: int) -> list:
        """All values of the forward at x + k h v."""
        key = (leaves, number, k)
        if key not in self.points:
            moved = list(self.leaves)
            for leaf in leaves:
                i = self.active[leaf]
                moved[i] = moved[i] + k * STEP * self.direction(leaf, number)
            values = self.program.run(moved)
            if self.held:
                values = self.values(values, {}, self.held)
            self.points[key] = values
        return self.points[key]

    def values(self, values: list, makes: Makes, held: Sequence[int]) -> list:
        """All values where some are made otherwise, and some held at the sample's."""
        seen = Beside(values, self.base)
        program = self.program
        starts = {*makes, *held}
        for slot in makes:
            if slot not in program.maker:
                seen.changed[slot] = self.made(makes, slot, seen)
        steps = {program.maker[s] for s in starts if s in program.maker}
        steps = sorted(steps.union(*(program.below(s) for s in starts)))
        for i in steps:
            step = program.steps[i]
            outs = run(step.eqn, [seen[s] for s in step.ins])
            for slot, value in zip(step.outs, outs, strict=True):
                seen.changed[slot] = self.base[slot] if slot in held else value
                if slot in makes:
                    seen.changed[slot] = self.made(makes, slot, seen)
        return [seen[s] for s in range(len(values))]

    def made(self, makes: Makes, slot: int, seen: Beside):
        value, before = makes[slot](seen), self.base[slot]
        widened = np.iscomplexobj(value) and not np.iscomplexobj(before)
        if np.shape(value) != np.shape(before) or widened:
            raise ValueError("another shape or type")
        return value

    def value(self, makes: Makes, values: list) -> float:
        held = [s for s in self.held if s not in makes] if makes else []
        changed = self.values(values, makes, held) if makes else values
        outputs = [changed[s] for s in self.program.outputs]
        pairs = zip(self.dy, outputs, strict=True)
        floats = [(g, y) for g, y in pairs if np.result_type(g).kind in "fc"]
        return float(sum(np.real(np.sum(g * y)) for g, y in floats))

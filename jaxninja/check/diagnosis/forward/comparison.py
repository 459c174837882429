"""Whether an edited forward has the slope that the user's gradients give."""

from collections.abc import Sequence

from jaxninja.check.diagnosis.code.problem import Problem
from jaxninja.check.diagnosis.code.program import Makes
from jaxninja.check.diagnosis.forward.slopes import FINE, ROUGH, Forward

ROUGHLY, EXACT = 1e-2, 1e-5  # of the gap between the user's slope and the true one
NOISE = 1e-9  # of the terms of a slope: what differences leave of them
CLEAR = 1e-6  # a gap that is less of the terms says nothing


class Case:
    """A sample with its forward, and what the user's and the true gradients are."""

    def __init__(self, problem: Problem, forward: Forward):
        self.problem, self.forward = problem, forward

    def mine(self, leaves: Sequence[int], number: int) -> float:
        """The slope that the user's gradients give along direction `number`."""
        return self.forward.along(self.problem.got, leaves, number)

    def gap(self, leaves, number: int) -> float:
        true = self.forward.along(self.problem.expected, leaves, number)
        return self.mine(leaves, number) - true

    def allowed(self, leaves, number: int, part: float) -> float:
        terms = self.forward.terms(self.problem.got, leaves, number)
        terms += self.forward.terms(self.problem.expected, leaves, number)
        return part * abs(self.gap(leaves, number)) + NOISE * terms

    def tells(self, leaves: tuple[int, ...], number: int) -> bool:
        """Whether differences give the true slope, and the user's is another."""
        terms = self.forward.terms(self.problem.expected, leaves, number)
        mine = self.forward.terms(self.problem.got, leaves, number)
        clear = abs(self.gap(leaves, number)) > CLEAR * max(terms, mine)
        return clear and self.smooth(leaves, number)

    def smooth(self, leaves: tuple[int, ...], number: int) -> bool:
        """Whether differences give the true slope: not at a kink, say."""
        true = self.forward.along(self.problem.expected, leaves, number)
        error = abs(self.forward.slope({}, leaves, number) - true)
        return bool(error <= self.allowed(leaves, number, EXACT))

    def same(self, makes: Makes, leaves: tuple[int, ...], number: int) -> bool:
        """Whether the slope of the edited forward is the user's."""
        slope = self.forward.slope(makes, leaves, number, FINE)
        allowed = self.allowed(leaves, number, EXACT)
        return bool(abs(slope - self.mine(leaves, number)) <= allowed)

    def close(self, makes: Makes, leaves: tuple[int, ...], number: int) -> bool:
        """The same, roughly: by a third of the work."""
        mine = self.mine(leaves, number)
        slope = self.forward.slope(makes, leaves, number, ROUGH)
        allowed = self.allowed(leaves, number, ROUGHLY) + 1e-6 * abs(mine)
        return bool(abs(slope - mine) <= allowed)

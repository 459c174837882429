"""A setting at work: the rule at these shapes, and what is true of it there."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import jax
import numpy as np

from jaxninja.check.inputs.kinds import kind_of
from jaxninja.check.inputs.order import Order, in_order
from jaxninja.check.oracle.finite_differences import truth_by_differences
from jaxninja.check.oracle.truth import Truth, autodiff_of, truth_of, value_of
from jaxninja.check.subject.plain_forward import opened
from jaxninja.check.subject.pytrees import float_leaves, largest, unit
from jaxninja.check.subject.subject import Subject

LOOSE = 1e-3  # of the largest gradient: by how much an iteration that stops is off


@dataclass
class Setup:
    """A setting at work: its subject and what its trials have in common.

    Attributes:
        subject, label: of the setting.
        differences: the truth is by finite differences (no jaxpr to be had).
        surrogate: declared vector-Jacobian product that replaces the reference's.
        coarse: unit round-off of the rule in its float64 run, larger if it casts down.
        narrowed: unit round-off of what the forward itself casts to, 0 if it does not:
            beyond that neither autodiff nor a rule has the digits.
        ordinary: per leaf, largest terms a unit of cotangent at an ordinary input.
        values: of each output, the largest number there.
        kinds: of numbers in each leaf there; at an edge zeros may look like a matrix.
        leaf_names: of the float leaves of the arguments.
        opaque: JAX cannot differentiate the plain forward, or what it makes of it is
            not the slope of its values.
        held: arguments that stay as they were given, by name.
        order: which arguments keep what order.
    """

    subject: Subject
    label: str
    differences: bool = False
    surrogate: Callable | None = None
    coarse: float = unit("float64")
    narrowed: float = 0.0
    ordinary: list[float] = field(default_factory=list)
    values: list[float] = field(default_factory=list)
    kinds: list[str] = field(default_factory=list)
    leaf_names: tuple[str, ...] = ()
    opaque: bool = False
    held: dict[str, Any] = field(default_factory=dict)
    order: Order = field(default_factory=Order)

    def remember(self, ordinary: list[float], y: list, args: tuple) -> None:
        """Terms, values and kinds of the first input: it is an ordinary one."""
        if not self.ordinary:
            self.ordinary[:] = ordinary
            self.values[:] = map(largest, y)
            self.kinds[:] = map(kind_of, float_leaves(args))

    @property
    def stops(self) -> bool:
        """Whether the truth is by differences of an iteration that stops: it may end
        elsewhere at inputs that are larger than those it was made for."""
        return self.differences and self.opaque

    def truth(self, args: tuple, dy: list) -> tuple[Truth, list]:
        """The truth and its own uncertainty, at float64 arguments."""
        if self.differences:
            return self._by_differences(args, dy)
        if self.opaque:
            y, declared = autodiff_of(self.subject, args, dy, self.surrogate)
            return Truth(y, declared, list(map(np.abs, declared)), []), [0.0] * len(
                declared
            )
        truth = truth_of(self.subject, args, dy)
        if self.surrogate is not None:
            declared = autodiff_of(self.subject, args, dy, self.surrogate)[1]
            terms = [np.abs(g) for g in declared]
            scales = [
                np.maximum(*pair) for pair in zip(truth.scales, terms, strict=True)
            ]
            truth = truth._replace(gradients=declared, scales=scales)
        return truth, [0.0] * len(truth.gradients)

    def _by_differences(self, args: tuple, dy: list) -> tuple[Truth, list]:
        plain = self.subject.plain
        if not self.opaque:
            return truth_by_differences(plain, args, dy)
        rounding = 8 * max(self.coarse, unit("float64"))
        value = value_of(self.subject)
        return truth_by_differences(value, args, dy, rounding, LOOSE)

    @property
    def opened(self) -> Callable:
        """The plain forward, every custom_vjp call in it replaced by its body; with the
        declared gradient, if there is one."""
        plain, surrogate = opened(self.subject.plain), self.surrogate
        if surrogate is None:
            return plain

        def declared(args, dy):
            given = tuple(surrogate(tuple(self.subject.plain.merged(args)), dy))
            return (*given, *(None,) * (len(args) - len(given)))

        op = jax.custom_vjp(plain)
        op.defvjp(lambda *args: (plain(*args), args), declared)
        return op

    def hold(self, args: tuple) -> tuple:
        """The arguments, those that are held as they were given; in order."""
        names = self.subject.argument_names
        args = tuple(
            kept if (kept := self.held.get(name)) is not None and _alike(kept, arg)
            else arg
            for name, arg in zip(names, args, strict=True)
        )  # fmt: skip
        return in_order(args, self.order)


def _alike(kept, arg) -> bool:
    """Whether two arguments have the same structure and shapes."""
    a, b = (jax.tree.flatten(jax.tree.map(np.shape, tree)) for tree in (kept, arg))
    return a == b

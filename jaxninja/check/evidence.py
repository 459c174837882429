"""What the checker hands to whoever explains a wrong gradient, and what comes back.

The comparison finds that a leaf is wrong; the hint engine says why. Between the two
lies this record: float64 samples on which the rule and the truth differ, and a way to
draw another one, so that an explanation is verified on data it was not made from.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np


class Explained(Protocol):
    """The part of `Subject` that an explanation may rely on; call it under float64."""

    @property
    def kind(self) -> str: ...
    @property
    def argument_names(self) -> tuple[str, ...]: ...
    @property
    def static(self) -> tuple: ...
    @property
    def source(self) -> tuple[str, int] | None:
        """File and first line of bwd."""
        ...

    @property
    def plain(self) -> Callable[..., Any]: ...
    def fwd(self, args: tuple) -> tuple[Any, Any]: ...
    def bwd(self, residuals: Any, dy: Any) -> tuple: ...


@dataclass(frozen=True)
class Sample:
    """One call of a rule in float64.

    Attributes:
        args: the arguments, pytrees as the forward takes them.
        dy: the cotangent, of the structure of the output.
        residuals: what fwd handed to bwd.
        got: the rule's gradients, one array for each float leaf of the arguments.
        expected: the true gradients, in the same order.
        names: names of those leaves: "x", or "params['W']" within a pytree.
        residual_names, cotangent_names: of the leaves of residuals and dy, where they
            are not what the source of bwd calls them.
        label: what kind of inputs it is.
        edge: whether that kind is an edge: ties, zeros, large numbers.
        allowed: by how much each gradient may differ, where that is known.
        judged: names of the leaves that count there, where some do not.
        valid: `valid(k, gradient)`: at a kink, whether another gradient of leaf k is
            right there too, by another convention than JAX's.
    """

    args: tuple
    dy: Any
    residuals: Any
    got: tuple[np.ndarray, ...]
    expected: tuple[np.ndarray, ...]
    names: tuple[str, ...]
    residual_names: tuple[str, ...] = ()
    cotangent_names: tuple[str, ...] = ()
    label: str = ""
    edge: bool = False
    allowed: tuple[np.ndarray, ...] = ()
    judged: tuple[str, ...] | None = None
    valid: Callable[[int, np.ndarray], bool] | None = None


@dataclass(frozen=True)
class Evidence:
    """Everything known about a wrong rule.

    Attributes:
        subject: the rule, its static options bound.
        samples: samples with at least one wrong leaf, the plainest first.
        resample: `resample(seed)` draws an independent sample of the same shapes.
        alike: `alike(sample, seed)` is one of the same integers and booleans, with
            other floats.
        unit: unit round-off of the rule, larger than float64's if it casts down.
        checked: all samples of these sizes that were looked at, right ones too.
        sizes: (subject, sample) at other sizes, at which the rule is wrong too.
        declared: the gradients that were declared in place of the forward's.
        options: "axis=0": the options, or sizes, with which alone it is wrong.
        as_given: the rule with the options that it was given with, if those are others.
        settings: (subject, sample) at each other setting, its options' label on the
            sample: at other options, and at sizes where it is right.
        misled: JAX's gradient of the plain forward is not the slope of its values.
    """

    subject: Explained
    samples: tuple[Sample, ...]
    resample: Callable[[int], Sample]
    unit: float = 2.0**-53
    checked: Callable[[], tuple[Sample, ...]] = tuple
    sizes: tuple[tuple[Explained, Sample], ...] = ()
    declared: Callable[[tuple, Any], tuple] | None = None
    options: tuple[str, ...] = ()
    as_given: Explained | None = None
    misled: bool = False
    alike: Callable[[Sample, int], Sample] | None = None
    settings: Callable[[], tuple[tuple[Explained, Sample], ...]] = tuple

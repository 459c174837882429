"""The checker's own diagnosis, asked about one gradient of a learner.

The checker explains backward passes; here the forward pass is from one array to those
whose gradients are at hand, and the backward pass is the learner's lines.
"""

from functools import cached_property, partial

import numpy as np

from jaxninja.check.budget import Budget
from jaxninja.check.diagnosis.explainers import diagnose
from jaxninja.check.evidence import Evidence
from jaxninja.check.evidence import Sample as Wrong
from jaxninja.check.hints import Hint as CheckersHint
from jaxninja.workbook import samples
from jaxninja.workbook.code import snippets
from jaxninja.workbook.code.snippets import Piece
from jaxninja.workbook.diagnosis import numpy_backend
from jaxninja.workbook.diagnosis.checkers_hint import in_our_words
from jaxninja.workbook.exercise import Exercise
from jaxninja.workbook.hints import Hint, say

BUDGET = 0.8  # seconds of processor time
LITTLE = 3 * 2.0**-8  # of the largest entry, as of roundings to bfloat16


class Subject:
    """A gradient of the learner as the checker's diagnosis takes it: one argument."""

    static, kind = (), "pair"
    source = None

    def __init__(self, exercise: Exercise, name: str, piece: Piece):
        self.exercise, self.name, self.piece = exercise, name, piece
        self.argument_names = (name,)
        self.network = network = exercise.network
        self.found, self.between = exercise.sources(name)
        self.values = samples.sample(network, network.tied).values

    def plain(self, *args):
        """The arrays whose gradients are at hand, as functions of this one."""
        moved = {**self.values, self.name: args[0]}
        return self.network.recomputed(moved, self.found, self.between)

    def fwd(self, args):
        arrays = {k: a for k, a in self.values.items() if k not in self.numbers}
        asked = {k: a for k, a in arrays.items() if k in self.piece.source.parameters}
        return {name: arrays[name] for name in self.found}, asked

    def bwd(self, residuals, dy):
        """The learner's lines; dloss they cannot know, so it is multiplied in here."""
        more = {k: step(self.values, dy) for k, step in self._others.items()}
        gradient = self.piece({**residuals, **self.numbers}, {**dy, **more})
        return (gradient * dy["loss"] if self.found == {"loss"} else gradient,)

    @property
    def numbers(self) -> dict[str, int]:
        return self.network.counts(self.network.tied)

    def truth(self, dy) -> np.ndarray:
        """The gradient by the worked solution, in NumPy."""
        space = {**self.values, **{f"d{k}": g for k, g in dy.items()}}
        arrays = {k: numpy_backend.array(a) for k, a in space.items()}
        wanted = (*(f"d{k}" for k in (*self.found, "loss")),)
        body = self.exercise.worked.piece(f"d{self.name}", wanted)
        gradient = numpy_backend.run([s.node for s in body], arrays, f"d{self.name}")
        return np.asarray(gradient * dy.get("loss", 1.0))

    @cached_property
    def _others(self) -> dict[str, Piece]:
        """Gradients that the solution reads beside those that this one comes from.

        dhprebn of exercise 4 reads dbngain and dbnbias, which dhpreact decides.
        """
        solution, gradients = self.exercise.worked, self.exercise.gradients
        lines = solution.piece(f"d{self.name}", gradients)
        read = {name for line in lines for name in line.reads} - {f"d{self.name}"}
        more = read & {*gradients} - {f"d{k}" for k in self.found}
        scope = snippets.environment(solution)
        return {k[1:]: snippets.step(solution, scope, k, gradients) for k in more}


def ask(exercise: Exercise, name: str, piece: Piece) -> list[Hint]:
    """The checker's hint: a missing term, a swap, what fixes the line; or none.

    Under `jax.enable_x64(True)`.
    """
    subject = Subject(exercise, name, piece)
    try:
        evidence = Evidence(subject, (_drawn(subject, 1),), partial(_drawn, subject))
        hints = diagnose(evidence, Budget.of(BUDGET))
    except Exception:  # a diagnosis is a courtesy: without one the verdict stands
        return []
    if not hints or hints[0].statement.code == "precision":
        return _imprecise(name, evidence.samples[0])
    value = _only_value(evidence.samples[0])
    if hints[0].statement.code == "where" and value is not None:
        return [say("at one value", name=name, value=f"{value:g}")]
    return _as_hints(hints[0], subject)


def _only_value(sample: Wrong) -> float | None:
    """The one value of the array where its gradient is right, if there only.

    Where an exponential is 1, say: it is not a range of values then that is wrong.
    """
    array, ours, truth = sample.args[0], sample.got[0], sample.expected[0]
    if not array.shape == ours.shape == truth.shape:
        return None
    right = np.abs(ours - truth) <= 1e-9 * np.abs(truth).max()
    values = array[right]
    return float(values[0]) if values.size and np.ptp(values) == 0 else None


def _as_hints(hint: CheckersHint, subject: Subject) -> list[Hint]:
    text = in_our_words(hint, subject.found, subject.network.tied)
    return [say("checker", text=text)] if text else []


def _imprecise(name: str, sample: Wrong) -> list[Hint]:
    """Off by little in most entries, as by differences or by rounding."""
    ours, truth = sample.got[0], sample.expected[0]
    if ours.shape != truth.shape or not truth.any():
        return []
    gaps = np.abs(ours - truth) / np.abs(truth).max()
    if gaps.max() > LITTLE or np.mean(gaps > 1e-10) <= 0.3:
        return []
    return [say("imprecise", name=name, error=f"{gaps.max():.1g}")]


def _drawn(subject: Subject, seed: int) -> Wrong:
    """The step under a random upstream gradient."""
    args = (np.asarray(subject.values[subject.name]),)
    y, residuals = subject.fwd(args)
    rng = np.random.default_rng(seed)
    dy = {k: rng.standard_normal(np.shape(a)) for k, a in y.items()}
    got = tuple(map(np.asarray, subject.bwd(residuals, dy)))
    truth, gradients = (subject.truth(dy),), tuple(f"d{name}" for name in sorted(dy))
    named = ((subject.name,), tuple(sorted(residuals)), gradients)
    return Wrong(args, dy, residuals, got, truth, *named)

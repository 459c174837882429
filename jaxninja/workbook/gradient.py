"""One gradient on all samples, given true gradients and in the learner's own chain."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import jax
import numpy as np

from jaxninja.check.chain import INHERITED, OK, WRONG, Step, judge_step
from jaxninja.check.compare import RELATIVE
from jaxninja.check.errors import UserCodeError
from jaxninja.workbook import samples
from jaxninja.workbook.exercise import Exercise
from jaxninja.workbook.raised import did
from jaxninja.workbook.samples import Sample
from jaxninja.workbook.texts.languages import sentence


def upstream(exercise: Exercise, name: str, example: Sample) -> dict[str, Any]:
    """The true gradients that are at hand when this one's turn comes."""
    done = exercise.names[: exercise.names.index(name)]
    return {k: example.gradients[k] for k in (*exercise.given, *done)}


@dataclass
class Chain:
    """One sample and the learner's own gradients on it, as far as they have come."""

    sample: Sample
    mine: dict[str, Any]
    narrow: bool = False  # a gradient before was computed in float32, in float64's run


@dataclass
class Judged:
    """What one gradient came out as: on the sample where it is wrong, and on the first.

    `failure` is what the lines did in place of giving a gradient.
    `float64` is the largest relative error on any sample in float64, `worst` that
    sample; `first` the result on the exercise's sizes in float32. `shapes` are the
    given and the expected shape where the numbers fit another one.
    """

    step: Step
    sample: Sample
    result: Any = None
    chained: Any = None
    note: str = ""
    failure: str = ""
    float64: float | None = None
    worst: Sample | None = None
    first: Any = None
    shapes: tuple[tuple[int, ...], tuple[int, ...]] | None = None

    @property
    def right(self) -> bool:
        return self.step.verdict == OK

    @property
    def rank(self) -> int:
        """How bad: a gradient that is wrong by itself on one sample is wrong."""
        return (OK, INHERITED, WRONG).index(self.step.verdict)


def examples(exercise: Exercise) -> Iterator[Sample]:
    """The sizes it is about in float32; a batch of two, ties and probes, in float64."""
    network = exercise.network
    with jax.enable_x64(False):
        first = samples.home(network)
    yield first
    probed = [(network.tied, "float64", probe) for probe in exercise.probes]
    for point in ((network.pair,), (network.tied,), *probed):
        with jax.enable_x64(True):
            found = samples.sample(network, *point)
        yield found


def chains(exercise: Exercise) -> list[Chain]:
    """A chain for each sample that an exercise is checked on."""
    return [_chain(exercise, sample) for sample in examples(exercise)]


def _chain(exercise: Exercise, sample: Sample) -> Chain:
    """What is given, and at a probe the gradient that is put in."""
    given = {k: sample.truth[k] for k in exercise.given if k in sample.truth}
    return Chain(sample, given)


def judge(
    exercise: Exercise,
    name: str,
    piece,
    chains: list[Chain],
    measure: bool = True,
    everywhere: bool = False,
) -> Judged:
    """The first sample on which the gradient is wrong, else the first.

    Once wrong, it is looked at on the other samples only to `measure` its error, and if
    it raised only if it is wanted `everywhere`, for the gradients after it.
    """
    found, errors, note = None, [], ""
    for chain in chains:
        sample = chain.sample
        if name not in sample.truth or name == sample.probe:
            pass_on(chain, name)
            continue
        with jax.enable_x64(sample.dtype == "float64"):
            judged = on(exercise, name, piece, chain)
        note = note or judged.note
        if sample.dtype == "float64" and np.isfinite(judged.step.maxdiff):
            errors.append((judged.step.maxdiff / sample.scale(name), sample))
        if sample.is_probed:  # given true gradients only: ties have two truths
            chain.mine[name] = sample.truth[name]
        if found is None or judged.rank > found.rank:
            first = judged.result if found is None else found.first
            found = replace(judged, first=first)
        seen = not found.right and (found.result is None or not measure)
        if seen and not everywhere:
            break
    assert found is not None
    nothing = (None, None)
    error, worst = max(errors, key=lambda pair: pair[0], default=nothing)
    return replace(found, float64=error, worst=worst, note=note)


def pass_on(chain: Chain, name: str) -> None:
    """Below a probe, or at it: the gradient is what it is, and not the learner's."""
    chain.mine[name] = chain.sample.gradients[name]


def on(exercise: Exercise, name: str, piece, chain: Chain) -> Judged:
    """One gradient on one sample, given true gradients and in the learner's chain."""
    sample, results, failed = chain.sample, [], []

    def recorded(values, grads):
        same = results and all(grads[k] is true.get(k) for k in grads)
        try:
            new = results[0] if same else _as_array(name, piece(values, grads))
        except Exception as error:
            failed.append(did(error))
            raise
        results.append(new)
        return fitted(results[-1], expected)

    true = upstream(exercise, name, sample)
    expected, scale = sample.truth[name], sample.scale(name)

    def compared(expected, rtol=None):
        results.clear()
        return judge_step(
            name, recorded, sample.values, true, chain.mine, expected, rtol, scale
        )

    step, note = compared(expected), ""
    for other in sample.ties.get(name, ()):
        step = compared(other) if step.verdict == WRONG else step
    if step.verdict == WRONG and sample.dtype == "float64" and _is_float32(results):
        step, note = compared(expected, RELATIVE["float32"]), sentence("float32")
        chain.narrow = True
    if step.verdict == INHERITED and chain.narrow:
        step = compared(expected, RELATIVE["float32"])
    given, chained = results if len(results) == 2 else (None, None)
    shapes, failure = _other_shape(given, expected), "".join(failed[-1:])
    return Judged(step, sample, given, chained, note, failure, shapes=shapes)


def _other_shape(result: Any, like: Any) -> tuple | None:
    """Both shapes, where the result's is another that fits."""
    if result is None or np.shape(result) == np.shape(like):
        return None
    shapes = np.shape(result), np.shape(like)
    return shapes if _same_but_ones(*shapes) else None


def fitted(result: Any, like: Any) -> Any:
    """An array in another's shape, if no more than axes of length one are between.

    So `x.sum(0)` is compared by its numbers where the forward pass has keepdims, and
    the gradients after it are checked.
    """
    if _other_shape(result, like) is None:
        return result
    return np.asarray(result).reshape(np.shape(like))


def _same_but_ones(*shapes: tuple[int, ...]) -> bool:
    one, other = ([size for size in shape if size != 1] for shape in shapes)
    return one == other


def _as_array(name: str, result):
    """None passes, and is reported as None; a string, a tuple, a list is refused."""
    if isinstance(result, tuple | list | dict):
        facts = dict(kind=type(result).__name__, count=len(result))
        key = "many arrays" if len(result) > 1 else "no arrays"
        raise _no_array(name, sentence(key, **facts))
    try:
        np.asarray(0.0 if result is None else result).astype(float)
    except (TypeError, ValueError):
        what = sentence("no array", kind=type(result).__name__)
        raise _no_array(name, what) from None
    return result


def _no_array(name: str, did: str) -> UserCodeError:
    return UserCodeError("E-RAISE", f"d{name} {did}", None, f"d{name}", did)


def _is_float32(results: list) -> bool:
    return bool(results) and str(getattr(results[0], "dtype", "")) == "float32"

"""What was found of one gradient, as a row of the report."""

from dataclasses import replace
from typing import Any

import numpy as np

from jaxninja.check.chain import INHERITED, OK, WRONG
from jaxninja.check.compare import wide
from jaxninja.workbook.closeness import Rung, cmp, ladder
from jaxninja.workbook.code.parse import Source
from jaxninja.workbook.gradient import Judged, fitted
from jaxninja.workbook.report import SHAPE, Row
from jaxninja.workbook.samples import Sample
from jaxninja.workbook.texts.languages import phrase, sentence, stopped


def row(name: str, judged: Judged, learner: Source, first: Sample) -> Row:
    """The row of a judged gradient; `first` is of the exercise's sizes."""
    line = learner.assigning(f"d{name}")[-1].line
    verdict, mine, sample = judged.step.verdict, judged.result, judged.sample
    if mine is None:
        line = _raised_at(judged, learner, line)
        return Row(name, WRONG, line, note=_raised(name, judged))
    if verdict == INHERITED:  # show how far the error of another one has come
        mine = judged.chained
    truth = sample.truth[name]
    compared = cmp(name, fitted(mine, truth), truth, sample.scale(name))
    if verdict == OK and judged.shapes:
        note = _shapes(*judged.shapes)
        return Row(name, SHAPE, line, compared, _rungs(name, judged, first), note)
    rungs, note = _rungs(name, judged, first), judged.note
    if verdict != OK:
        compared = replace(compared, approximate=False)
    if verdict == WRONG:
        note = _wrongness(name, judged)
    return Row(name, verdict, line, compared, rungs, note)


def _shapes(given: tuple[int, ...], expected: tuple[int, ...]) -> str:
    """That the numbers are right, and what makes of one shape the other."""
    text = sentence("other shape", given=list(given), expected=list(expected))
    if len(given) < len(expected):
        return sentence("other shape, short", text=text)
    longer = len(given) > len(expected)
    return sentence("other shape, long", text=text) if longer else text


def _raised(name: str, judged: Judged) -> str:
    """What the learner's line raised, or that it is None, in few words."""
    failure = f"d{name} {judged.failure}"
    text = failure if judged.failure else sentence("is None", name=name)
    sizes, home = judged.sample.sizes, judged.sample.is_home
    return text if home else sentence("at sizes", text=text, sizes=sizes)


def _raised_at(judged: Judged, learner: Source, line: int) -> int:
    """The learner's line that raised, else the one that assigns the gradient."""
    file, _, number = (judged.step.where or "").rpartition(":")
    return int(number) if file == learner.filename else line


def _rungs(name: str, judged: Judged, first: Sample) -> tuple[Rung, ...]:
    """The ladder on the exercise's sizes, unless it is elsewhere that nothing fits."""
    mine, sample = judged.first, first
    here = np.shape(wide(judged.result)) == np.shape(judged.sample.truth[name])
    if mine is None or name not in first.truth or not here:
        mine, sample = judged.result, judged.sample
    truth, scale = sample.truth[name], sample.scale(name)
    worst = judged.worst.place if judged.worst else ""
    rungs = ladder(mine, truth, scale, judged.float64, judged.note, worst)
    return rungs if judged.sample is first else (_where(sample, first), *rungs)


def _where(sample: Sample, first: Sample) -> Rung:
    """What the ladder is of, where the line above it is of another sample."""
    if sample is first:
        whose = phrase(sample.network.whose)
        return Rung("sizes", whose, sentence("near right here"), True)
    return Rung("sizes", sample.place, sentence("near wrong here"), False)


def _wrongness(name: str, judged: Judged) -> str:
    sample = judged.sample
    text = sentence("given", name=name)
    if not sample.is_home:
        whose, place = phrase(sample.network.whose), sample.place
        text = sentence("given elsewhere", text=text, whose=whose, place=place)
    if not np.isfinite(wide(judged.result)).all():
        text = sentence("given not finite", text=text)
    return stopped(text)


def picture(name: str, judged: Judged) -> dict[str, Any] | None:
    """Mine and truth on the sample that was judged, as lists."""
    truth = wide(judged.sample.truth[name])
    mine = None if judged.result is None else wide(judged.result)
    if mine is None or mine.shape != truth.shape:
        return None
    flat = (truth.shape[0] if truth.ndim > 1 else 1, -1)
    return {
        "name": name,
        "mine": mine.reshape(flat).tolist(),
        "truth": truth.reshape(flat).tolist(),
    }

"""The check of an exercise: backwards, each gradient twice, to the first wrong one.

Each gradient is computed from the true gradients before it, and from the learner's own.
A gradient that is wrong on true ones is wrong by itself; wrong on the learner's alone,
it has inherited its error. It runs the learner's code: `worker` calls it in a process
of its own.
"""

import re
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import jax
import numpy as np

from jaxninja.check.compare import RELATIVE, wide
from jaxninja.check.errors import UserCodeError, running
from jaxninja.check.steps import INHERITED, OK, WRONG, Step, judge_step
from jaxninja.workbook import diagnosis, samples, source
from jaxninja.workbook.exercises import EXERCISES, Exercise
from jaxninja.workbook.graph import downstream
from jaxninja.workbook.report import GAP, Report, Row
from jaxninja.workbook.samples import Sample
from jaxninja.workbook.source import FUNCTION, Source, SourceError
from jaxninja.workbook.verdict import cmp, ladder

Grads = dict[str, Any]


@dataclass
class Chain:
    """One sample and the learner's own gradients on it, as far as they have come."""

    sample: Sample
    mine: Grads
    narrow: bool = False  # a gradient before was computed in float32, in float64's run


@dataclass
class Judged:
    """What one gradient came out as: on the sample where it is wrong, and on the first.

    `float64` is the largest relative error there; `first` the result on the lecture's
    sizes in float32.
    """

    step: Step
    sample: Sample
    result: Any = None
    chained: Any = None
    note: str = ""
    float64: float | None = None
    first: Any = None


Tell = Callable[[str, int], None]


def check(
    number: int,
    text: str,
    filename: str,
    everything: bool = False,
    tell: Tell = lambda name, line: None,
    explain: bool = True,
) -> Report:
    """Check a learner's file for one exercise.

    Args:
        number: of the exercise, 1 to 4.
        text, filename: of the learner's file.
        everything: go on after the first wrong gradient, on the lecture's sizes.
        tell: hears which gradient is about to be run, and its line.
        explain: look for the mistake behind a wrong gradient.
    """
    start = time.perf_counter()
    exercise = EXERCISES[number]
    try:
        learner = source.read(text, filename)
        source.check_parameters(learner, exercise.known)
        tell("", 0)
        with running("the file"):
            scope = source.environment(learner)
        report = _check(exercise, learner, scope, everything, tell, explain)
    except SourceError as error:
        report = Report(number, filename, "error", (), error.sentence, error.line)
    except UserCodeError as error:
        line = _line_of(error.where)
        report = Report(number, filename, "error", (), error.sentence, line)
    except SystemExit:
        report = Report(
            number, filename, "error", (), "the file ends Python: no exit()"
        )
    return replace(report, seconds=round(time.perf_counter() - start, 4))


def _check(
    exercise: Exercise, learner: Source, scope, everything, tell, explain
) -> Report:
    if (unwritten := _unwritten(exercise, learner, exercise.names[0])) is not None:
        return _stopped(exercise, learner, [], unwritten)
    chains = [_chain(exercise, s) for s in _samples(exercise)]
    bad_lines = source.out_of_order(learner, exercise.gradients)
    rows: list[Row] = []
    for name in exercise.names:
        variable = f"d{name}"
        if (unwritten := _unwritten(exercise, learner, name)) is not None:
            return _stopped(exercise, learner, rows, unwritten)
        piece = source.step(learner, scope, variable, exercise.gradients)
        lines = [s.line for s in learner.piece(variable, exercise.gradients)]
        early = next((n for n in lines if n in bad_lines), None)
        if early is not None:
            row = Row(name, WRONG, early, note=bad_lines[early])
            return _wrong(exercise, learner, [*rows, row], ())
        tell(name, lines[-1])
        judged = _judge(exercise, name, piece, chains)
        rows.append(_row(name, judged, learner, chains[0].sample))
        if rows[-1].status == WRONG:
            hints = _hints(exercise, name, piece, rows[-1], judged) if explain else ()
            if everything:
                rows += _rest(exercise, name, learner, scope, chains[0])
            report = _wrong(exercise, learner, rows, hints)
            report = replace(report, unreliable=() if everything else report.unreliable)
            return replace(report, picture=_picture(name, judged))
    tell(FUNCTION, learner.function.lineno)
    report = _called(exercise, learner, scope, rows, chains)
    return replace(report, picture=_picture(exercise.names[-1], judged))


def _samples(exercise: Exercise) -> list[Sample]:
    """The lecture's sizes in float32; a batch of two, and ties, in float64."""
    with jax.enable_x64(False):
        first = samples.sample(samples.LECTURE, "float32")
    with jax.enable_x64(True):
        rest = [samples.sample(s) for s in (samples.PAIR, samples.TIED)]
        probed = [
            samples.sample(samples.TIED, "float64", probe) for probe in exercise.probes
        ]
    return [first, *rest, *probed]


def _chain(exercise: Exercise, sample: Sample) -> Chain:
    """What is given, and at a probe the gradient that is put in."""
    given = {k: sample.truth[k] for k in exercise.given if k in sample.truth}
    return Chain(sample, given)


def _unwritten(exercise: Exercise, learner: Source, name: str) -> Row | None:
    variable = f"d{name}"
    lines = [s.line for s in learner.assigning(variable)]
    if not lines:
        note = f"no line assigns {variable}: write `{variable} = ...`"
        return Row(name, GAP, learner.function.lineno, note=note)
    if learner.is_gap(variable):
        how = f"`jaxninja exercise hint {exercise.number}.{name}` helps"
        note = f"{variable} is still {_blank(learner, variable)}: it comes next; {how}"
        return Row(name, GAP, lines[0], note=note)
    return None


def _blank(learner: Source, variable: str) -> str:
    value = getattr(learner.assigning(variable)[0].node, "value", None)
    return "..." if getattr(value, "value", None) is ... else "None"


def _stopped(exercise: Exercise, learner: Source, rows: list[Row], row: Row) -> Report:
    file, number = learner.filename, exercise.number
    return Report(number, file, GAP, (*rows, row), row.note, row.line)


def _judge(exercise: Exercise, name: str, piece, chains: list[Chain]) -> Judged:
    """The first sample on which the gradient is wrong, else the lecture's.

    Wrong in float32, it is looked at in float64 as well, for the size of the error.
    """
    found, errors, note = None, [], ""
    for chain in chains:
        sample = chain.sample
        if name not in sample.truth or name == sample.probe:
            _pass_on(chain, name)
            continue
        with jax.enable_x64(sample.dtype == "float64"):
            judged = _on(exercise, name, piece, chain)
        note = note or judged.note
        if sample.dtype == "float64":
            errors.append(judged.step.maxdiff / sample.scale(name))
        if sample.probe != "loss":  # given true gradients only: ties have two truths
            chain.mine[name] = sample.truth[name]
        if found is None or found.step.verdict == OK != judged.step.verdict:
            first = judged if found is None else found
            found = replace(judged, first=first.result if found else judged.result)
        if found.step.verdict != OK and (errors or found.result is None):
            break
    assert found is not None
    return replace(found, float64=max(errors, default=None), note=note)


def _pass_on(chain: Chain, name: str) -> None:
    """Below a probe, or at it: the gradient is what it is, and not the learner's."""
    chain.mine[name] = chain.sample.gradients[name]


def _on(exercise: Exercise, name: str, piece, chain: Chain) -> Judged:
    """One gradient on one sample, given true gradients and in the learner's chain."""
    sample, results = chain.sample, []

    def recorded(values, grads):
        results.append(_as_array(name, piece(values, grads)))
        return results[-1]

    true = diagnosis.upstream(exercise, name, sample)
    expected, scale = sample.truth[name], sample.scale(name)

    def judge(expected, rtol=None):
        results.clear()
        return judge_step(
            name, recorded, sample.values, true, chain.mine, expected, rtol, scale
        )

    step, note = judge(expected), ""
    if step.verdict == WRONG and name in sample.ties:
        step = judge(sample.ties[name])
    if step.verdict == WRONG and sample.dtype == "float64" and _is_float32(results):
        step, note = judge(expected, RELATIVE["float32"]), "float32 by its own dtype"
        chain.narrow = True
    if step.verdict == INHERITED and chain.narrow:
        step = judge(expected, RELATIVE["float32"])
    given, chained = results if len(results) == 2 else (None, None)
    return Judged(step, sample, given, chained, note)


def _as_array(name: str, result):
    """None passes, and is told as what it is; a string or a ragged list is refused."""
    try:
        np.asarray(0.0 if result is None else result).astype(float)
    except (TypeError, ValueError):
        what = f"d{name} is of type {type(result).__name__}, expected an array"
        raise UserCodeError("E-RAISE", what, None) from None
    return result


def _is_float32(results: list) -> bool:
    return bool(results) and str(getattr(results[0], "dtype", "")) == "float32"


def _row(name: str, judged: Judged, learner: Source, first: Sample) -> Row:
    line = learner.assigning(f"d{name}")[-1].line
    verdict, mine, sample = judged.step.verdict, judged.result, judged.sample
    if mine is None:
        line = _raised_at(judged, learner, line)
        return Row(name, WRONG, line, note=_raised(name, judged))
    compared = cmp(name, mine, sample.truth[name], sample.scale(name))
    rungs, note = _rungs(name, judged, first), judged.note
    if verdict != OK:
        compared = replace(compared, approximate=False)
    if verdict == WRONG:
        note = _wrongness(name, judged)
    return Row(name, verdict, line, compared, rungs, note)


def _raised(name: str, judged: Judged) -> str:
    """What the learner's line raised, or that it is None, in few words."""
    text = judged.step.note.replace(f"the step of {name} ", f"d{name} ")
    if text == "the step returns None":
        return f"d{name} is None"
    text = re.sub(r" at \S+:\d+: ", ": ", text)
    sizes = judged.sample.sizes
    return text if sizes == samples.LECTURE else f"{text} (sizes {sizes})"


def _raised_at(judged: Judged, learner: Source, line: int) -> int:
    """The learner's line that raised, else the one that assigns the gradient."""
    file, _, number = (judged.step.where or "").rpartition(":")
    return int(number) if file == learner.filename else line


def _rungs(name: str, judged: Judged, first: Sample) -> tuple:
    """The ladder on the lecture's sizes, unless it is elsewhere that nothing fits."""
    mine, sample = judged.first, first
    here = np.shape(wide(judged.result)) == np.shape(judged.sample.truth[name])
    if mine is None or name not in first.truth or not here:
        mine, sample = judged.result, judged.sample
    truth, scale = sample.truth[name], sample.scale(name)
    return ladder(mine, truth, scale, judged.float64, judged.note)


def _wrongness(name: str, judged: Judged) -> str:
    sample = judged.sample
    text = f"d{name} is wrong by itself: the gradients before it were given, and true"
    if sample.sizes != samples.LECTURE:
        text += f" (within 1e-5 for the lecture's sizes, wrong for {sample.sizes}"
        text += "" if sample.probe == "loss" else f", d{sample.probe} random"
        text += ")"
    if not np.isfinite(wide(judged.result)).all():
        text += "; it is not finite"
    return text + "."


def _hints(exercise, name, piece, row: Row, judged: Judged) -> tuple[str, ...]:
    if row.compared is None:
        return ()
    with jax.enable_x64(True):
        return tuple(diagnosis.why(exercise, name, piece, judged.result))


def _rest(exercise, wrong: str, learner, scope, chain: Chain) -> list[Row]:
    """The other gradients on the lecture's sizes: inherited errors told from own ones.

    The wrong gradient was replaced by the true one only if nothing could run on it.
    """
    rows = []
    for name in exercise.names[exercise.names.index(wrong) + 1 :]:
        unwritten = _unwritten(exercise, learner, name)
        if unwritten is not None:
            return [*rows, unwritten]
        piece = source.step(learner, scope, f"d{name}", exercise.gradients)
        with jax.enable_x64(False):
            judged = _on(exercise, name, piece, chain)
        if judged.step.verdict == INHERITED:  # show how far its error has come
            judged = replace(judged, result=judged.chained)
        rows.append(_row(name, judged, learner, chain.sample))
    return rows


def _wrong(exercise, learner, rows, hints) -> Report:
    row = next(row for row in rows if row.status == WRONG)
    names = [k for k in downstream(row.name) if k in exercise.names]
    return Report(
        exercise.number,
        learner.filename,
        WRONG,
        tuple(rows),
        row.note,
        row.line,
        tuple(hints),
        tuple(names),
    )


def _called(exercise, learner: Source, scope, rows, chains) -> Report:
    """All gradients are right: is what `backward` returns the ones it should?"""
    sample = chains[0].sample
    upstream = {k: sample.truth[k] for k in exercise.given}
    with jax.enable_x64(False), running(FUNCTION):
        returned = source.whole(learner, scope)(sample.values, upstream)
    problem = _misreturned(exercise, returned, chains[0].mine)
    end = learner.function.body[-1].lineno
    if problem:
        file, number = learner.filename, exercise.number
        return Report(number, file, "error", tuple(rows), problem, end)
    message = f"Exercise {exercise.number} is done: {len(rows)} of {len(rows)} right."
    return Report(exercise.number, learner.filename, OK, tuple(rows), message)


def _misreturned(exercise: Exercise, returned: Any, mine: Grads) -> str | None:
    names = [f"d{k}" for k in exercise.returns]
    expected = f"{FUNCTION} should return {', '.join(names)}"
    if returned is None:
        return f"{expected}; it returns None: is there a return at its end?"
    if len(names) == 1 and not isinstance(returned, tuple | list):
        returned = (returned,)
    if not isinstance(returned, tuple | list):
        return f"{expected}; it returns a {type(returned).__name__}"
    if len(returned) != len(names):
        return f"{expected}: a tuple of {len(names)}; it returns {len(returned)}"
    for name, value, key in zip(names, returned, exercise.returns, strict=True):
        right = np.shape(value) == np.shape(mine[key]) and np.allclose(
            value, mine[key], rtol=1e-4, atol=1e-6
        )
        if not right:
            return f"{expected}; what it returns for {name} is not the {name} above"
    return None


def _picture(name: str, judged: Judged) -> dict[str, Any] | None:
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


def _line_of(where: str | None) -> int | None:
    return int(where.rsplit(":", 1)[1]) if where else None

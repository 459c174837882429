"""The check of an exercise: backwards, each gradient twice, to the first wrong one.

Each gradient is computed from the true gradients before it, and from the learner's own.
A gradient that is wrong on true ones is wrong by itself; wrong on the learner's alone,
it has inherited its error. It runs the learner's code: `worker` calls it in a process
of its own.
"""

import re
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Any

import jax
import numpy as np

from jaxninja.check.errors import UserCodeError, running
from jaxninja.check.steps import INHERITED, OK, WRONG
from jaxninja.workbook import diagnosis, judging, pieces, samples, source
from jaxninja.workbook.asides import Asides
from jaxninja.workbook.exercises import EXERCISES, Exercise
from jaxninja.workbook.graph import downstream
from jaxninja.workbook.judging import Chain, Judged
from jaxninja.workbook.report import GAP, Report, Row
from jaxninja.workbook.rows import picture, row
from jaxninja.workbook.source import FUNCTION, Source, SourceError

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
        explain: measure a wrong gradient's error in float64, and look for the mistake.
    """
    start, rows = time.perf_counter(), []
    exercise = EXERCISES[number]
    try:
        learner = source.read(text, filename)
        source.check_parameters(learner, exercise.known)
        tell("", 0)
        with running("the file"):
            scope = pieces.environment(learner)
        report = _check(exercise, learner, scope, rows, everything, tell, explain)
    except (SourceError, UserCodeError, SystemExit, KeyboardInterrupt) as error:
        what, line = _told(error, filename)
        report = Report(number, filename, "error", tuple(rows), what, line)
    return replace(report, seconds=round(time.perf_counter() - start, 4))


def _told(error: BaseException, filename: str) -> tuple[str, int | None]:
    """What stops a check, and in which line of the learner's."""
    if isinstance(error, SourceError):
        return error.sentence, error.line
    frames = traceback.extract_tb((error.__cause__ or error).__traceback__)
    lines = [frame.lineno for frame in frames if frame.filename == filename]
    line = lines[-1] if lines else None
    if isinstance(error, UserCodeError):
        return re.sub(r" at \S+:\d+: ", ": ", error.sentence), line
    name = type(error).__name__
    return f"{name} ends Python, and the check with it: take it out", line


def prepared() -> Iterator[samples.Sample]:
    """Make the samples that the exercises are checked on, one at each step."""
    for exercise in EXERCISES.values():
        yield from judging.examples(exercise)


def _check(
    exercise: Exercise, learner: Source, scope, rows, everything, tell, explain
) -> Report:
    unwritten = _unwritten(exercise, learner, exercise.names[0])
    if unwritten is not None and not learner.asides:
        return _stopped(exercise, learner, [], unwritten)
    chains = judging.chains(exercise)
    bad_lines = source.out_of_order(learner, exercise.gradients)
    asides = Asides(exercise, learner, scope, chains[0], tell)
    asides.run()
    for name in exercise.names:
        variable = f"d{name}"
        if (unwritten := _unwritten(exercise, learner, name)) is not None:
            return _stopped(exercise, learner, rows, unwritten)
        piece = pieces.step(learner, scope, variable, exercise.gradients)
        lines = [s.line for s in learner.piece(variable, exercise.gradients)]
        early = next((n for n in lines if n in bad_lines), None)
        if early is not None:
            rows.append(Row(name, WRONG, early, note=bad_lines[early]))
            return _wrong(exercise, learner, rows, ())
        tell(name, lines[-1])
        if note := _not_by_hand(exercise, name, piece, chains):
            rows.append(Row(name, WRONG, lines[-1], note=note))
            return _wrong(exercise, learner, rows, ())
        asides.inside(piece)
        judged = judging.judge(exercise, name, piece, chains, explain)
        rows.append(row(name, judged, learner, chains[0].sample))
        asides.after(name, judged)
        if rows[-1].status == WRONG:
            tell("", 0)  # the diagnosis takes its own time, not the learner's
            hints = _hints(exercise, name, piece, rows[-1], judged) if explain else ()
            if everything:
                rows += _rest(exercise, name, learner, scope, chains[0])
            report = _wrong(exercise, learner, rows, hints)
            report = replace(report, unreliable=() if everything else report.unreliable)
            return replace(report, picture=picture(name, judged))
    tell(FUNCTION, learner.function.lineno)
    report = _called(exercise, learner, scope, rows, chains)
    return replace(report, picture=picture(exercise.names[-1], judged))


def _not_by_hand(exercise: Exercise, name: str, piece, chains) -> str | None:
    """That the lines of a gradient use autodiff, if they do, and what to do instead."""
    small = next(chain.sample for chain in chains if chain.sample.sizes == samples.PAIR)
    with jax.enable_x64(True):
        found = piece.not_by_hand(small.values, judging.upstream(exercise, name, small))
    if found is None:
        return None
    return (
        f"d{name} {found}. It may well be right, but here it is to be derived by hand: "
        f"`jaxninja exercise hint {exercise.number}.{name}` helps"
    )


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


def _stopped(exercise: Exercise, learner: Source, rows: list[Row], gap: Row) -> Report:
    file, number = learner.filename, exercise.number
    return Report(number, file, GAP, (*rows, gap), gap.note, gap.line)


def _hints(exercise, name, piece, wrong: Row, judged: Judged) -> tuple[str, ...]:
    if wrong.compared is None:
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
        piece = pieces.step(learner, scope, f"d{name}", exercise.gradients)
        with jax.enable_x64(False):
            judged = judging.on(exercise, name, piece, chain)
        if judged.step.verdict == INHERITED:  # show how far its error has come
            judged = replace(judged, result=judged.chained)
        rows.append(row(name, judged, learner, chain.sample))
    return rows


def _wrong(exercise, learner, rows, hints) -> Report:
    guilty = next(found for found in rows if found.status == WRONG)
    names = [k for k in downstream(guilty.name) if k in exercise.names]
    return Report(
        exercise.number,
        learner.filename,
        WRONG,
        tuple(rows),
        guilty.note,
        guilty.line,
        tuple(hints),
        tuple(names),
    )


def _called(exercise, learner: Source, scope, rows, chains) -> Report:
    """All gradients are right: is what `backward` returns the ones it should?"""
    sample = chains[0].sample
    upstream = {k: sample.truth[k] for k in exercise.given}
    function = pieces.whole(learner, scope)
    with jax.enable_x64(False), running(FUNCTION):
        returned = _returned(learner, scope, function, chains[0], upstream)
        hidden = function.not_by_hand(sample.values, upstream)
    problem = _misreturned(exercise, returned, chains[0].mine)
    if hidden and not problem:
        problem = f"{FUNCTION} {hidden}: derive it by hand"
    end = learner.function.body[-1].lineno
    if problem:
        file, number = learner.filename, exercise.number
        return Report(number, file, "error", tuple(rows), problem, end)
    message = f"Exercise {exercise.number} is done: {len(rows)} of {len(rows)} right."
    return Report(exercise.number, learner.filename, OK, tuple(rows), message)


def _returned(learner: Source, scope, function, chain: Chain, upstream) -> Any:
    """What the function returns. All its lines have run by now, and to run them again
    compiles each operation unless JAX can trace them: then `return` alone has to do."""
    values = chain.sample.values
    if learner.returns and not function.traces(values, upstream):
        known = {f"d{name}": gradient for name, gradient in chain.mine.items()}
        with suppress(NameError):
            return pieces.returned(learner, scope, {**values, **known})
    return function(values, upstream)


def _misreturned(exercise: Exercise, returned: Any, mine: dict[str, Any]) -> str | None:
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

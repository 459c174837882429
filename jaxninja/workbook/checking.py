"""The check of an exercise: backwards, each gradient twice, to the first wrong one.

Each gradient is computed from the true gradients before it, and from the learner's own.
A gradient that is wrong on true ones is wrong by itself; wrong on the learner's alone,
it has inherited its error. It runs the learner's code: `worker` calls it in a process
of its own.
"""

import re
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import jax

from jaxninja.check.errors import UserCodeError, running
from jaxninja.check.steps import INHERITED, WRONG
from jaxninja.workbook import diagnosis, judging, pieces, returning, samples, source
from jaxninja.workbook.asides import Asides
from jaxninja.workbook.exercises import EXERCISES, Exercise
from jaxninja.workbook.graph import downstream
from jaxninja.workbook.judging import Chain, Judged
from jaxninja.workbook.report import GAP, Report, Row
from jaxninja.workbook.returning import line_in
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
    line = line_in(filename, error.__cause__ or error)
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
    report = returning.checked(exercise, learner, scope, rows, chains[0])
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

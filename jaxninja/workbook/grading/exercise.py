"""The check of an exercise: backwards, each gradient twice, to the first wrong one.

Each gradient is computed from the true gradients before it, and from the learner's own.
A gradient that is wrong on true ones is wrong by itself; wrong on the learner's alone,
it has inherited its error. It runs the learner's code: `worker` calls it in a process
of its own.
"""

import difflib
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import jax
import numpy as np

from jaxninja.check.errors import UserCodeError, running
from jaxninja.workbook import gradient, samples
from jaxninja.workbook.code import parse, refused_names, snippets
from jaxninja.workbook.code.parse import FUNCTION, Source, SourceError
from jaxninja.workbook.code.past_the_end import reads_past_the_end
from jaxninja.workbook.code.snippets import Piece
from jaxninja.workbook.diagnosis import causes, jacobians
from jaxninja.workbook.exercise import Exercise
from jaxninja.workbook.exercises import EXERCISES
from jaxninja.workbook.gradient import Judged
from jaxninja.workbook.grading import returned
from jaxninja.workbook.grading.prints import Prints
from jaxninja.workbook.grading.returned import line_in
from jaxninja.workbook.grading.rows import picture, row
from jaxninja.workbook.hints import Hint
from jaxninja.workbook.raised import did
from jaxninja.workbook.report import GAP, SHAPE, WRONG, Report, Row
from jaxninja.workbook.texts.languages import phrase, sentence, speaking
from jaxninja.workbook.texts.wrapping import unspaced

THE_FILE = "the file"
Tell = Callable[[str, int], None]
Done = Callable[[Row], None]


def check(
    number: int,
    text: str,
    filename: str,
    everything: bool = False,
    tell: Tell = lambda name, line: None,
    explain: bool = True,
    done: Done = lambda row: None,
    language: str = "en",
) -> Report:
    """Check a learner's file for one exercise.

    Args:
        number: of the exercise.
        text, filename: of the learner's file.
        everything: go on after the first wrong gradient.
        tell: hears which gradient is about to be run, and its line.
        done: hears the row of each gradient that was judged.
        explain: measure a wrong gradient's error in float64, and look for the mistake.
        language: of the report.
    """
    start = time.perf_counter()
    with speaking(language):
        report = _report(number, text, filename, everything, tell, explain, done)
    seconds = round(time.perf_counter() - start, 4)
    return replace(report, seconds=seconds, language=language)


def _report(number, text, filename, everything, tell, explain, done) -> Report:
    rows, exercise = [], EXERCISES[number]
    try:
        learner = parse.read(text, filename)
        parse.check_parameters(learner, exercise.known)
        refused_names.refuse(learner.tree)
        snippets.make_quotable(learner)
        tell(THE_FILE, 1)
        with running(THE_FILE):
            scope = snippets.environment(learner)
        tell("", 0)  # the true gradients take their own time
        return _gap(exercise, learner) or _Check(
            exercise, learner, scope, rows, tell, explain, done
        ).report(everything)
    except (SourceError, UserCodeError, SystemExit, KeyboardInterrupt) as error:
        what, line = _what_stopped(error, filename)
        return Report(number, filename, "error", tuple(rows), what, line)


def _what_stopped(error: BaseException, filename: str) -> tuple[str, int | None]:
    """What stops a check, and in which line of the learner's."""
    if isinstance(error, SourceError):
        return error.sentence, error.line
    line = line_in(filename, error.__cause__ or error)
    if isinstance(error, UserCodeError):
        return unspaced(f"{phrase(error.what)} {did(error)}".strip()), line
    return sentence("exits", kind=type(error).__name__), line


def prepared(number: int = 1) -> Iterator[samples.Sample]:
    """Make the samples that an exercise and the next are checked on, one a step."""
    for exercise in map(EXERCISES.get, (number, number + 1)):
        if exercise is not None:
            yield from gradient.examples(exercise)


class _Check:
    """A learner's gradients one after the other, down to the first that stops it."""

    def __init__(
        self, exercise: Exercise, learner: Source, scope, rows, tell, explain, done
    ):
        self.exercise, self.learner, self.scope = exercise, learner, scope
        self.rows, self.tell, self.explain, self.done = rows, tell, explain, done
        self.chains = gradient.chains(exercise)
        self.prints = Prints(exercise, learner, scope, self.chains[0], tell)
        self.bad_lines = parse.out_of_order(learner, exercise.gradients)
        self.picture: dict[str, Any] | None = None
        self.jacobian: dict[str, Any] | None = None
        self.hints: tuple[Hint, ...] = ()

    def report(self, everything: bool) -> Report:
        """The report; with `everything` a wrong gradient is no end."""
        self.prints.run()
        gap = None
        for name in self.exercise.names:
            gap = _unwritten(self.exercise, self.learner, name)
            if gap is not None:
                break
            self._judge(name, everything)
            if self.rows[-1].status == WRONG and not everything:
                break
        drawn = {"picture": self.picture, "jacobian": self.jacobian}
        return replace(self._found(gap, everything), **drawn)

    def _found(self, gap: Row | None, everything: bool) -> Report:
        """What the rows say, and the gap that ended them."""
        wrong = any(row.status == WRONG for row in self.rows)
        if wrong:
            rows = [*self.rows, *([gap] if gap else [])]
            report = _wrong(self.exercise, self.learner, rows, self.hints)
            return replace(report, unreliable=()) if everything else report
        if gap is not None:
            return _stopped(self.exercise, self.learner, self.rows, gap)
        if any(row.status == SHAPE for row in self.rows):
            return _misshapen(self.exercise, self.learner, self.rows)
        self.tell(FUNCTION, self.learner.function.lineno)
        given = (self.exercise, self.learner, self.scope, self.rows, self.chains[0])
        return returned.checked(*given)

    def _judge(self, name: str, everything: bool) -> None:
        """Add the row of a gradient; explain it, if it is the first wrong one."""
        exercise, learner = self.exercise, self.learner
        piece = snippets.step(learner, self.scope, f"d{name}", exercise.gradients)
        if (refused := self._refused(name, piece)) is not None:
            self.rows.append(refused)
            self.done(refused)
            for chain in self.chains:
                gradient.pass_on(chain, name)
            return
        self.prints.inside(piece)
        judged = gradient.judge(
            exercise, name, piece, self.chains, self.explain, everything
        )
        first = all(row.status != WRONG for row in self.rows)
        self.rows.append(row(name, judged, learner, self.chains[0].sample))
        self.done(self.rows[-1])
        if first:
            self.picture = picture(name, judged) or self.picture
            self.jacobian = self._jacobian(name, piece) or self.jacobian
            self.prints.after(name, judged)
        if first and self.rows[-1].status == WRONG and self.explain:
            self.tell("", 0)  # the diagnosis takes its own time, not the learner's
            self.hints = self._hints(name, piece, judged)

    def _refused(self, name: str, piece: Piece) -> Row | None:
        """A gradient that is not looked at: used too early, or made by autodiff."""
        made = self.learner.piece(f"d{name}", self.exercise.gradients)
        lines = [s.line for s in made]
        early = next((n for n in lines if n in self.bad_lines), None)
        if early is not None:
            return Row(name, WRONG, early, note=self.bad_lines[early])
        self.tell(name, lines[-1])
        note = _not_by_hand(self.exercise, name, piece, self.chains)
        note = note or self._past_the_end(name, made)
        return Row(name, WRONG, lines[-1], note=note) if note else None

    def _past_the_end(self, name: str, made) -> str | None:
        sample = self.chains[0].sample
        grads = gradient.upstream(self.exercise, name, sample)
        arrays = {**sample.values, **{f"d{k}": g for k, g in grads.items()}}
        known = {k: a for k, a in arrays.items() if np.ndim(a)}
        return reads_past_the_end([s.node for s in made], known)

    def _jacobian(self, name: str, piece: Piece) -> dict[str, Any] | None:
        with jax.enable_x64(True):
            return jacobians.of_row(self.exercise, name, piece)

    def _hints(self, name: str, piece: Piece, judged: Judged) -> tuple[Hint, ...]:
        with jax.enable_x64(True):
            return tuple(causes.why(self.exercise, name, piece, judged))


def _not_by_hand(exercise: Exercise, name: str, piece, chains) -> str | None:
    """That the lines of a gradient use autodiff, if they do, and what to do instead."""
    pair = exercise.network.pair
    small = next(chain.sample for chain in chains if chain.sample.sizes == pair)
    with jax.enable_x64(True):
        found = piece.not_by_hand(
            small.values, gradient.upstream(exercise, name, small)
        )
    if found is None:
        return None
    return sentence("by hand", name=name, found=found)


def _unwritten(exercise: Exercise, learner: Source, name: str) -> Row | None:
    variable = f"d{name}"
    lines = [s.line for s in learner.assigning(variable)]
    if not lines:
        return _not_written(exercise, learner, name)
    if learner.is_gap(variable):
        blank = _blank(learner, variable)
        note = sentence("blank", variable=variable, blank=blank)
        return Row(name, GAP, lines[0], note=note)
    return None


def _not_written(exercise: Exercise, learner: Source, name: str) -> Row:
    """That no line makes a gradient, and which one does by another spelling."""
    variable, known = f"d{name}", {*exercise.gradients, *learner.parameters}
    made = {k: s.line for s in learner.statements for k in s.assigns - known}
    near = difflib.get_close_matches(variable, list(made), 1, 0.8)
    if not near:
        note = sentence("not written", variable=variable)
        return Row(name, GAP, learner.function.lineno, note=note)
    line = made[near[0]]
    note = sentence("written as", variable=variable, line=line, other=near[0])
    return Row(name, GAP, line, note=note)


def _blank(learner: Source, variable: str) -> str:
    value = getattr(learner.assigning(variable)[0].node, "value", None)
    return "..." if getattr(value, "value", None) is ... else "None"


def _gap(exercise: Exercise, learner: Source) -> Report | None:
    """The report on a file as it came: no gradient was ever needed for it."""
    unwritten = _unwritten(exercise, learner, exercise.names[0])
    if unwritten is None or learner.prints:
        return None
    return _stopped(exercise, learner, [], unwritten)


def _stopped(exercise: Exercise, learner: Source, rows: list[Row], gap: Row) -> Report:
    file, number = learner.filename, exercise.number
    return Report(number, file, GAP, (*rows, gap), gap.note, gap.line)


def _misshapen(exercise: Exercise, learner: Source, rows: list[Row]) -> Report:
    """All numbers are right, and some stand in an array of another shape."""
    others = [row for row in rows if row.status == SHAPE]
    names = ", ".join(f"d{row.name}" for row in others)
    message = sentence("shapes left", names=names)
    file, line = learner.filename, others[0].line
    return Report(exercise.number, file, WRONG, tuple(rows), message, line)


def _wrong(exercise, learner, rows, hints) -> Report:
    guilty = next(found for found in rows if found.status == WRONG)
    names = exercise.downstream(guilty.name)
    return Report(
        exercise.number,
        learner.filename,
        WRONG,
        tuple(rows),
        guilty.note,
        guilty.line,
        tuple(hints),
        names,
    )

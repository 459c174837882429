"""The workbook: its exercises, with the hints folded away."""

import ast
from html import escape

from jaxninja.book import frame
from jaxninja.book.mathematics import derivation
from jaxninja.workbook.exercise import Exercise
from jaxninja.workbook.exercises import EXERCISES
from jaxninja.workbook.templates import effort, rungs, shape

INTRODUCTION = """<h1>The workbook</h1>
<p class="lead">Derive every gradient of a network yourself, with a check that says
which line is wrong and what fits the mistake.</p>
<p>The exercises are files with gaps, and a notebook. <code>jaxninja exercise
start</code> makes the files, <code>jaxninja exercise watch</code> checks one each time
that it is saved, and <code>jaxninja exercise hint 1.counts</code> helps, a step a call.
The same hints are folded away below, each inside of the one before: the shape, the
rule, the steps on paper, the formula. The code is not here.</p>
<p>How long it takes with pen and paper is our estimate. The times of the lecture,
"Becoming a Backprop Ninja", are good to a minute or two.</p>"""
HEAD = ("gradient", "shape", "forward step", "on paper", "hints")
CODE = ("one line", "solution")  # rungs of the ladder that the book leaves out


def page() -> frame.Page:
    """All exercises on one page."""
    parts = [INTRODUCTION, *map(_exercise, EXERCISES.values())]
    return frame.Page("workbook.html", "Workbook", "".join(parts))


def _exercise(exercise: Exercise) -> str:
    count = len(exercise.names)
    asked = f"{count} gradients" if count > 1 else "One gradient"
    trains = ", and the function is to train the network" if exercise.trains else ""
    rows = [_row(exercise, name) for name in exercise.names]
    return (
        f'<h2 id="exercise{exercise.number}">Exercise {exercise.number}: '
        f"{escape(exercise.title)}</h2>{_introduction(exercise)}"
        f"<p>{asked}, in backward order{trains}. "
        f"<code>jaxninja exercise check {exercise.number}</code> checks it.</p>"
        + frame.table(HEAD, rows, "stacked")
    )


def _introduction(exercise: Exercise) -> str:
    """What the learner's file says at its head."""
    doc = ast.get_docstring(ast.parse(exercise.solution)) or ""
    return derivation.body(doc, mathematics=False)


def _row(exercise: Exercise, name: str) -> tuple[str, ...]:
    node = exercise.network.node[name]
    step = f"<code>{escape(node.line)}</code>" if node.formula else "a parameter"
    time = exercise.time or node.time
    lecture = f"; lecture {time}" if time else ""
    return (
        f"<code>d{name}</code>",
        escape(shape(exercise, name)),
        step,
        f"{effort(exercise.number, name)}{lecture}",
        _hints(exercise.number, name),
    )


def _hints(number: int, name: str) -> str:
    """Each inside of the one before, so that one click shows one more."""
    inside = ""
    for label, text in reversed(rungs(number, name)):
        if label not in CODE:
            lines = "<br>".join(map(escape, text.splitlines()))
            inside = frame.fold(f"Hint: {label}", f"<p>{lines}</p>{inside}")
    return inside

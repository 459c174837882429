"""The workbook: its exercises, with the hints folded away."""

from html import escape

from jaxninja.book import frame
from jaxninja.workbook.exercises import EXERCISES, Exercise
from jaxninja.workbook.graph import NODE
from jaxninja.workbook.templates import effort, rungs, shape

INTRODUCTION = """<h1>The workbook</h1>
<p class="lead">Derive every gradient of the lecture's network yourself, with a check
that says which line is wrong and what fits the mistake.</p>
<p>The exercises are files with gaps, and a notebook. <code>jaxninja exercise
start</code> makes the files, <code>jaxninja exercise watch</code> checks one each time
that it is saved, and <code>jaxninja exercise hint 1.counts</code> helps, a step a call.
The same hints are folded away below, each inside of the one before: the shape, the
rule, the steps on paper, the formula. The code is not here.</p>
<p>Letters: n batch, T context, E embedding, H hidden units, V vocabulary. The times are
those of the lecture "Becoming a Backprop Ninja", good to a minute or two.</p>"""
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
        f"{escape(exercise.title)}</h2><p>{asked}, in backward order{trains}. "
        f"<code>jaxninja exercise check {exercise.number}</code> checks it.</p>"
        + frame.table(
            ("gradient", "shape", "forward step", "on paper", "hints"), rows, "stacked"
        )
    )


def _row(exercise: Exercise, name: str) -> tuple[str, ...]:
    node = NODE[name]
    step = f"<code>{escape(node.line)}</code>" if node.formula else "a parameter"
    lecture = f"; lecture {node.time}" if exercise.number == 1 else ""
    return (
        f"<code>d{name}</code>",
        escape(shape(name)),
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
            inside = frame.fold(label.capitalize(), f"<p>{lines}</p>{inside}")
    return inside

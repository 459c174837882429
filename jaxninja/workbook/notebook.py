"""The workbook in a notebook: functions are checked where they are defined.

Their source goes to the worker process, as files do on the command line. A function can
lean on jax, jnp and np and on what its own cell makes, and on nothing else of the
notebook.
"""

import atexit
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from jaxninja.errors import ArgumentError
from jaxninja.workbook import templates
from jaxninja.workbook.code.cell import as_file, as_in_cell, lines_of
from jaxninja.workbook.exercises import EXERCISES
from jaxninja.workbook.process.client import Worker
from jaxninja.workbook.progress import Progress
from jaxninja.workbook.report import CELL, Report
from jaxninja.workbook.texts.languages import known, sentence, speaking

if TYPE_CHECKING:
    from jaxninja.workbook.costs import Cost
    from jaxninja.workbook.samples import Sample

IMPORTS = "import jax\nimport jax.numpy as jnp\nimport numpy as np\n"
_progress = Progress(Path(), {})  # of this session: never saved


def check(number: int, function: Callable, *, everything: bool = False) -> Report:
    """Check a function for an exercise; in a notebook the report shows pictures.

    Args:
        number: of the exercise.
        function: `backward`, of the exercise's parameters; helpers in its cell.
        everything: go on after the first wrong gradient.

    Returns:
        The report; true if the exercise is done.

    Raises:
        ValueError: no such exercise, or the source of the function is not to be had.
    """
    with speaking(_progress.language):
        if number not in EXERCISES:
            facts = dict(number=number, last=len(EXERCISES))
            raise ArgumentError(sentence("no exercise", **facts))
        text = as_in_cell(_lines(function))
        report = _worker().check(number, text, CELL, everything)
    return replace(report, new=tuple(_progress.record(report)))


class Lines(str):
    """A text that a cell shows as `print` does, line by line."""

    __repr__ = str.__str__


def hint(place: str) -> Lines:
    """One more hint on N.NAME each time: shape, rule, formula, one line, solution."""
    with speaking(_progress.language):
        number, name = templates.find(place)
        return Lines(templates.ladder(number, name, _progress.next_rung(number, name)))


def why(place: str) -> Lines:
    """Why the gradient N.NAME is what it is, once it was right in this session.

    Raises:
        ValueError: there is no such gradient, or it is not right yet.
    """
    with speaking(_progress.language):
        number, name = templates.find(place)
        if name not in _progress.right(number):
            how = templates.how_to_ask(number, name, in_notebook=True)
            facts = dict(place=f"{number}.{name}", how=how)
            raise ArgumentError(sentence("not right yet", **facts))
        return Lines("\n".join(templates.explanation(number, name)))


def speak(language: str) -> None:
    """en or zh: what reports, hints and derivations are in from now on.

    Raises:
        ValueError: there is no such language.
    """
    _progress.language = known(language)


def save(function: Callable, path: str | Path) -> str:
    """Write a function to a file, as `jaxninja.train` wants it for its route."""
    with speaking(_progress.language):
        text = as_file(_lines(function))
    Path(path).write_text(f"{IMPORTS}\n\n{text}", encoding="utf-8")
    return str(path)


def cost(number: int, function: Callable) -> "Cost":
    """FLOPs, bytes kept, temporary memory and time, beside jax.grad's."""
    from jaxninja.workbook.costs import cost

    with speaking(_progress.language):
        return cost(number, IMPORTS + as_file(_lines(function)))


def lecture_sample() -> "Sample":
    """Values and true gradients on the lecture's sizes: a batch of 32, 64 hidden.

    The process that checks starts meanwhile, so that the first check need not wait.
    """
    from jaxninja.workbook import samples

    _worker().start()
    return samples.home(EXERCISES[1].network)


def _lines(function: Callable) -> dict[int, str]:
    """As `code.cell.lines_of`."""
    if getattr(function, "__name__", "") == "<lambda>":
        raise ArgumentError(sentence("lambda"))
    try:
        return lines_of(function)
    except (OSError, TypeError):
        raise ArgumentError(sentence("no source", function=repr(function))) from None


@cache
def _worker() -> Worker:
    """One process for the notebook; it ends with it."""
    worker = Worker()
    atexit.register(worker.close)
    return worker

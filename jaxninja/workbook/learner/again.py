"""One solved gradient blanked again, a week after it was right."""

import time
from pathlib import Path

from jaxninja.workbook import progress
from jaxninja.workbook.code import parse
from jaxninja.workbook.code.parse import SourceError
from jaxninja.workbook.exercises import EXERCISES
from jaxninja.workbook.progress import Progress, WorkbookError
from jaxninja.workbook.texts.languages import sentence

DAY = 86_400  # seconds
WEEK = 7 * DAY


def oldest(state: Progress) -> tuple[int, str, float] | None:
    """The gradient that was right for the longest: exercise, name, days; or None."""
    found = [
        (state.entry(number, name).get("since", 0.0), number, name)
        for number in EXERCISES
        for name in state.right(number)
    ]
    if not found:
        return None
    since, number, name = min(found)
    return number, name, max(0.0, time.time() - since) / DAY


def due(state: Progress) -> tuple[int, str] | None:
    """A gradient that has been right for a week, the oldest first."""
    found = oldest(state)
    return found[:2] if found and found[2] * DAY >= WEEK else None


def blank(folder: Path, number: int, name: str) -> Path:
    """Make a solved gradient a gap again; the file as it was is kept beside it.

    Returns:
        Where it is kept.

    Raises:
        WorkbookError: the gradient is not right yet, or its lines make others too.
    """
    state = progress.load(folder)
    if name not in state.right(number):
        raise WorkbookError(sentence("not again", place=f"{number}.{name}"))
    path = folder / EXERCISES[number].file
    text = progress.read(folder, number)
    kept = progress.free_name(path)
    changed = _without(text, path.name, number, name)
    kept.write_text(text, encoding="utf-8")
    path.write_text(changed, encoding="utf-8")
    state.entry(number, name)["status"] = progress.GAP
    state.save()
    return kept


def _without(text: str, filename: str, number: int, name: str) -> str:
    """The text with one gap in it."""
    variable, gradients = f"d{name}", {*EXERCISES[number].gradients}
    try:
        source = parse.read(text, filename)
    except SourceError as error:
        raise WorkbookError(f"{filename}:{error.line}: {error.sentence}") from None
    made = source.assigning(variable)
    others = {n for s in made for n in s.assigns & gradients} - {variable}
    if not made or others:
        names = ", ".join(sorted(others)) or sentence("nothing")
        facts = dict(file=filename, variable=variable, names=names)
        raise WorkbookError(sentence("makes others", **facts))
    lines = text.splitlines()
    for k, one in reversed([*enumerate(made)]):
        first, last = one.line - 1, one.node.end_lineno or one.line
        indent = lines[first][: len(lines[first]) - len(lines[first].lstrip())]
        lines[first:last] = [f"{indent}{variable} = None"] if k == 0 else []
    return "\n".join(lines) + "\n"

"""A page to keep of what was solved: one HTML file that needs nothing beside it."""

import time
from collections.abc import Iterator
from html import escape
from pathlib import Path

from jaxninja.workbook import pictures, progress, templates
from jaxninja.workbook.code import parse
from jaxninja.workbook.code.parse import SourceError
from jaxninja.workbook.exercises import EXERCISES
from jaxninja.workbook.progress import Progress, WorkbookError
from jaxninja.workbook.report import OK
from jaxninja.workbook.texts.languages import current, sentence

STYLE = """body { max-width: 60em; margin: 2em auto; padding: 0 1em;
  font-family: sans-serif; line-height: 1.4 }
pre { background: #f4f4f4; padding: .7em; overflow-x: auto }
td { vertical-align: top; padding: .3em .6em; border-top: 1px solid #ddd }
img { max-width: 100% }"""


def page(folder: Path) -> str:
    """The learner's own lines for each gradient that is right, and why they are."""
    state = progress.load(folder)
    body = "\n".join(_body(folder, state))
    title = sentence("page title")
    return (
        f'<!doctype html>\n<html lang="{current()}"><head><meta charset="utf-8">'
        f"<title>{title}</title><style>{STYLE}</style></head>\n"
        f"<body><h1>{title}</h1>\n{body}\n</body></html>\n"
    )


def _body(folder: Path, state: Progress) -> Iterator[str]:
    count = sum(len(state.right(n)) for n in EXERCISES)
    of = sum(len(e.names) for e in EXERCISES.values())
    today = time.strftime("%Y-%m-%d")
    yield f"<p>{sentence('page count', count=count, of=of, day=today)}</p>"
    for number, exercise in EXERCISES.items():
        right = state.right(number)
        named = templates.title(exercise)
        title = sentence("page exercise", number=number, title=named)
        facts = dict(count=len(right), of=len(exercise.names))
        head = sentence("page done" if state.is_done(number) else "of", **facts)
        yield f"<h2>{escape(title)}</h2><p>{head}</p>"
        if right:
            statuses = dict.fromkeys(right, OK)
            yield pictures.image(pictures.graph(exercise.network, statuses))
            yield f"<table>{''.join(_rows(folder, state, number, right))}</table>"


def _rows(
    folder: Path, state: Progress, number: int, right: list[str]
) -> Iterator[str]:
    lines = _lines(folder, number)
    for name in right:
        entry = state.entry(number, name)
        day = time.strftime("%Y-%m-%d", time.localtime(entry.get("since", 0.0)))
        date = day if entry.get("since") else ""
        none = "page hints" if entry["hints"] else "page no hint"
        hints = sentence(none, count=entry["hints"])
        why = escape(templates.why(number, name))
        yield (
            f"<tr><td>d{escape(name)}<br><small>{date}<br>{hints}</small></td>"
            f"<td><pre>{escape(lines.get(name, ''))}</pre>{why}</td></tr>"
        )


def _lines(folder: Path, number: int) -> dict[str, str]:
    """The learner's lines for each gradient; none from a file that cannot be read."""
    exercise = EXERCISES[number]
    try:
        text = progress.read(folder, number)
        source = parse.read(text, exercise.file)
    except (WorkbookError, SourceError):
        return {}
    lines = text.splitlines()
    return {
        name: "\n".join(
            line.strip()
            for one in source.piece(f"d{name}", exercise.gradients)
            for line in lines[one.line - 1 : one.node.end_lineno]
        )
        for name in exercise.names
    }

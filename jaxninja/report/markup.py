"""The pieces of a page as HTML: tables, figures, findings. All text is escaped here."""

import re
from collections.abc import Iterable, Iterator
from html import escape as escape_markup

from jaxninja import plots
from jaxninja.escaping import printable, printable_lines
from jaxninja.report.finding import LEVELS, Finding
from jaxninja.report.gathered import Gathered
from jaxninja.report.parts import READ, TOPICS, Picture, Table

MARKS = {"good": "✓ good", "watch": "! watch", "act": "✗ act"}


def escape(text: str) -> str:
    """Text as HTML that shows it, whatever it holds."""
    return escape_markup(printable(text))


def lines(text: str) -> str:
    """The same of a text of several lines."""
    return escape_markup(printable_lines(text))


def attribute(svg: str) -> str:
    """An <svg> whose values a script can read, and which can have the focus."""
    return svg.replace("<svg ", '<svg tabindex="0" ', 1)


def drawn(parts: Iterable[Picture | Table], key: str, problems: list[str]) -> list:
    """(topic, HTML) of each part; a figure that fails says so in `problems`.

    Args:
        parts: of a run, or of several over each other.
        key: begins the ids of the figures.
        problems: a broken record must not cost the other figures.
    """
    found = []
    for n, part in enumerate(parts):
        if isinstance(part, Table):
            found.append((part.topic, figure_of_table(part)))
            continue
        try:
            svg = plots.svg(part.draw(), printable(part.alt), f"{key}f{n}")
        except Exception as error:
            problems.append(f"no figure of {part.alt}: {error!r}")
        else:
            found.append((part.topic, f"<figure>{attribute(svg)}</figure>"))
    return found


def topics(drawn: list, said: list[Finding], key: str) -> Iterator[str]:
    """A section for each topic: how to read it and what is found, then its parts."""
    for topic, heading in TOPICS.items():
        figures = [html for of, html in drawn if of == topic]
        sentences = [(n, s) for n, s in enumerate(said) if s.topic == topic]
        if figures or sentences:
            text = f"<h3>{heading}</h3><p>{escape(READ[topic])}</p>"
            text += _sentences(sentences, key)
            yield _section(f"{key}-{topic}", f'<div class="text">{text}</div>', figures)


FOLDED = 3  # good findings of a topic: more of them are folded up


def _sentences(numbered: list[tuple[int, Finding]], key: str) -> str:
    """The gravest first."""
    grave = [(n, s) for n, s in numbered if s.level != "good"]
    grave.sort(key=lambda pair: LEVELS.index(pair[1].level), reverse=True)
    good = [(n, s) for n, s in numbered if s.level == "good"]
    first, last = (
        "".join(finding(s, place(key, n)) for n, s in part) for part in (grave, good)
    )
    if len(good) <= FOLDED:
        return first + last
    summary = f'<summary class="good">{MARKS["good"]}: {len(good)} findings</summary>'
    return f"{first}<details>{summary}{last}</details>"


def _section(name: str, text: str, figures: list[str]) -> str:
    """In a page of two columns a text and one figure take one, and more take both: of
    an odd number the text stands beside the first, of an even one above all."""
    if len(figures) < 2:
        return f'<section id="{name}">{text}{"".join(figures)}</section>'
    above, beside = ("", text) if len(figures) % 2 else (text, "")
    inside = f'{above}<div class="parts">{beside}{"".join(figures)}</div>'
    return f'<section class="whole" id="{name}">{inside}</section>'


def place(key: str, n: int) -> str:
    """The id of the n-th finding of a run."""
    return f"{key}-finding-{n}"


def finding(said: Finding, name: str) -> str:
    todo = f" <b>To do:</b> {_advice(said.todo)}" if said.todo else ""
    mark = f'<span class="mark">{MARKS[said.level]}</span>'
    text = f"{mark} {escape(said.text)}{todo}"
    return f'<p class="{said.level}" id="{name}">{text}</p>'


def _advice(text: str) -> str:
    """Escaped, with options that no line breaks after their `--`."""
    return re.sub(r"--[a-z][\w-]*", r'<span class="option">\g<0></span>', escape(text))


def counts(said: list[Finding], key: str) -> str:
    """How many findings of each level there are, with links."""
    cells = " ".join(counted(said, level, key, level) for level in reversed(MARKS))
    return f'<p class="counts">{cells}</p>'


def counted(said: list[Finding], level: str, key: str | None, word: str = "") -> str:
    """How many findings of a level; with a key, a link to the first of them."""
    where = [n for n, s in enumerate(said) if s.level == level]
    text = f"<b>{len(where)}</b>&nbsp;{word}" if word else f"{len(where)}"
    if where and key:
        text = f'<a href="#{place(key, where[0])}">{text}</a>'
    return f'<span class="count {level if where else "none"}">{text}</span>'


def grave(said: list[Finding], key: str, most: int = 6) -> str:
    """The findings that are not good, the gravest first, as links."""
    where = [
        (n, s)
        for level in ("act", "watch")
        for n, s in enumerate(said)
        if s.level == level
    ]
    items = [
        f'<li class="{s.level}"><a href="#{place(key, n)}">'
        f"{escape(_short(s.text))}</a></li>"
        for n, s in where[:most]
    ]
    rest = f"<li>and {len(where) - most} more</li>" if len(where) > most else ""
    return f"<ul>{''.join(items)}{rest}</ul>" if items else ""


def _short(text: str) -> str:
    """A long text up to its first stop."""
    return re.split(r"(?<=\w[.;:]) ", text)[0].rstrip(".;:") if len(text) > 90 else text


def problems(found: Gathered) -> str:
    items = "".join(f"<li>{escape(problem)}</li>" for problem in found.problems)
    return f'<ul class="problems">{items}</ul>' if items else ""


def figure_of_table(part: Table) -> str:
    caption = f"<figcaption>{escape(part.alt)}</figcaption>"
    return f'<figure class="numbers">{caption}{table(part.head, part.rows)}</figure>'


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Cells of text; a number stands to the right."""
    return raw_table(map(escape, head), (map(escape, row) for row in rows))


def raw_table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """The same of cells that are HTML."""
    top = "".join(f'<th scope="col">{cell}</th>' for cell in head)
    body = "".join(f"<tr>{''.join(_cells(row))}</tr>" for row in rows)
    return f'<div class="wide"><table><tr>{top}</tr>{body}</table></div>'


def _cells(row: Iterable[str]) -> Iterator[str]:
    for n, cell in enumerate(row):
        yield f'<th scope="row">{cell}</th>' if n == 0 else f"<td>{cell}</td>"

"""What all pages have in common: head, way around, and small pieces of HTML."""

import re
from collections.abc import Iterable, Sequence
from html import escape
from typing import NamedTuple

from jaxninja.book.style import CSS

PARTS = {
    "index.html": "Handbook",
    "rules/index.html": "Rules",
    "networks/index.html": "Networks",
    "findings.html": "Findings",
    "workbook.html": "Workbook",
    "chapters/index.html": "Chapters",
    "reference/index.html": "Reference",
    "glossary.html": "Glossary",
}
# a page may fetch nothing and run nothing
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
GENERATOR = "jaxninja book"


class Page(NamedTuple):
    """A page of the book.

    Attributes:
        path: below the book's folder, with forward slashes.
        title: in a few words, plain text.
        body: HTML.
        before, after: (path, title) of its neighbours, where it has any.
    """

    path: str
    title: str
    body: str
    before: tuple[str, str] | None = None
    after: tuple[str, str] | None = None


def chained(pages: Sequence[Page]) -> list[Page]:
    """The same pages, each with the one before and the one after it."""
    ends = [None, *((p.path, p.title) for p in pages), None]
    return [
        page._replace(before=ends[i], after=ends[i + 2]) for i, page in enumerate(pages)
    ]


def html(page: Page, parts: Iterable[str]) -> str:
    """The whole file of a page; `parts` are the paths of PARTS that the book has."""
    name = "" if page.path == "index.html" else f"{escape(page.title)} · "
    return "".join(
        [
            '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">',
            f'<meta name="generator" content="{GENERATOR}">',
            '<link rel="icon" href="data:,">',
            f"<title>{name}jaxninja handbook</title><style>{CSS}</style></head><body>",
            _top(page.path, parts),
            f"<main>{page.body}</main>{_turn(page)}</body></html>\n",
        ]
    )


def _top(path: str, parts: Iterable[str]) -> str:
    links = []
    for part in parts:
        folder = part.removesuffix("index.html")
        here = part == path or (folder.endswith("/") and path.startswith(folder))
        kind = ' class="home"' if part == "index.html" else ""
        kind += ' aria-current="page"' if here and not kind else ""
        name = "jaxninja handbook" if part == "index.html" else PARTS[part]
        links.append(f'<a href="{_up(path)}{part}"{kind}>{name}</a>')
    return f'<nav class="top" aria-label="Parts">{"".join(links)}</nav>'


def _turn(page: Page) -> str:
    if not (page.before or page.after):
        return ""
    links = []
    for end, sign in ((page.before, "← {}"), (page.after, "{} →")):
        path, title = end or ("", "")
        text = sign.format(escape(title))
        href = _up(page.path) + path
        links.append(f'<a href="{href}">{text}</a>' if end else "<span></span>")
    return f'<nav class="turn" aria-label="Neighbours">{"".join(links)}</nav>'


def _up(path: str) -> str:
    return "../" * path.count("/")


def sentence(text: str) -> str:
    """Plain text, escaped; what stands in backticks is code."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text, quote=False))


def link(href: str, text: str, code: bool = False) -> str:
    """A link; its text is escaped."""
    inside = f"<code>{escape(text)}</code>" if code else escape(text)
    return f'<a href="{escape(href)}">{inside}</a>'


def table(
    head: Sequence[str], rows: Iterable[Sequence[str]], style: str = "plain"
) -> str:
    """A table whose cells are HTML; a column whose head ends in `#` holds numbers."""
    kinds = [' class="number"' if name.endswith("#") else "" for name in head]
    names = [name.removesuffix("#") for name in head]
    top = "".join(f"<th{k}>{n}</th>" for k, n in zip(kinds, names, strict=True))
    lines = [
        "".join(f"<td{k}>{cell}</td>" for k, cell in zip(kinds, row, strict=True))
        for row in rows
    ]
    body = "".join(f"<tr>{row}</tr>" for row in lines)
    inside = f"<thead><tr>{top}</tr></thead><tbody>{body}</tbody>"
    return f'<div class="wide"><table class="{style}">{inside}</table></div>'


def fold(summary: str, inside: str) -> str:
    """What is out of the way until it is asked for."""
    return f"<details><summary>{escape(summary)}</summary>{inside}</details>"


def chips(names: Iterable[str]) -> str:
    """Short names beside each other."""
    items = "".join(f"<li>{escape(name)}</li>" for name in names)
    return f'<ul class="chips">{items}</ul>'


def chips_to(links: Iterable[tuple[str, str]]) -> str:
    """Short links beside each other: (address, text)."""
    items = "".join(f"<li>{link(href, text)}</li>" for href, text in links)
    return f'<ul class="chips">{items}</ul>'

"""All pages of the book, and the folder that they are written to."""

import re
from collections.abc import Iterator
from pathlib import Path

from jaxninja.book import (
    chapters,
    findings_page,
    frame,
    front,
    markup,
    network_pages,
    reference,
    rule_pages,
    workbook_page,
)

_TEXT = Path(__file__).parent / "text"


def pages() -> list[frame.Page]:
    """Every page, the first one first."""
    found = [
        *rule_pages.pages(),
        *network_pages.pages(),
        findings_page.page(),
        workbook_page.page(),
        *chapters.pages(),
        *reference.pages(),
        _glossary(),
    ]
    return [front.page(_parts(found)), *found]


def _parts(found: list[frame.Page]) -> list[str]:
    """The parts of the book that are there, in its order."""
    there = {"index.html", *(page.path for page in found)}
    return [part for part in frame.PARTS if part in there]


def _glossary() -> frame.Page:
    text = (_TEXT / "glossary.md").read_text(encoding="utf-8")
    body = re.sub(r"<p><strong>", '<p class="term"><strong>', markup.markdown(text))
    return frame.Page("glossary.html", "Glossary", f"<h1>Glossary</h1>{body}")


def is_book(folder: Path) -> bool:
    """Whether a folder holds a handbook, of this version or another."""
    index = folder / "index.html"
    mark = f'<meta name="generator" content="{frame.GENERATOR}">'
    return index.is_file() and mark in index.read_text("utf-8", errors="replace")


def write(folder: Path) -> Iterator[Path]:
    """Write the book; yields each file when it is written.

    Args:
        folder: made if it is not there; files of the same names are replaced, and
            nothing else in it is touched.

    Raises:
        OSError: the folder cannot be written to.
    """
    found = pages()
    parts = _parts(found)
    for page in found:
        file = folder.joinpath(*page.path.split("/"))
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(frame.html(page, parts), encoding="utf-8")
        yield file

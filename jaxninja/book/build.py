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
_MARK = f'<meta name="generator" content="{frame.GENERATOR}">'
LIST = "pages.txt"  # in the book's folder: what was written there


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
    return _is_page(folder / "index.html")


def _is_page(file: Path) -> bool:
    return file.is_file() and _MARK in file.read_text("utf-8", errors="replace")


def write(folder: Path) -> Iterator[Path]:
    """Write the book; yields each file when it is written.

    Args:
        folder: made if it is not there; files of the same names are replaced, pages
            that an older book wrote and this one has no more are removed, and nothing
            else in it is touched.

    Raises:
        OSError: the folder cannot be written to.
    """
    found = pages()
    parts, paths = _parts(found), {page.path for page in found}
    older = _listed(folder)
    folder.mkdir(parents=True, exist_ok=True)
    _list(folder, older | paths)  # of both, in case this is stopped
    for page in found:
        file = folder.joinpath(*page.path.split("/"))
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(frame.html(page, parts), encoding="utf-8")
        yield file
    for path in older - paths:
        _remove(folder, path)
    _list(folder, paths)


def _list(folder: Path, paths: set[str]) -> None:
    lines = "".join(f"{path}\n" for path in sorted(paths))
    (folder / LIST).write_text(lines, encoding="utf-8")


def _listed(folder: Path) -> set[str]:
    """Paths of the pages that were written here."""
    file = folder / LIST
    return (
        {*file.read_text("utf-8", "replace").split("\n")} if file.is_file() else set()
    )


def _remove(folder: Path, path: str) -> None:
    """A page, if it still is one and in the folder; and its own folder, once empty."""
    file, root = folder.joinpath(*path.split("/")), folder.resolve()
    if not path or root not in file.resolve().parents or not _is_page(file):
        return
    file.unlink()
    if file.parent.resolve() != root and not any(file.parent.iterdir()):
        file.parent.rmdir()

"""`jaxninja book [DIR]`: the handbook, as static pages."""

import os
from collections import Counter
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import tyro

from jaxninja.cli.process.arguments import parsed
from jaxninja.errors import UserError
from jaxninja.escaping import printable
from jaxninja.training.machine.devices import need_device

EXTRA = ("markdown_it", "pygments", "griffe")


@dataclass(frozen=True)
class Book:
    """Write the handbook: static pages made from the library itself.

    A page for each rule and each network, the checker's findings, the exercises, a
    glossary and the reference. They need no network, no script and no server: open
    index.html in a browser.

    Example: jaxninja book handbook
    """

    folder: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="[DIR]")] = (
        Path("book")
    )
    """Where to; made if it is not there. An older handbook there is replaced."""
    replace: bool = False
    """Write even among other files; those of the same names as pages are replaced."""


def main(args: list[str]) -> int:
    options = parsed(Book, "book", args)
    folder = options.folder
    _check_extra()
    _check_writable(folder)
    need_device()
    from jaxninja.book import is_book, write

    if not (options.replace or is_book(folder) or _is_free(folder)):
        raise UserError(
            f"DIR is {folder}, which holds other files and no handbook: name a folder "
            "that is new or empty, or say --replace"
        )
    print("checking the examples of findings, which takes half a minute", flush=True)
    written = list(write(folder))
    parts = Counter(file.relative_to(folder).parts[0] for file in written)
    counts = (f"{count} in {name}/" for name, count in parts.items() if count > 1)
    print(f"{len(written)} pages: {', '.join(counts)}")
    print(f"written    {printable(str(folder / 'index.html'))}")
    return 0


def _check_extra() -> None:
    missing = [name for name in EXTRA if find_spec(name) is None]
    if missing:
        raise UserError(
            f"the handbook is made with {', '.join(missing)}, which is not installed: "
            "pip install 'jaxninja[book]'"
        )


def _is_free(folder: Path) -> bool:
    return not folder.exists() or not any(folder.iterdir())


def _check_writable(folder: Path) -> None:
    """Before the work: may one write there?"""
    if folder.exists() and not folder.is_dir():
        raise UserError(f"DIR is {folder}, a file, expected a folder or a new name")
    there = next(p for p in (folder, *folder.absolute().parents) if p.exists())
    if not there.is_dir() or not os.access(there, os.W_OK):
        raise UserError(f"DIR is {folder}, but {there} may not be written to")

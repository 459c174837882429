"""A notebook's file as its cells, whatever version of the format it is in."""

import json
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jaxninja.workbook.pytorch.errors import NotebookError

WANTED = "expected a notebook, as Colab saves it: File, Download, Download .ipynb"


@dataclass(frozen=True)
class Cell:
    """One cell.

    Attributes:
        number: from 1, all cells counted.
        is_code: or else text.
        text: as it is written.
    """

    number: int
    is_code: bool
    text: str


def read(path: Path) -> list[Cell]:
    """The cells of a notebook.

    Raises:
        NotebookError: it is not there, or no notebook, in one line.
    """
    given = _json(path, _text(path))
    if not isinstance(given, dict) or "nbformat" not in given:
        raise NotebookError(f"{path} is no notebook (no nbformat in it): {WANTED}")
    cells = [
        (c.get("cell_type"), _joined(c.get("source"))) for c in _cells(path, given)
    ]
    language = _language(given)
    if language not in ("", "python"):
        raise NotebookError(f"{path} is in {language}, expected a notebook in Python")
    return [
        Cell(number, kind == "code", text)
        for number, (kind, text) in enumerate(cells, 1)
    ]


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise NotebookError(f"{path} is not there") from None
    except UnicodeDecodeError as error:
        what = f"{path} is not UTF-8 at byte {error.start}"
        raise NotebookError(f"{what}: {WANTED}") from None
    except OSError as error:
        raise NotebookError(f"{path} cannot be read: {error.strerror}") from None


def _json(path: Path, text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        what = f"{path} is no notebook, or a broken one: its JSON breaks at"
        raise NotebookError(f"{what} {where} ({error.msg})") from None
    except RecursionError:
        raise NotebookError(f"{path} is no notebook: {WANTED}") from None


def _cells(path: Path, given: dict) -> list[Any]:
    import nbformat

    version = given["nbformat"]
    if version not in (1, 2, 3, 4):
        what = f"{path} is of version {version!r} of the notebooks' format"
        raise NotebookError(f"{what}, expected 1 to 4: save it in an older one")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # missing ids, and what else does no harm
            notebook = nbformat.from_dict(given)
            return [dict(cell) for cell in nbformat.convert(notebook, 4).cells]
    except Exception as error:  # whatever a broken structure makes of itself
        what = f"{path} is a broken notebook ({type(error).__name__}: {error})"
        raise NotebookError(" ".join(what.split())) from None


def _joined(source: Any) -> str:
    """A cell's text; files have it line by line."""
    rows = source if isinstance(source, list) else [source]
    return "".join(row for row in rows if isinstance(row, str))


def _language(given: dict) -> str:
    """Of the code, in small letters; "" where the notebook does not say."""
    metadata = given.get("metadata")
    metadata = metadata if isinstance(metadata, dict) else {}
    for key, name in (("kernelspec", "language"), ("language_info", "name")):
        part = metadata.get(key)
        if isinstance(part, dict) and isinstance(part.get(name), str):
            return part[name].lower()
    return ""

"""A notebook's file as its cells, whatever version of the format it is in."""

import json
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jaxninja.workbook.pytorch.errors import NotebookError
from jaxninja.workbook.texts.languages import sentence


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
        raise _refused("no nbformat", path)
    cells = [
        (c.get("cell_type"), _joined(c.get("source"))) for c in _cells(path, given)
    ]
    language = _language(given)
    if language not in ("", "python"):
        raise _refused("other language", path, language=language)
    return [
        Cell(number, kind == "code", text)
        for number, (kind, text) in enumerate(cells, 1)
    ]


def _refused(key: str, path: Path, **facts: object) -> NotebookError:
    return NotebookError(sentence(key, path=path, wanted=sentence("wanted"), **facts))


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise _refused("notebook not there", path) from None
    except UnicodeDecodeError as error:
        raise _refused("notebook not UTF-8", path, byte=error.start) from None
    except OSError as error:
        raise _refused("notebook unreadable", path, why=error.strerror) from None


def _json(path: Path, text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        facts = dict(line=error.lineno, column=error.colno, why=error.msg)
        raise _refused("broken JSON", path, **facts) from None
    except RecursionError:
        raise _refused("no notebook", path) from None


def _cells(path: Path, given: dict) -> list[Any]:
    import nbformat

    version = given["nbformat"]
    if version not in (1, 2, 3, 4):
        raise _refused("format", path, version=version)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # missing ids, and what else does no harm
            notebook = nbformat.from_dict(given)
            return [dict(cell) for cell in nbformat.convert(notebook, 4).cells]
    except Exception as error:  # whatever a broken structure makes of itself
        why = " ".join(str(error).split())
        facts = dict(kind=type(error).__name__, why=why)
        raise _refused("broken notebook", path, **facts) from None


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

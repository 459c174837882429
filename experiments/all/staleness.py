"""How old a result is: older than its code, failed, never made, or as its code is."""

import ast
import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from experiments.all.parts import PARTS, ROOT, Part
from jaxninja.storage import atomic

RESULTS = ROOT / "experiments" / "results"
FRESH = "as its code is"
Row = Mapping[str, Any]  # of measured.json: exit, seconds, code, device, versions, date


def age(part: Part, row: Row | None) -> str:
    """What a result's row says of it."""
    if row is None:
        return "never run"
    if row["exit"]:
        return f"failed on {row['date']}"
    if row["code"] != digest(part.code):
        return f"of {row['date']}, older than its code"
    return FRESH


def stale(rows: Mapping[str, Row], parts: Mapping[str, Part] = PARTS) -> str:
    """In a line: which results are older than their code, failed, or never run."""
    ages = {name: age(part, rows.get(name)) for name, part in parts.items()}
    kinds = {"older than its code": "older than their code", "failed": "failed",
             "never run": "never run"}  # fmt: skip
    found = {
        told: [name for name, text in ages.items() if kind in text]
        for kind, told in kinds.items()
    }
    return "; ".join(f"{told}: {', '.join(n)}" for told, n in found.items() if n)


def minutes(name: str, row: Row | None, parts: Mapping[str, Part] = PARTS) -> float:
    """That a part takes: as it took here, or else as its table says."""
    known = row is not None and not row["exit"]
    return row["seconds"] / 60 if known else parts[name].minutes


def recorded(results: Path = RESULTS) -> dict[str, Any]:
    file = results / "measured.json"
    return json.loads(file.read_text()) if file.exists() else {}


def record(results: Path, rows: Mapping[str, Row]) -> None:
    atomic.write_text(results / "measured.json", json.dumps(rows, indent=1) + "\n")


def digest(paths: Iterable[str], root: Path = ROOT) -> str:
    """A hash of code, which comments, docstrings, types and layout leave as it is."""
    files = (f for path in paths for f in _files(root / path))
    texts = (f"{f.relative_to(root)}\n{_code(f)}" for f in sorted(set(files)))
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()[:12]


def _files(path: Path) -> Iterable[Path]:
    if not path.exists():
        raise FileNotFoundError(f"{path} is not there; PARTS names it")
    return path.rglob("*.py") if path.is_dir() else [path]


def _code(file: Path) -> str:
    tree = ast.parse(file.read_text())
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):  # a string that stands alone does nothing
            node.body = [line for line in body if not _is_text(line)]  # type: ignore
        for types in {"annotation", "returns"} & set(node._fields):
            setattr(node, types, None)
    return ast.dump(tree)


def _is_text(line: ast.stmt) -> bool:
    value = getattr(line, "value", None)
    text = isinstance(value, ast.Constant) and isinstance(value.value, str)
    return isinstance(line, ast.Expr) and text

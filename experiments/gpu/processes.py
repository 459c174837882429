"""A part in a process of its own: its rows as it writes them, and how it ended.

python -m experiments.gpu.processes MODULE:FUNCTION ROWS.jsonl tiny|full
"""

import datetime
import importlib
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

from jaxninja.training.machine import compile_cache


class Part(NamedTuple):
    """Something to measure.

    Attributes:
        function: MODULE:FUNCTION, which takes `tiny` and yields a row after the other:
            what it is -> values, numbers with their unit in their name.
        limit: seconds, with the start of its process and its compilations.
    """

    function: str
    limit: int


def measure(part: Part, tiny: bool) -> dict[str, Any]:
    """Rows, seconds, and what went wrong, if something did."""
    with tempfile.TemporaryDirectory() as folder:
        rows, errors = Path(folder) / "rows.jsonl", Path(folder) / "errors"
        size = "tiny" if tiny else "full"
        command = [sys.executable, "-m", __spec__.name, part.function, str(rows), size]
        clock = time.perf_counter()
        with errors.open("w") as log:
            failed = _run(command, part.limit, log)
        seconds = time.perf_counter() - clock
        if failed == "failed":
            failed = _last_line(errors.read_text(errors="replace"))
        lines = rows.read_text().splitlines() if rows.exists() else []
    return {
        "date": datetime.date.today().isoformat(),
        "seconds": round(seconds, 1),
        "failed": failed,
        "rows": [json.loads(line) for line in lines],
    }


def _run(command: list[str], limit: int, log: Any) -> str | None:
    """None if it ended well; its output goes into the log."""
    try:
        done = subprocess.run(
            command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, timeout=limit
        )
    except subprocess.TimeoutExpired:
        return f"stopped after {limit} s"
    return "failed" if done.returncode else None


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:300] if lines else "ended without a word"


def main(function: str, rows: str, size: str) -> None:
    compile_cache.enable()  # parts share programs, and so do two runs of the command
    module, _, name = function.partition(":")
    measured = getattr(importlib.import_module(module), name)
    with Path(rows).open("a") as file:
        for row in measured(size == "tiny"):
            file.write(json.dumps(row) + "\n")
            file.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])

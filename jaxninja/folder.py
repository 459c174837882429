"""The folder of a run: its name, its lock, its metrics, which checkpoints it keeps.

runs/<name>/
    config.json  versions.json     what was trained, and with what
    metrics.jsonl                  a line for each log interval
    diagnostics.jsonl              a line for each interval of --diagnose
    checkpoints/step-<n>.safetensors   checkpoints/best.safetensors
    result.json  samples.txt  loss.png     at the end
    failure.txt                    instead, if the run cannot go on
"""

import errno
import json
import math
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from jaxninja.files import sync_folder, write_atomic, write_text


class FolderError(ValueError):
    """A run folder that cannot be made or used; the message says what to do."""


def create(root: str | Path, name: str | None, stem: str) -> Path:
    """A new run folder.

    Args:
        root: folder of the runs, made if it is missing.
        name: of the run; None takes the next free `<stem>-<n>`, n = 1, 2, ...
        stem: of the default name.

    Raises:
        FolderError: the name exists or is no plain name, or the disk refuses.
    """
    root = Path(root)
    if name is not None and not _plain(name):
        raise FolderError(
            f"name is {name!r}, expected a plain name without / or \\, control "
            "characters or space around it"
        )
    try:
        root.mkdir(parents=True, exist_ok=True)
        path = _next_free(root, stem) if name is None else _made(root / name)
    except FileExistsError:
        if not root.is_dir():
            raise FolderError(f"{root} is no folder; pass --runs FOLDER") from None
        taken = root / str(name)
        raise FolderError(
            f"{taken} exists already; pass another --name, continue that run with "
            f"--resume {taken}, or delete it"
        ) from None
    except OSError as error:
        raise FolderError(
            f"no run folder can be made in {root}: {error.strerror}; pass --runs FOLDER"
        ) from None
    return path


def _plain(name: str) -> bool:
    """Printable rules out line breaks and the NUL that mkdir chokes on."""
    outside = name in ("", ".", "..") or "/" in name or "\\" in name
    return not outside and name.isprintable() and name == name.strip()


def _made(path: Path) -> Path:
    """A new folder with one for checkpoints in it, or neither."""
    path.mkdir()
    try:
        (path / "checkpoints").mkdir()
    except OSError:
        path.rmdir()
        raise
    return path


def _next_free(root: Path, stem: str) -> Path:
    """mkdir is the arbiter, so two processes never get the same number."""
    n = 1
    while True:
        try:
            return _made(root / f"{stem}-{n}")
        except FileExistsError:
            n += 1


@contextmanager
def lock(path: Path) -> Iterator[None]:
    """Keep a run to one process. The system lifts the lock however that process ends.

    Raises:
        FolderError: another process holds it, or the disk refuses.
    """
    with _one_line(path):
        handle = os.open(path / ".lock", os.O_RDWR | os.O_CREAT, 0o666)
    try:
        if not _try_lock(handle):
            holder = os.pread(handle, 20, 0).decode() if os.name == "posix" else ""
            raise FolderError(
                f"{path} is being written by another process (pid "
                f"{holder or 'unknown'}); wait for it or stop it"
            )
        with suppress(OSError):  # a full disk: the lock holds, only the pid is missing
            os.ftruncate(handle, 0)
            os.write(handle, str(os.getpid()).encode())
        yield
    finally:
        os.close(handle)


def _try_lock(handle: int) -> bool:
    try:
        if os.name == "posix":
            import fcntl

            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        else:
            import msvcrt

            # the first byte for everyone, whatever has been written there
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)  # type: ignore
    except OSError as error:
        if error.errno in (errno.EWOULDBLOCK, errno.EACCES, errno.EDEADLK):
            return False
        raise FolderError(f"the run cannot be locked: {error.strerror}") from None
    return True


@contextmanager
def _one_line(path: Path) -> Iterator[None]:
    """What the disk refuses, as an error that says where."""
    try:
        yield
    except OSError as error:
        raise FolderError(f"{path} cannot be written: {error.strerror}") from None


def append_metrics(path: Path, record: dict[str, Any]) -> None:
    """One more JSON line. NaN and infinity, which JSON lacks, become null.

    Raises:
        FolderError: the disk is full or read-only.
    """
    record = {name: _finite(value) for name, value in record.items()}
    line = json.dumps(record, allow_nan=False) + "\n"
    with _one_line(path), path.open("a") as file:
        file.write(line)


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """All whole lines; one that a crash cut short is left out.

    Raises:
        FolderError: a whole line is not a JSON object with a step.
    """
    if not path.exists():
        return []
    text = path.read_text(encoding="utf-8", errors="replace")
    whole = text.split("\n")[:-1]  # what follows the last newline was cut short
    lines = [(n, line.strip("\0")) for n, line in enumerate(whole, 1)]
    return [_record(path, n, line) for n, line in lines if line]


def _record(path: Path, number: int, line: str) -> dict[str, Any]:
    with suppress(ValueError):
        record = json.loads(line)
        if isinstance(record, dict) and isinstance(record.get("step"), int):
            return record
    raise FolderError(
        f"{path}, line {number} is {line[:40]!r}, expected a JSON object with a step; "
        "it was altered: delete that line"
    )


def cut_metrics(path: Path, step: int) -> None:
    """Drop the lines past a step, as after going back to its checkpoint.

    Raises:
        FolderError: the disk is full or read-only; the old file is untouched.
    """
    kept = [json.dumps(m) + "\n" for m in read_metrics(path) if m["step"] <= step]
    with _one_line(path):
        write_text(path, "".join(kept))


def checkpoint_path(path: Path, step: int) -> Path:
    return path / "checkpoints" / f"step-{step:08d}.safetensors"


def checkpoints(path: Path) -> list[Path]:
    """The checkpoints of a run, the oldest first; `best` is not among them."""
    found = (path / "checkpoints").glob("step-*.safetensors")
    ours = [file for file in found if re.fullmatch(r"step-\d+", file.stem)]
    return sorted(ours, key=_step)  # as numbers: beyond 99,999,999 the padding ends


def _step(file: Path) -> int:
    return int(file.stem.removeprefix("step-"))


def latest_checkpoint(path: Path) -> Path | None:
    return next(reversed(checkpoints(path)), None)


def best_checkpoint(path: Path) -> Path | None:
    best = path / "checkpoints" / "best.safetensors"
    return best if best.exists() else None


def keep_last(path: Path, count: int) -> None:
    """Delete all but the last `count` checkpoints; the best is a file of its own.

    Raises:
        FolderError: count is below 1, or the disk refuses.
    """
    if count < 1:
        raise FolderError(f"count is {count}, expected 1 or more checkpoints to keep")
    with _one_line(path / "checkpoints"):
        for old in checkpoints(path)[:-count]:
            old.unlink(missing_ok=True)
        sync_folder(path / "checkpoints")


def mark_best(path: Path, step: int) -> None:
    """Copy a step's checkpoint to best.safetensors.

    Raises:
        FolderError: no such checkpoint, or the disk is full; the old best is untouched.
    """
    best = path / "checkpoints" / "best.safetensors"
    with _one_line(best), checkpoint_path(path, step).open("rb") as source:
        write_atomic(best, lambda file: shutil.copyfileobj(source, file))

"""The folder of a run: its name, its lock, its metrics, which checkpoints it keeps.

runs/<name>/
    config.json  versions.json     what was trained, and with what
    metrics.jsonl                  a line for each log interval
    checkpoints/step-<n>.safetensors   checkpoints/best.safetensors
    result.json  samples.txt  loss.png     at the end
"""

import errno
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
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
    if name is not None and (
        not name or name in (".", "..") or Path(name).name != name
    ):
        raise FolderError(f"name is {name!r}, expected a plain name without / or \\")
    try:
        root.mkdir(parents=True, exist_ok=True)
        path = root / name if name is not None else _next_free(root, stem)
        if name is not None:
            path.mkdir()
        (path / "checkpoints").mkdir()
    except FileExistsError:
        taken = root if not root.is_dir() else root / str(name)
        raise FolderError(
            f"{taken} exists already; pass another --name, continue that run with "
            f"--resume {taken}, or delete it"
        ) from None
    except OSError as error:
        raise FolderError(
            f"no run folder can be made in {root}: {error.strerror}; pass --runs FOLDER"
        ) from None
    return path


def _next_free(root: Path, stem: str) -> Path:
    """mkdir is the arbiter, so two processes never get the same number."""
    n = 1
    while True:
        try:
            (root / f"{stem}-{n}").mkdir()
            return root / f"{stem}-{n}"
        except FileExistsError:
            n += 1


@contextmanager
def lock(path: Path) -> Iterator[None]:
    """Keep a run to one process. The system lifts the lock however that process ends.

    Raises:
        FolderError: another process holds it, or the disk refuses.
    """
    try:
        file = open(path / ".lock", "a+")  # noqa: SIM115  (closed below, with the lock)
    except OSError as error:
        raise FolderError(f"{path} cannot be written: {error.strerror}") from None
    with file:
        if not _try_lock(file):
            file.seek(0)
            holder = file.read().strip() or "unknown"
            raise FolderError(
                f"{path} is being written by another process (pid {holder}); wait "
                "for it or stop it"
            )
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


def _try_lock(file) -> bool:
    try:
        if os.name == "posix":
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        else:
            import msvcrt

            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)  # type: ignore
    except OSError as error:
        if error.errno in (errno.EWOULDBLOCK, errno.EACCES, errno.EDEADLK):
            return False
        raise FolderError(f"{file.name} cannot be locked: {error.strerror}") from None
    return True


def append_metrics(path: Path, record: dict[str, Any]) -> None:
    """One more JSON line.

    Raises:
        FolderError: the disk is full or read-only.
    """
    line = json.dumps(record, allow_nan=False) + "\n"
    try:
        with path.open("a") as file:
            file.write(line)
    except OSError as error:
        raise FolderError(f"{path} cannot be written: {error.strerror}") from None


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """All whole lines; one that a crash cut short is left out."""
    if not path.exists():
        return []
    lines = path.read_text().split("\n")[
        :-1
    ]  # what follows the last newline is cut short
    return [json.loads(line) for line in lines if line.strip("\0")]


def cut_metrics(path: Path, step: int) -> None:
    """Drop the lines past a step, as after going back to its checkpoint."""
    kept = [json.dumps(m) + "\n" for m in read_metrics(path) if m["step"] <= step]
    write_text(path, "".join(kept))


def checkpoint_path(path: Path, step: int) -> Path:
    return path / "checkpoints" / f"step-{step:08d}.safetensors"


def checkpoints(path: Path) -> list[Path]:
    """The checkpoints of a run, the oldest first; `best` is not among them."""
    return sorted((path / "checkpoints").glob("step-*.safetensors"))


def latest_checkpoint(path: Path) -> Path | None:
    return next(reversed(checkpoints(path)), None)


def best_checkpoint(path: Path) -> Path | None:
    best = path / "checkpoints" / "best.safetensors"
    return best if best.exists() else None


def keep_last(path: Path, count: int) -> None:
    """Delete all but the last `count` checkpoints; the best is a file of its own."""
    for old in checkpoints(path)[:-count]:
        old.unlink(missing_ok=True)
    sync_folder(path / "checkpoints")


def mark_best(path: Path, step: int) -> None:
    """Copy a step's checkpoint to best.safetensors."""
    with checkpoint_path(path, step).open("rb") as source:
        best = path / "checkpoints" / "best.safetensors"
        write_atomic(best, lambda file: shutil.copyfileobj(source, file))

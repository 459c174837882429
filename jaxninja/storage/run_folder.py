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
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypedDict

from jaxninja.escaping import resume_option
from jaxninja.storage import records
from jaxninja.storage.atomic import (
    FolderError,
    remove_stale,
    sync_folder,
    temporary_name,
    write_atomic,
    write_text,
)

NONE: Mapping[str, str] = {}


def create(
    root: str | Path, name: str | None, stem: str, contents: Mapping[str, str] = NONE
) -> Path:
    """A new run folder, which appears with all its contents or not at all.

    Args:
        root: folder of the runs, made if it is missing.
        name: of the run; None takes the next free `<stem>-<n>`, n = 1, 2, ...
        stem: of the default name.
        contents: name -> text of the files that it begins with.

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
        remove_stale(root)
        path = _next_free(root, stem, contents) if name is None else root / name
        if name is not None and not _made(path, contents):
            raise FolderError(_taken(path))
    except FileExistsError:  # of root, as a file
        raise FolderError(f"{root} is no folder; pass --runs FOLDER") from None
    except OSError as error:
        raise FolderError(
            f"no run folder can be made in {root}: {error.strerror}; pass --runs FOLDER"
        ) from None
    return path


def _plain(name: str) -> bool:
    """Printable rules out line breaks and the NUL that mkdir chokes on."""
    outside = name in ("", ".", "..") or "/" in name or "\\" in name
    return not outside and name.isprintable() and name == name.strip()


def _taken(path: Path) -> str:
    resume = f"continue that run with {resume_option(path)}, "
    ours = resume if (path / "config.json").exists() else ""
    return f"{path} exists already; pass another --name, {ours}or delete it"


def _made(path: Path, contents: Mapping[str, str]) -> bool:
    """Make a folder under a temporary name and rename it; False if `path` is taken.

    The rename is the arbiter, as a folder that is not empty is never replaced: two
    processes cannot both get a name, and none ever sees half a run.
    """
    if path.exists() or path.is_symlink():
        return False
    temporary = temporary_name(path)
    temporary.mkdir()
    try:
        (temporary / "checkpoints").mkdir()
        for name, text in contents.items():
            write_text(temporary / name, text)
        temporary.rename(path)
    except BaseException as error:
        shutil.rmtree(temporary, ignore_errors=True)
        if getattr(error, "errno", None) in (errno.ENOTEMPTY, errno.EEXIST):
            return False
        raise
    sync_folder(path.parent)
    return True


def _next_free(root: Path, stem: str, contents: Mapping[str, str]) -> Path:
    n = 1
    while not _made(path := root / f"{stem}-{n}", contents):
        n += 1
    return path


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
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
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


class Line(TypedDict):
    """What each line of a .jsonl file of a run has."""

    step: int


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """All whole lines; one that a crash cut short is left out.

    Raises:
        RecordError: a whole line is not a JSON object with a step.
    """
    return [dict(line) for line in records.read_lines(path, Line)]


def cut_metrics(path: Path, step: int) -> None:
    """Drop the lines past a step, as after going back to its checkpoint.

    Raises:
        RecordError: a line is not a JSON object with a step.
        FolderError: the disk is full or read-only; the old file is untouched.
    """
    steps = (line["step"] for line in read_metrics(path))
    pairs = zip(records.whole_lines(path), steps, strict=True)
    kept = [text + "\n" for (_, text), at in pairs if at <= step]
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


def drop_after(path: Path, step: int) -> None:
    """Delete the checkpoints of later steps.

    Raises:
        FolderError: the disk refuses.
    """
    with _one_line(path / "checkpoints"):
        for file in checkpoints(path):
            if _step(file) > step:
                file.unlink(missing_ok=True)


def mark_best(path: Path, step: int) -> None:
    """Copy a step's checkpoint to best.safetensors.

    Raises:
        FolderError: no such checkpoint, or the disk is full; the old best is untouched.
    """
    best = path / "checkpoints" / "best.safetensors"
    with _one_line(best), checkpoint_path(path, step).open("rb") as source:
        write_atomic(best, lambda file: shutil.copyfileobj(source, file))

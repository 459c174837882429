"""Writing files so that a crash leaves the old or the new one, never half of either."""

import errno
import itertools
import json
import os
import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

from jaxninja.errors import UserError

TEMPORARY = ".tmp-"
STALE = 3600  # seconds after which nobody is still making a folder
_turns = itertools.count()


class FolderError(UserError, ValueError):
    """A run folder that cannot be made or used; the message says what to do."""


def temporary_name(path: Path) -> Path:
    """A name beside `path` that no other thread or process takes."""
    return path.parent / f"{TEMPORARY}{os.getpid()}-{next(_turns)}-{path.name}"


def write_atomic(path: Path, write: Callable[[BinaryIO], Any]) -> None:
    """Call `write(file)` on a temporary file beside `path`, then rename it to `path`.

    File and folder are flushed to the disk. On any error the temporary file is removed
    and what was at `path` is untouched. A link stays one: what it leads to is replaced.
    A pipe or a device, as /dev/stdout, is written to, and never replaced.

    Raises:
        OSError: full or read-only disk, and the like.
    """
    if path.exists() and not path.is_file():
        with path.open("wb") as file:
            write(file)
        return
    path = Path(os.path.realpath(path))
    temporary = temporary_name(path)
    try:
        with temporary.open("wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException as error:
        with suppress(OSError):  # the folder may be none, or take no files
            temporary.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.filename == str(temporary):
            error.filename, error.filename2 = str(path), None
        raise
    sync_folder(path.parent)


def write_text(path: Path, text: str) -> None:
    """Replace a UTF-8 text file."""
    write_atomic(path, lambda file: file.write(text.encode()))


def write_json(path: Path, value: Any) -> None:
    """Replace a JSON file."""
    write_text(path, to_json(value))


def to_json(value: Any) -> str:
    """The text of a JSON file. NaN, which JSON lacks, is an error: give None."""
    return json.dumps(value, indent=2, allow_nan=False) + "\n"


def sync_folder(folder: Path) -> None:
    """Make renames in a folder survive a power cut."""
    if os.name != "posix":
        return  # Windows cannot open a folder; its renames are journalled
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise  # those two: a network file system that has no such thing
    finally:
        os.close(handle)


def remove_temporary(folder: Path) -> None:
    """Delete what a killed process left half-written."""
    for leftover in folder.rglob(f"{TEMPORARY}*"):
        leftover.unlink(missing_ok=True)


def remove_stale(root: Path) -> None:
    """Delete folders that a killed process left half-made, once they are old."""
    for leftover in root.glob(f"{TEMPORARY}*"):
        with suppress(OSError):
            if leftover.is_dir() and time.time() - leftover.stat().st_mtime > STALE:
                shutil.rmtree(leftover)

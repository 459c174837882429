"""The one data set that is fetched: the names of Karpathy's makemore."""

import hashlib
import http.client
import os
import tempfile
import urllib.error
import urllib.request
from pathlib import Path

from jaxninja.data.text import DataError

URL = "https://raw.githubusercontent.com/karpathy/makemore/master/names.txt"
SHA256 = "0a30b5557f192f32ab962680889aac5f6fda0f4cecf40a6d0b5694f58ea8cc4d"


def makemore(cache: Path | None = None, url: str = URL, sha256: str = SHA256) -> Path:
    """Path of makemore's names.txt in the cache, downloaded if it is not there.

    Args:
        cache: folder; by default the user's cache folder of this platform.
        url: where it comes from.
        sha256: what it must be. A cached file that is something else is fetched again.

    Raises:
        DataError: it cannot be fetched, or is not the file expected.
    """
    if cache is None:
        import platformdirs

        cache = Path(platformdirs.user_cache_dir("jaxninja"))
    path = cache / "makemore-names.txt"
    if path.is_file() and _sha256(path.read_bytes()) == sha256:
        return path
    content = _fetch(url, path)
    if _sha256(content) != sha256:
        raise DataError(
            f"{url} gave {len(content):,} bytes of sha256 {_sha256(content)[:12]}..., "
            f"expected {sha256[:12]}...; nothing was kept. Try again, or put the right "
            f"file at {path}"
        )
    try:
        _write(path, content)
    except OSError as error:
        raise DataError(f"{path} cannot be written: {error.strerror}") from None
    return path


def _fetch(url: str, path: Path) -> bytes:
    try:
        with urllib.request.urlopen(url, timeout=30) as response:
            return response.read()
    except (OSError, http.client.HTTPException) as error:
        if isinstance(error, urllib.error.HTTPError):
            error.close()  # it is an open response as well
        reason = getattr(error, "reason", error)
        raise DataError(
            f"{url} cannot be fetched ({reason}). Without a network, train on the "
            f"embedded data (--data names), or put that file at {path}"
        ) from None


def _write(path: Path, content: bytes) -> None:
    """To a temporary name, then renamed: no reader ever sees half a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()

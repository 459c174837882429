"""What is fetched: the names of Karpathy's makemore, and tiny Shakespeare."""

import hashlib
import http.client
import urllib.error
import urllib.request
from pathlib import Path

from jaxninja.data.text import DataError
from jaxninja.storage.atomic import write_atomic

URL = "https://raw.githubusercontent.com/karpathy/makemore/master/names.txt"
SHA256 = "0a30b5557f192f32ab962680889aac5f6fda0f4cecf40a6d0b5694f58ea8cc4d"
TINY = (
    "https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/"
    "input.txt"
)
TINY_SHA256 = "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed"


def makemore(cache: Path | None = None, url: str = URL, sha256: str = SHA256) -> Path:
    """Path of makemore's names.txt in the cache, downloaded if it is not there.

    Args:
        cache: folder; by default the user's cache folder of this platform.
        url: where it comes from.
        sha256: what it must be. A cached file that is something else is fetched again.

    Raises:
        DataError: it cannot be fetched, or is not the file expected.
    """
    folder = cache_folder() if cache is None else cache
    return _cached(folder / "makemore-names.txt", url, sha256, "--data names")


def tinyshakespeare(
    cache: Path | None = None, url: str = TINY, sha256: str = TINY_SHA256
) -> Path:
    """Path of tiny Shakespeare, 1,115,394 characters; args and errors as `makemore`."""
    folder = cache_folder() if cache is None else cache
    return _cached(folder / "tinyshakespeare.txt", url, sha256, "--data FILE")


def cache_folder() -> Path:
    """The user's cache folder of this platform."""
    import platformdirs

    return Path(platformdirs.user_cache_dir("jaxninja"))


def _cached(path: Path, url: str, sha256: str, instead: str) -> Path:
    if path.is_file() and _sha256(path.read_bytes()) == sha256:
        return path
    content = _fetch(url, path, instead)
    if _sha256(content) != sha256:
        raise DataError(
            f"{url} gave {len(content):,} bytes of sha256 {_sha256(content)[:12]}..., "
            f"expected {sha256[:12]}...; nothing was kept. Try again, or put the right "
            f"file at {path}"
        )
    write_whole(path, content)
    return path


def write_whole(path: Path, content: bytes) -> None:
    """Write a file of the cache, which appears whole or not at all.

    Raises:
        DataError: the disk refuses.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, lambda file: file.write(content))
    except OSError as error:
        raise DataError(f"{path} cannot be written: {error.strerror}") from None


def _fetch(url: str, path: Path, instead: str) -> bytes:
    try:
        with urllib.request.urlopen(url, timeout=30) as response:
            return response.read()
    except (OSError, http.client.HTTPException) as error:
        if isinstance(error, urllib.error.HTTPError):
            error.close()  # it is an open response as well
        reason = getattr(error, "reason", error)
        raise DataError(
            f"{url} cannot be fetched ({reason}). Without a network, train on other "
            f"data ({instead}), or put that file at {path}"
        ) from None


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()

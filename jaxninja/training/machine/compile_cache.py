"""XLA's compiled programs on disk, so that a second start compiles nothing.

JAX does the work: its persistent compilation cache, which stores by default only what
took a second to compile. Here it is given a per-user folder and told to store all.
An entry that was damaged it warns of at every start, compiles, and never writes anew,
since there is one: it is removed here.
"""

import glob
import re
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import platformdirs

from jaxninja.training.machine.devices import config_value

EVENTS = {
    "/jax/compilation_cache/cache_hits": "hits",
    "/jax/compilation_cache/cache_misses": "misses",
}


def enable() -> Path | None:
    """Turn the cache on for this process; a setting of the user's is left as it is.

    Those are JAX_COMPILATION_CACHE_DIR, JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS and
    JAX_ENABLE_COMPILATION_CACHE=false, or the same in `jax.config`.

    Returns:
        The cache's folder, or None if it is off or its folder cannot be made.
    """
    if not config_value("jax_enable_compilation_cache"):
        return None
    if config_value("jax_compilation_cache_dir") is None:
        folder = Path(platformdirs.user_cache_dir("jaxninja")) / "xla"
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError:  # JAX would warn of it at each program
            return None
        jax.config.update("jax_compilation_cache_dir", str(folder))
    least = "jax_persistent_cache_min_compile_time_secs"
    if config_value(least) == 1.0:  # JAX's default
        jax.config.update(least, 0.0)
    if not isinstance(warnings.showwarning, Filter):
        warnings.showwarning = Filter(warnings.showwarning)
    return Path(config_value("jax_compilation_cache_dir"))


DAMAGED = re.compile(r"Error reading persistent compilation cache entry for '(.+?)'")


class Filter:
    """Shows warnings, but for those of damaged entries, which it removes.

    They name a module only; of all entries of that name JAX writes anew those in use,
    and this one at once.
    """

    def __init__(self, show: Callable[..., None]) -> None:
        self.show = show

    def __call__(self, message: Any, *where: Any, **more: Any) -> None:
        found = DAMAGED.match(str(message))
        if not (found and _remove(found[1])):
            self.show(message, *where, **more)


def _remove(module: str) -> bool:
    """True if there was an entry, and the folder let it go."""
    folder = Path(config_value("jax_compilation_cache_dir") or ".")
    entries = list(folder.glob(f"{glob.escape(module)}-*-cache"))
    try:
        for entry in entries:
            entry.unlink(missing_ok=True)
    except OSError:  # it may not be ours
        return False
    return bool(entries)


@dataclass
class Seen:
    """What compiling took, and whether the cache had it."""

    hits: int = 0
    misses: int = 0
    seconds: float = 0.0

    def __str__(self) -> str:
        took = f"in {self.seconds:.2f} s"
        if self.hits + self.misses == 0:
            return f"{took} (compilation cache not used)"
        found = "miss" if self.misses else "hit"
        folder = config_value("jax_compilation_cache_dir")
        return f"{took} (compilation cache: {found}, {folder})"


@contextmanager
def watch() -> Iterator[Seen]:
    """Count what the cache is asked for meanwhile, by any thread."""
    seen = Seen()

    def listen(event: str, **_: Any) -> None:
        if event in EVENTS:
            setattr(seen, EVENTS[event], getattr(seen, EVENTS[event]) + 1)

    jax.monitoring.register_event_listener(listen)
    start = time.perf_counter()
    try:
        yield seen
    finally:
        seen.seconds = time.perf_counter() - start
        jax.monitoring.unregister_event_listener(listen)

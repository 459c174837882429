"""Signals that are noted when they come and acted on when it is safe."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import jax
from jax.sharding import Mesh

from jaxninja.escaping import resume_option


class Interrupted(KeyboardInterrupt):
    """Ctrl-C or the like, after saving.

    Attributes:
        path: where.
        step: steps taken.
        signum: which signal it was.
        again: the command that goes on.
    """

    def __init__(
        self, path: Path, step: int, signum: int, command: str = "train"
    ) -> None:
        super().__init__(f"stopped at step {step}, saved in {path}")
        self.path, self.step, self.signum = path, step, signum
        self.again = f"jaxninja {command} {resume_option(path)}"


@contextmanager
def caught_signals(mesh: Mesh | None) -> Iterator[list[int]]:
    """Ctrl-C and the like are noted, and acted on when safe; a second acts at once.

    Noted are SIGINT, SIGTERM and SIGHUP (the terminal was closed), unless they are
    ignored, as under nohup. With several processes SIGTERM is left to JAX, which tells
    all of them.
    """
    caught: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield caught  # only the main thread may set handlers
        return

    def note(signum, _frame):
        caught.append(signum)
        for number, handler in before.items():
            signal.signal(number, handler)

    alone = mesh is None or jax.process_count() == 1
    names = ("SIGINT", "SIGHUP", "SIGTERM")[: 3 if alone else 2]
    known = [getattr(signal, n) for n in names if hasattr(signal, n)]  # Windows: no HUP
    heeded = [n for n in known if signal.getsignal(n) is not signal.SIG_IGN]
    before = {n: signal.signal(n, note) for n in heeded}
    try:
        yield caught
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

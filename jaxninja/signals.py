"""Signals that are noted when they come and acted on when it is safe."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import jax
from jax.sharding import Mesh


class Interrupted(KeyboardInterrupt):
    """Ctrl-C or SIGTERM; the run was saved. `signum` says which, `path` where."""

    def __init__(self, path: Path, step: int, signum: int) -> None:
        super().__init__(f"stopped at step {step}, saved in {path}")
        self.path, self.step, self.signum = path, step, signum


@contextmanager
def caught_signals(mesh: Mesh | None) -> Iterator[list[int]]:
    """Ctrl-C and SIGTERM are noted and acted on when safe; a second acts at once.

    With several processes SIGTERM is left to JAX, which tells all of them.
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
    numbers = (signal.SIGINT, signal.SIGTERM) if alone else (signal.SIGINT,)
    before = {n: signal.signal(n, note) for n in numbers}
    try:
        yield caught
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

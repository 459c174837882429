"""Who hears of a training run: nobody, a bar, a notebook's cell, or plain lines."""

import os
import shutil
import sys
import time
from collections.abc import Callable
from typing import Any

from jaxninja.training.machine.rate import digits


class Progress:
    """Says nothing. Its methods are what `train` tells a listener."""

    def say(self, line: str) -> None:
        """A line of text for a person."""

    def start(self, step: int, steps: int) -> None:
        """The loop begins at `step` of `steps`."""

    def update(self, step: int, loss: float, rate: float) -> None:
        """`step` is done; mean loss since the last call; steps per second so far."""

    def stop(self) -> None:
        """The loop ended, well or not."""


class Bar(Progress):
    """A bar on a terminal, within its width; text goes above it."""

    def __init__(self, write: Callable[[str], Any] | None = None) -> None:
        self._write = write
        self._bar: Any = None

    def say(self, line: str) -> None:
        if self._write is None:
            return
        if self._bar is None:
            self._write(line)
        else:  # else it would go on in the line that the bar stands in
            self._bar.clear()
            self._write(line)
            self._bar.refresh()

    def start(self, step: int, steps: int) -> None:
        from tqdm.std import tqdm

        # disable=None: no bar where the output is not a terminal
        self._bar = tqdm(
            total=steps,
            initial=step,
            unit=" steps",
            disable=None,
            dynamic_ncols=True,
            bar_format=_format(),
        )

    def update(self, step: int, loss: float, rate: float) -> None:
        self._bar.bar_format = _format()
        self._bar.set_postfix_str(f"loss {loss:.4f}", refresh=False)
        self._bar.update(step - self._bar.n)

    def stop(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None


BAR = "{percentage:3.0f}% |{bar}| {n_fmt}/{total_fmt} "
BAR += "[{elapsed}<{remaining}, {rate_fmt}{postfix}]"
NARROW = "{n_fmt}/{total_fmt}{postfix}, {remaining} left"  # 40 columns hold it


def _format() -> str:
    """Of the bar in a terminal of this width, which may change at any time."""
    try:
        columns = os.get_terminal_size(sys.stderr.fileno()).columns
    except (OSError, ValueError, AttributeError):
        columns = 0
    return BAR if (columns or shutil.get_terminal_size().columns) >= 70 else NARROW


class Cell(Progress):
    """A line below a notebook's cell that is kept up to date: text, not a widget, so
    that a saved notebook shows how it ended."""

    def __init__(self) -> None:
        self._handle: Any = None
        self._text = ""
        self._steps, self._shown = 0, 0.0

    def start(self, step: int, steps: int) -> None:
        from IPython.display import display

        self._steps, self._shown = steps, 0.0
        self._text = f"step {step:,} of {steps:,}"
        self._handle = display(_plain(self._text), display_id=True, raw=True)

    def update(self, step: int, loss: float, rate: float) -> None:
        left = (self._steps - step) / max(rate, 1e-9)
        self._text = (
            f"step {step:,} of {self._steps:,}, loss {loss:.4f}, {digits(rate)} steps/s"
        )
        if time.monotonic() - self._shown > SELDOM:
            self._show(f"{self._text}, {left:,.0f} s left")

    def stop(self) -> None:
        if self._handle is not None:
            self._show(self._text)
            self._handle = None

    def _show(self, text: str) -> None:
        self._shown = time.monotonic()
        self._handle.update(_plain(text), raw=True)


SELDOM = 0.25  # seconds: nobody reads faster


def _plain(text: str) -> dict[str, str]:
    return {"text/plain": text}


def default() -> Progress:
    """Who listens if nobody was named: a notebook's cell, or a terminal."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return Bar() if getattr(shell, "kernel", None) is None else Cell()


class Lines(Progress):
    """Plain lines, about twenty for a run, for logs and pipes."""

    def __init__(self, write: Callable[[str], Any]) -> None:
        self._write = write
        self._steps = self._next = 0

    def say(self, line: str) -> None:
        self._write(line)

    def start(self, step: int, steps: int) -> None:
        self._steps, self._next = steps, step

    def update(self, step: int, loss: float, rate: float) -> None:
        if step >= self._next or step == self._steps:
            self.say(
                f"step {step:>7}/{self._steps}  loss {loss:.4f}  {digits(rate)} steps/s"
            )
            self._next = step + self._steps // 20

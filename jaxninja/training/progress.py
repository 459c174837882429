"""Who hears of a training run: nobody, a tqdm bar, or plain lines."""

from collections.abc import Callable
from typing import Any

from jaxninja.errors import ArgumentTypeError
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
    """A tqdm bar on a terminal or in a notebook; text goes above it."""

    def __init__(self, write: Callable[[str], Any] | None = None) -> None:
        self._write = write
        self._bar: Any = None

    def say(self, line: str) -> None:
        if self._write is not None:
            self._write(line)

    def start(self, step: int, steps: int) -> None:
        from tqdm.auto import tqdm

        # disable=None: no bar where the output is not a terminal
        self._bar = tqdm(total=steps, initial=step, unit="step", disable=None)

    def update(self, step: int, loss: float, rate: float) -> None:
        self._bar.set_postfix_str(f"loss {loss:.4f}", refresh=False)
        self._bar.update(step - self._bar.n)

    def stop(self) -> None:
        if self._bar is not None:
            self._bar.close()


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


def expect_progress(progress: Any) -> Any:
    """`progress` itself, if it has the methods of `Progress` or is None.

    Raises:
        TypeError: it has not.
    """
    methods = ("say", "start", "update", "stop")
    if progress is not None and not all(hasattr(progress, m) for m in methods):
        raise ArgumentTypeError(
            f"progress is {progress!r}, expected an object as "
            "jaxninja.training.progress.Bar(); Progress() there says nothing"
        )
    return progress

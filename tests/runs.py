"""What tests that train share: a few items, and who listens to a training."""

import os
import signal

from jaxninja.training.progress import Progress

ITEMS = [f"{a}{b}{c}" for a in "abcdef" for b in "xyz" for c in ("", "q", "rr")]


class Heard(Progress):
    """Keeps what is said."""

    def __init__(self):
        self.lines = []

    def say(self, line):
        self.lines.append(line)


class StopAt(Heard):
    """Asks to stop at a step; Ctrl-C is ignored by what runs in the background."""

    def __init__(self, step):
        super().__init__()
        self.step = step

    def update(self, step, loss, rate):
        if step == self.step:
            os.kill(os.getpid(), signal.SIGTERM)

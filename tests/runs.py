"""What tests that train share: a few items, who listens, and what is the same."""

import os
import signal

import jax
import numpy as np

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


def same_bits(a, b):
    """Whether two pytrees of arrays, as states of a training, are equal to the bit."""
    pairs = zip(*map(jax.tree.leaves, (a, b)), strict=True)
    return all(np.asarray(x).tobytes() == np.asarray(y).tobytes() for x, y in pairs)

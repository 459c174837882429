"""A text as a model reads it: tokens to draw batches from, and rows to evaluate."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from jaxninja.data.corpus import Corpus, drawn, windows
from jaxninja.data.text import Examples
from jaxninja.data.tokenizers import Tokenizer

EVALUATED = 2**17  # tokens of a part, evenly spread, that its loss is the mean over


@dataclass(frozen=True)
class RunningText:
    """A corpus in sequences of `context` tokens; beside `datasets.Dataset`, of items.

    Attributes:
        corpus: the text, split and encoded.
        context: tokens of a sequence.
    """

    corpus: Corpus
    context: int

    @property
    def vocabulary(self) -> Tokenizer:
        return self.corpus.tokenizer

    @property
    def sha256(self) -> str:
        return self.corpus.sha256

    @cached_property
    def train(self) -> Examples:
        """The rows of the first part that its loss is evaluated on."""
        return Examples(*windows(self.corpus.train, self.context, EVALUATED))

    @cached_property
    def val(self) -> Examples:
        """The same of the second part."""
        return Examples(*windows(self.corpus.val, self.context, EVALUATED))

    @property
    def parts(self) -> dict[str, Examples]:
        """The rows of both parts by name."""
        return {"train": self.train, "val": self.val}

    @property
    def summary(self) -> str:
        """How much there is."""
        train, val = (f"{len(a):,}" for a in (self.corpus.train, self.corpus.val))
        by = f"{len(self.vocabulary):,} by {self.vocabulary.name}"
        return f"{train} / {val} tokens of train / val, of {by}"

    def batches(self, seed: int, start: int, steps: int, size: int) -> np.ndarray:
        """[steps, size, context + 1] tokens, uint16: of each step from `start` on."""
        each = range(start, start + steps)
        rows = [drawn(self.corpus.train, seed, n, size, self.context) for n in each]
        return np.stack(rows)

"""A data set by its name or its path: read, split and encoded."""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from jaxninja.data import corpus
from jaxninja.data.download import makemore
from jaxninja.data.splits import clean_items, split_items
from jaxninja.data.text import (
    DataError,
    Examples,
    Vocabulary,
    examples,
    read_items,
    sequences,
)
from jaxninja.errors import did_you_mean

EMBEDDED = ("names", "surnames")
NAMED = (*EMBEDDED, "makemore")


@dataclass(frozen=True)
class Dataset:
    """A data set, split and encoded.

    Attributes:
        items: all of them, in the order of the file.
        vocabulary: of all items.
        train, val, test: of the shuffled items, see `splits`.
        clean_val: those of val that do not occur in train as well.
        sha256: of the items, to know them again.
    """

    items: tuple[str, ...]
    vocabulary: Vocabulary
    train: Examples
    val: Examples
    clean_val: Examples
    test: Examples
    sha256: str

    @property
    def parts(self) -> dict[str, Examples]:
        """The encoded parts by name."""
        names = ("train", "val", "clean_val", "test")
        return {name: getattr(self, name) for name in names}

    @property
    def summary(self) -> str:
        """How much there is."""
        parts = (self.train, self.val, self.test)
        sizes = " / ".join(f"{len(part.y):,}" for part in parts)
        return f"{sizes} examples of train / val / test"


def load_dataset(
    data: str, context: int = 3, split: str = "lecture", whole: bool = False
) -> Dataset:
    """Read, split and encode; for the errors see `load_items` and `split_items`.

    Args:
        data: as for `load_items`.
        context: symbols of an example.
        split: `lecture` or `makemore`.
        whole: the items as padded sequences, else in windows.
    """
    items = load_items(data)
    vocabulary = Vocabulary.of(items)
    if len(vocabulary) < 3:
        only = vocabulary.symbols[1]
        raise DataError(
            f"{data} holds one character only, {only!r}, expected 2 or more"
        )
    train, val, test = split_items(items, split)
    parts = (train, val, clean_items(val, train), test)
    names = ("train", "val", "clean_val", "test")
    encode = sequences if whole else examples
    encoded = [encode(part, vocabulary, context) for part in parts]
    sha256 = hashlib.sha256("\n".join(items).encode()).hexdigest()
    named = dict(zip(names, encoded, strict=True))
    return Dataset(tuple(items), vocabulary, sha256=sha256, **named)


def load_items(data: str) -> list[str]:
    """The items of a data set.

    Args:
        data: `names` or `surnames` (embedded), `makemore` (downloaded once into the
            per-user cache), or the path of a UTF-8 text file with one item a line.

    Raises:
        DataError: no such data, or they cannot be read; see `read_items`.
    """
    if data in EMBEDDED:
        return read_items(_embedded(data))
    if data == "makemore":
        return read_items(makemore())
    # os.path.exists, as Path.exists raises on a name too long for the disk.
    if data == Path(data).name and not os.path.exists(data):
        hint = did_you_mean(data.lower(), NAMED)
        if data in corpus.NAMED:
            hint = "; that is running text: --model gpt2"
        expected = f"expected {', '.join(NAMED)} or the path of a text file"
        raise DataError(f"data is {data!r}, {expected}{hint}")
    return read_items(Path(data))


def _embedded(name: str) -> Path:
    """The file's place in an installed wheel or, failing that, in a checkout."""
    package = Path(__file__).parents[1]
    places = (package / "_data", package.parent / "data")
    return next(p / f"{name}.txt" for p in places if (p / f"{name}.txt").exists())

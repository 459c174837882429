"""Text file -> items -> vocabulary, splits, examples, batches. Pure and seeded.

An item is a line: a name, say. The network predicts each of its symbols, and then the
boundary, from the `context` symbols before; before the first symbol stand boundaries.
"""

import difflib
import hashlib
import os
import random
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np

LONGEST = 1_000  # characters; a longer line is more likely a file of another kind
# Control characters but the tab, line and paragraph separators, byte order marks.
NO_TEXT = re.compile("[\0-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029\ufeff\ufffe]")
EMBEDDED = ("names", "surnames")
NAMED = (*EMBEDDED, "makemore")


class DataError(ValueError):
    """Data that cannot be trained on; the message names file and line where it can."""


@dataclass(frozen=True)
class Vocabulary:
    """Symbols and their ids. Id 0 is the boundary, which is no character.

    Attributes:
        symbols: "" for the boundary, then the characters, sorted.
    """

    symbols: tuple[str, ...]

    @classmethod
    def of(cls, items: Iterable[str]) -> "Vocabulary":
        """The vocabulary of some items."""
        return cls(("", *sorted(set("".join(items)))))

    def check(self) -> None:
        """Refuse what `of` cannot have made.

        Raises:
            DataError: the first symbol is not the boundary, or the others are not
                single characters in their order.
        """
        boundary, rest = self.symbols[:1], self.symbols[1:]
        single = all(len(symbol) == 1 for symbol in rest)
        if boundary != ("",) or not single or list(rest) != sorted(set(rest)):
            raise DataError(
                'the vocabulary was altered: expected the boundary "" and then single '
                "characters, sorted"
            )

    @property
    def sha256(self) -> str:
        """Of the symbols in their order, to know them again."""
        text = "".join(self.symbols).encode("utf-8", "surrogatepass")
        return hashlib.sha256(text).hexdigest()

    def __len__(self) -> int:
        return len(self.symbols)

    @cached_property
    def ids(self) -> dict[str, int]:
        return {symbol: i for i, symbol in enumerate(self.symbols) if symbol}

    @property
    def boundary(self) -> str:
        """How the boundary is shown: `.`, or `<.>` where the data hold a full stop."""
        return "<.>" if "." in self.ids else "."

    def encode(self, item: str) -> list[int]:
        """Ids of an item's characters, without boundaries.

        Raises:
            DataError: a character is not in the vocabulary.
        """
        unknown = [c for c in item if c not in self.ids]
        if unknown:
            known = "".join(self.symbols)
            raise DataError(f"{item!r} holds {unknown[0]!r}, expected only {known!r}")
        return [self.ids[c] for c in item]

    def decode(self, ids: Iterable[int]) -> str:
        """Inverse of encode; a boundary becomes nothing."""
        return "".join(self.symbols[i] for i in ids)

    def show(self, ids: Iterable[int]) -> str:
        """For a person: boundaries are visible."""
        return "".join(self.symbols[i] or self.boundary for i in ids)


class Examples(NamedTuple):
    """x [N, context] int32: the symbols before; y [N] int32: the symbol to predict."""

    x: np.ndarray
    y: np.ndarray


@dataclass(frozen=True)
class Dataset:
    """A data set, split and encoded.

    Attributes:
        items: all of them, in the order of the file.
        vocabulary: of all items.
        train, val, test: 80, 10 and 10 per cent of the shuffled items.
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


def load_dataset(data: str, context: int = 3) -> Dataset:
    """Read, split and encode; for the errors see `load_items` and `split_items`."""
    items = load_items(data)
    vocabulary = Vocabulary.of(items)
    if len(vocabulary) < 3:
        only = vocabulary.symbols[1]
        raise DataError(
            f"{data} holds one character only, {only!r}, expected 2 or more"
        )
    train, val, test = split_items(items)
    parts = (train, val, clean_items(val, train), test)
    names = ("train", "val", "clean_val", "test")
    encoded = [examples(part, vocabulary, context) for part in parts]
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
        from jaxninja.data.datasets import makemore

        return read_items(makemore())
    # os.path.exists, as Path.exists raises on a name too long for the disk.
    if data == Path(data).name and not os.path.exists(data):
        near = difflib.get_close_matches(data.lower(), NAMED, 1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        expected = f"expected {', '.join(NAMED)} or the path of a text file"
        raise DataError(f"data is {data!r}, {expected}{hint}")
    return read_items(Path(data))


def absolute(data: str) -> str:
    """The same data, wherever one stands: a path is made absolute."""
    return data if data in NAMED else os.path.abspath(data)


def _embedded(name: str) -> Path:
    """The file's place in an installed wheel or, failing that, in a checkout."""
    package = Path(__file__).parents[1]
    places = (package / "_data", package.parent / "data")
    return next(p / f"{name}.txt" for p in places if (p / f"{name}.txt").exists())


def read_items(path: Path) -> list[str]:
    """The lines of a text file, case kept, blank lines and space around lines dropped.

    So is a byte order mark at the start; a line ends in LF, CRLF or CR. A single
    character is a legal item.

    Raises:
        DataError: there is no such file, it is not UTF-8, it has no items, an item has
            more than 1,000 characters, or one that ends lines elsewhere or is none
            (control characters other than the tab, U+2028, a byte order mark).
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        byte = error.object[error.start]
        utf16 = error.object[:2] in (b"\xff\xfe", b"\xfe\xff")
        is_not = "is UTF-16" if utf16 else "is not UTF-8"
        raise DataError(
            f"{path}, line {line}: byte 0x{byte:02x} {is_not}; save it as UTF-8"
        ) from None
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from None
    raw = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    lines = [_item(f"{path}, line {n}", line) for n, line in enumerate(raw, 1)]
    items = [line for line in lines if line]
    if not items:
        raise DataError(f"{path} is empty, expected one item a line")
    return items


def _item(place: str, line: str) -> str:
    """A line without the space around it."""
    odd = NO_TEXT.search(line)
    if odd:
        utf16 = "; is the file UTF-16? save it as UTF-8" if odd[0] == "\0" else ""
        raise DataError(
            f"{place}: U+{ord(odd[0]):04X} at character {odd.start() + 1}, expected "
            f"text without control characters{utf16}"
        )
    line = line.strip()
    if len(line) > LONGEST:
        raise DataError(
            f"{place}: {len(line):,} characters, expected at most {LONGEST:,}; put one "
            "item on each line"
        )
    return line


def split_items(items: Sequence[str]) -> tuple[list[str], list[str], list[str]]:
    """The lecture's split: shuffled with Python's seed 42, then 80, 10 and 10 per cent.

    Raises:
        DataError: so few items that a part would be empty.
    """
    shuffled = list(items)
    random.Random(42).shuffle(shuffled)
    n1, n2 = int(0.8 * len(items)), int(0.9 * len(items))
    parts = shuffled[:n1], shuffled[n1:n2], shuffled[n2:]
    if not all(parts):
        counts = "/".join(str(len(part)) for part in parts)
        raise DataError(
            f"{len(items)} items split into {counts} for train/val/test, expected at "
            "least one in each; 10 items are enough"
        )
    return parts


def clean_items(val: Iterable[str], train: Iterable[str]) -> list[str]:
    """The items of val that do not occur in train."""
    known = set(train)
    return [item for item in val if item not in known]


def examples(items: Iterable[str], vocabulary: Vocabulary, context: int) -> Examples:
    """A window for each symbol of each item, and one for the boundary that ends it."""
    pad = [0] * context
    stream: list[int] = []
    starts: list[int] = []
    for item in items:
        starts += range(len(stream), len(stream) + len(item) + 1)
        stream += [*pad, *vocabulary.encode(item), 0]
    flat = np.array(stream, np.int32)
    start = np.array(starts, np.int64)
    x = flat[start[:, None] + np.arange(context)]
    return Examples(x, flat[start + context])


def batch_indices(key: jax.Array, step, batch_size: int, n: int) -> jax.Array:
    """[batch_size] indices in [0, n), a function of (key, step) alone."""
    key = jax.random.fold_in(key, step)
    return jax.random.randint(key, (batch_size,), 0, n, np.int32)  # in x64 mode too


def check_ids(ids, size: int, what: str) -> None:
    """Refuse ids outside [0, size): JAX would clamp some and make NaN of others.

    Raises:
        DataError: names the first one and its place; or ids are not integers.
    """
    array = np.asarray(ids)
    if array.size and not np.issubdtype(array.dtype, np.integer):
        raise DataError(f"{what} of type {array.dtype}, expected integers")
    wrong = np.argwhere((array < 0) | (array >= size))
    if len(wrong):
        place = tuple(wrong[0].tolist())
        at = f"[{', '.join(map(str, place))}]" if place else ""
        raise DataError(f"{what}{at} is {array[place]}, expected 0 to {size - 1}")

"""Text file -> items -> vocabulary, examples, batches. Pure and seeded.

An item is a line: a name, say. The network predicts each of its symbols, and then the
boundary: from a window of the `context` symbols before, where before the first symbol
stand boundaries, or from all of the item before, if it reads whole sequences.
"""

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np

from jaxninja.errors import UserError

IGNORED = -1  # a label that is none: padding
LONGEST = 1_000  # characters; a longer line is more likely a file of another kind
# Control characters but the tab, line and paragraph separators, byte order marks.
NO_TEXT = re.compile("[\0-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029\ufeff\ufffe]")
# How files begin that a program packed
PACKED = {b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ": "xz", b"PK": "zip"}


class DataError(UserError, ValueError):
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
    """x int32, the symbols before; y int32, the symbols to predict.

    Of windows x is [N, context] and y is [N]; of sequences both are [N, context], and
    IGNORED in y marks a place at which nothing is predicted.
    """

    x: np.ndarray
    y: np.ndarray

    @property
    def predicted(self) -> int:
        """How many symbols there are to predict: the mean loss is over these."""
        return int((self.y != IGNORED).sum())


def read_items(path: Path) -> list[str]:
    """The lines of a text file, case kept, blank lines and space around lines dropped.

    So is a byte order mark at the start; a line ends in LF, CRLF or CR. A single
    character is a legal item.

    Raises:
        DataError: there is no such file, it is not UTF-8, it has no items, an item has
            more than 1,000 characters, or one that ends lines elsewhere or is none
            (control characters other than the tab, U+2028, a byte order mark).
    """
    text = decoded(path, read_bytes(path))
    raw = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    lines = [_item(f"{path}, line {n}", line) for n, line in enumerate(raw, 1)]
    items = [line for line in lines if line]
    if not items:
        raise DataError(f"{path} is empty, expected one item a line")
    return items


def read_bytes(path: Path) -> bytes:
    """All of a file.

    Raises:
        DataError: there is no such file, or it cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from None


def decoded(path: Path, content: bytes) -> str:
    """The text of a file in UTF-8, without a byte order mark at its start.

    Raises:
        DataError: it is not UTF-8; names the line, or what packed the file.
    """
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        at = error.start
    packed = [name for head, name in PACKED.items() if content.startswith(head)]
    if packed:
        raise DataError(f"{path} is packed by {packed[0]}, expected text; unpack it")
    line = content[:at].count(b"\n") + 1
    utf16 = content.startswith((b"\xff\xfe", b"\xfe\xff"))
    is_not = "is UTF-16" if utf16 else "is not UTF-8"
    raise DataError(
        f"{path}, line {line}: byte 0x{content[at]:02x} {is_not}; save it as UTF-8"
    )


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


def sequences(items: Sequence[str], vocabulary: Vocabulary, context: int) -> Examples:
    """Each item whole, in a row: its symbols, and for each the one that follows.

    Args:
        items: none longer than context - 1.
        vocabulary: of the items.
        context: length of the rows.

    Returns:
        x [N, context], the boundary and the item's symbols, padded with 0; y [N,
        context], the item's symbols and the boundary, padded with -1, IGNORED.

    Raises:
        DataError: an item is too long.
    """
    x = np.zeros((len(items), context), np.int32)
    y = np.full((len(items), context), IGNORED, np.int32)
    for row, item in enumerate(items):
        if len(item) >= context:
            raise DataError(
                f"{item!r} has {len(item)} symbols, expected at most {context - 1} in "
                f"a context of {context}"
            )
        ids = vocabulary.encode(item)
        x[row, 1 : len(ids) + 1] = ids
        y[row, : len(ids) + 1] = [*ids, 0]
    return Examples(x, y)


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

"""Running text as training data: tokens of 90 % to train on and of 10 % to validate.

A model of running text reads T tokens from anywhere and predicts each one's successor,
so there are no items and no padding. Tokens are kept in flat files in the per-user
cache and are read from there by memory map, however large the text.
"""

import codecs
import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Int

from jaxninja.data import token_files
from jaxninja.data.download import cache_folder, tinyshakespeare
from jaxninja.data.text import DataError, decoded, read_bytes
from jaxninja.data.tokenizers import Tokenizer, of_symbols, tokenizer
from jaxninja.errors import did_you_mean

NAMED = ("tinyshakespeare",)
SHARE = 0.9  # of the text, its beginning, is for training


class Batch(NamedTuple):
    """What a model of sequences takes."""

    ids: Int[np.ndarray, "N T"]
    labels: Int[np.ndarray, "N T"]  # the tokens after them; -1 where there is none


@dataclass(frozen=True)
class Corpus:
    """A text, split and encoded; `train` and `val` are uint16, mapped if cached."""

    train: Int[np.ndarray, "T"]
    val: Int[np.ndarray, "S"]
    tokenizer: Tokenizer
    sha256: str  # of the text, or of the tokens that were given

    def check(self, context: int) -> None:
        """Refuse a part that is shorter than a block.

        Raises:
            DataError: names the part, its length and what to change.
        """
        for name in ("train", "val"):
            if len(getattr(self, name)) <= context:
                raise DataError(
                    f"the {name} part of the text has {len(getattr(self, name)):,} "
                    f"tokens, expected more than the context of {context:,}; give a "
                    "longer text or a smaller --context"
                )


def load_corpus(
    data: str,
    name: str = "byte",
    files: str | Path | None = None,
    cache: Path | None = None,
) -> Corpus:
    """Read, split and encode, or find it done in the cache.

    Args:
        data: `tinyshakespeare` (downloaded once), the path of a UTF-8 text file, or of
            tokens in nanoGPT's or llm.c's format, ending in .bin: one file, or that for
            training, with `train` in its name, beside the same with `val`.
        name: of the tokenizer: char, byte or gpt2.
        files: for gpt2, see `tokenizers.tokenizer`.
        cache: folder; by default the user's cache folder of this platform.

    Raises:
        DataError: the data cannot be read, are no text, or are not of this tokenizer.
    """
    cache = cache_folder() if cache is None else cache
    if data.endswith(".bin"):
        return _given(Path(data), name, files)
    data = str(tinyshakespeare(cache)) if data in NAMED else data
    path, content = Path(data), _content(data)
    sha256 = hashlib.sha256(content).hexdigest()
    kept = cache / "tokens" / f"{sha256[:32]}-{name}"
    try:
        return _kept(kept, name, files, sha256)
    except (DataError, OSError, ValueError, KeyError):
        pass  # not made yet, or altered: made again
    made = _encoded(_text(path, content), name, files, sha256)
    try:
        _keep(kept, made)
    except DataError:
        return made  # the cache takes no files: then the tokens are held in memory
    return _kept(kept, name, files, sha256)


def _encoded(text: str, name: str, files: str | Path | None, sha256: str) -> Corpus:
    """The beginning and the end of a text by themselves, as nanoGPT does."""
    by = tokenizer(name, text, files)
    cut = int(SHARE * len(text))
    return Corpus(by.encode(text[:cut]), by.encode(text[cut:]), by, sha256)


def _keep(folder: Path, corpus: Corpus) -> None:
    for part in ("train", "val"):
        token_files.write(folder / f"{part}.bin", getattr(corpus, part))
    facts: dict[str, Any] = {"train": len(corpus.train), "val": len(corpus.val)}
    facts["symbols"] = corpus.tokenizer.symbols
    content = json.dumps(facts).encode()
    token_files.write_whole(folder / "facts.json", content)  # last: now it is whole


def _kept(folder: Path, name: str, files: str | Path | None, sha256: str) -> Corpus:
    facts = json.loads((folder / "facts.json").read_text(encoding="utf-8"))
    train, val = (token_files.read(folder / f"{part}.bin") for part in ("train", "val"))
    if (len(train), len(val)) != (facts["train"], facts["val"]):
        raise DataError(f"{folder} was altered")
    return Corpus(train, val, of_symbols(name, facts["symbols"], files), sha256)


def _given(path: Path, name: str, files: str | Path | None) -> Corpus:
    """Tokens that someone else made."""
    if name == "char":
        raise DataError(
            f"{path} holds tokens, and not which character each is; expected "
            "--tokenizer gpt2 or byte"
        )
    tokens, by = token_files.read(path), of_symbols(name, "", files)
    token_files.check(path, tokens, len(by))
    other = path.with_name("val".join(path.name.rsplit("train", 1)))
    if other != path and other.exists():
        val = token_files.read(other)
        token_files.check(other, val, len(by))
    else:
        cut = int(SHARE * len(tokens))
        tokens, val = tokens[:cut], tokens[cut:]
    sha256 = hashlib.sha256()
    for part in (tokens, val):
        sha256.update(part.data)
    return Corpus(tokens, val, by, sha256.hexdigest())


def _content(data: str) -> bytes:
    """A file without its byte order mark, which is no token of the text."""
    path = Path(data)
    if data == path.name and not os.path.exists(data):
        raise DataError(
            f"data is {data!r}, expected {', '.join(NAMED)} or the path of a text "
            f"file or of tokens (.bin){did_you_mean(data, NAMED)}"
        )
    content = read_bytes(path).removeprefix(codecs.BOM_UTF8)
    if not content:
        raise DataError(f"{path} is empty, expected a text")
    return content


def _text(path: Path, content: bytes) -> str:
    """UTF-16 without its mark may pass for UTF-8, but a text in UTF-8 has no NUL."""
    text = decoded(path, content)
    if (at := text.find("\0")) >= 0:
        line = text.count("\n", 0, at) + 1
        raise DataError(
            f"{path}, line {line}: U+0000, expected text without control characters; "
            "is the file UTF-16? save it as UTF-8"
        )
    return text


def drawn(
    tokens: Int[np.ndarray, "S"], seed: int, step: int, size: int, context: int
) -> Int[np.ndarray, "N T"]:
    """[size, context + 1] tokens of a step: sequences from random places, each with the
    token after it. A function of seed and step alone."""
    random = np.random.Generator(np.random.Philox(key=[seed % 2**32, step]))
    starts = random.integers(0, len(tokens) - context, size)
    return np.stack([tokens[s : s + context + 1] for s in starts])


def batch(
    tokens: Int[np.ndarray, "S"], seed: int, step: int, size: int, context: int
) -> Batch:
    """What is drawn at a step, as ids and labels."""
    rows = drawn(tokens, seed, step, size, context).astype(np.int32)
    return Batch(rows[:, :-1], rows[:, 1:])


def windows(
    tokens: Int[np.ndarray, "S"], context: int, most: int | None = None
) -> Batch:
    """All tokens in rows one after the other, each but the first predicted once.

    The last row is filled up with 0, whose labels are -1. With `most`, of a longer text
    only as many rows as have so many tokens, evenly spread.
    """
    count = -(-(len(tokens) - 1) // context)
    kept = count if most is None else min(count, max(most // context, 1))
    starts = np.arange(kept) * count // kept * context
    places = starts[:, None] + np.arange(context + 1)
    inside = places < len(tokens)
    rows = tokens[np.minimum(places, len(tokens) - 1)].astype(np.int32)
    ids = np.where(inside[:, 1:], rows[:, :-1], 0)
    return Batch(ids, np.where(inside[:, 1:], rows[:, 1:], -1))

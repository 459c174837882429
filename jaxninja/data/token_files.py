"""Tokens in flat files of two bytes each, read by memory map: nanoGPT's and llm.c's.

nanoGPT's are the tokens and nothing else; llm.c's begin with 256 integers of four
bytes, the first of which are a magic number, a version, and how many tokens follow.
"""

from pathlib import Path

import numpy as np
from jaxtyping import Int

from jaxninja.data.download import write_whole
from jaxninja.data.text import DataError

MAGIC, VERSION, HEADER = 20_240_520, 1, 256
KIND = np.dtype("<u2")
PIECE = 2**24  # tokens that are looked at together
# how files of other kinds begin
OTHERS = {
    b"\x93NUMPY": "NumPy's .npy with its header",
    np.array(20_240_801, "<i4").tobytes(): "llm.c's for Llama, of four bytes a token",
}


def read(path: str | Path) -> Int[np.ndarray, "T"]:
    """The tokens of a file, either format, as a memory map that cannot be written.

    Raises:
        DataError: it cannot be read, or its size is not what it says or can be.
    """
    path = Path(path)
    try:
        size = path.stat().st_size
        head = np.fromfile(path, "<i4", min(HEADER, size // 4))
        start = 4 * HEADER if len(head) and head[0] == MAGIC else 0
        _expect_tokens(path, head, size - start)
        if size == start:
            return np.zeros(0, KIND)
        tokens = np.memmap(path, KIND, "r", start)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from None
    if start and head[2] != len(tokens):
        raise DataError(
            f"{path} has {len(tokens):,} tokens, expected the {head[2]:,} that its "
            "header tells; it was cut short"
        )
    return tokens


def _expect_tokens(path: Path, head: np.ndarray, size: int) -> None:
    """Refuse what is no such file; `head` is its start, `size` that of its tokens."""
    is_llmc = len(head) > 0 and head[0] == MAGIC
    if size < 0:
        raise DataError(f"{path} was cut short: it ends within llm.c's header")
    if is_llmc and head[1] != VERSION:
        raise DataError(f"{path} is of version {head[1]}, expected {VERSION}")
    for begin, what in OTHERS.items():
        if head.tobytes().startswith(begin):
            raise DataError(f"{path} is {what}, expected two bytes for each token")
    if size % 2:
        raise DataError(f"{path} has {size:,} bytes, expected two for each token")
    pairs = head.astype("<i4").view(KIND).reshape(-1, 2)
    if not is_llmc and len(pairs) >= 16 and pairs.any() and not pairs[:, 1].any():
        raise DataError(
            f"{path} has a 0 after each token, as wider integers have, expected two "
            "bytes for each token; save them as uint16"
        )


def write(path: Path, tokens: Int[np.ndarray, "T"]) -> None:
    """Tokens as nanoGPT's file, which appears whole or not at all.

    Raises:
        DataError: the disk refuses.
    """
    write_whole(path, np.ascontiguousarray(tokens, KIND).tobytes())


def check(path: str | Path, tokens: Int[np.ndarray, "T"], vocabulary: int) -> None:
    """Refuse tokens of a larger vocabulary.

    Raises:
        DataError: names the first token that is not below `vocabulary`.
    """
    for start in range(0, len(tokens), PIECE):
        piece = tokens[start : start + PIECE]
        if piece.max() >= vocabulary:
            at = int(np.argmax(piece >= vocabulary))
            raise DataError(
                f"{path} holds token {piece[at]:,} at place {start + at:,}, expected "
                f"0 to {vocabulary - 1:,}; pass the --tokenizer that it was made with"
            )

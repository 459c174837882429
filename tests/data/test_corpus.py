"""Running text: flat files of tokens, the split, batches, and what is refused."""

import gzip
import hashlib

import numpy as np
import pytest

from jaxninja.data import corpus, download, token_files
from jaxninja.data.corpus import load_corpus
from jaxninja.data.text import DataError

TEXT = "To be, or not to be: that is the question. Ünd? " * 5


@pytest.fixture
def text(tmp_path):
    path = tmp_path / "play.txt"
    path.write_text(TEXT)
    return path


def load(data, tmp_path, name="byte"):
    return load_corpus(str(data), name, cache=tmp_path / "cache")


@pytest.mark.parametrize("name", ["char", "byte"])
def test_a_text_is_split_in_characters_and_kept(name, text, tmp_path, monkeypatch):
    made = load(text, tmp_path, name)
    monkeypatch.setattr(corpus, "_encoded", None)  # it is not encoded again
    kept = load(text, tmp_path, name)
    cut = int(0.9 * len(TEXT))
    for found in (made, kept):
        assert found.tokenizer.decode(found.train) == TEXT[:cut]
        assert found.tokenizer.decode(found.val) == TEXT[cut:]
        assert isinstance(found.train, np.memmap)
        assert found.train.dtype == np.uint16
    assert kept.tokenizer == made.tokenizer
    assert kept.sha256 == made.sha256


def test_an_altered_cache_is_made_again(text, tmp_path):
    load(text, tmp_path)
    [kept] = (tmp_path / "cache").rglob("val.bin")
    kept.write_bytes(kept.read_bytes()[:-2])
    assert len(load(text, tmp_path).val) == len(TEXT.encode()) - len(
        TEXT[: int(0.9 * len(TEXT))].encode()
    )


def test_a_cache_that_takes_no_files_is_done_without(text, tmp_path):
    (tmp_path / "cache").write_text("a file in its place")
    found = load(text, tmp_path, "char")
    assert found.tokenizer.decode([*found.train, *found.val]) == TEXT


def header(magic=20_240_520, version=1, count=7):
    ints = np.zeros(256, "<i4")
    ints[:3] = magic, version, count
    return ints.tobytes()


TOKENS = np.array([5, 1, 50_256, 0, 9, 200, 3], "<u2")


def test_both_formats_are_read(tmp_path):
    bare, llmc = tmp_path / "a.bin", tmp_path / "b.bin"
    token_files.write(bare, TOKENS)
    assert bare.read_bytes() == TOKENS.tobytes()
    llmc.write_bytes(header() + TOKENS.tobytes())
    for path in (bare, llmc):
        found = token_files.read(path)
        assert found.tolist() == TOKENS.tolist()
        assert not found.flags.writeable


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (TOKENS.tobytes() + b"x", "has 15 bytes"),
        (header(version=2) + TOKENS.tobytes(), "of version 2, expected 1"),
        (header(count=8) + TOKENS.tobytes(), "7 tokens, expected the 8"),
        (header()[:200], "ends within llm.c's header"),
        (header(magic=20_240_801) + TOKENS.tobytes(), "llm.c's for Llama"),
        (b"\x93NUMPY\x01\x00" + bytes(120), "NumPy's .npy with its header"),
        (np.arange(1, 99, dtype="<u4").tobytes(), "a 0 after each token"),
        (np.arange(1, 99, dtype="<i8").tobytes(), "a 0 after each token"),
    ],
)
def test_a_file_of_tokens_that_is_none_is_refused(content, text, tmp_path):
    path = tmp_path / "t.bin"
    path.write_bytes(content)
    with pytest.raises(DataError, match=text) as error:
        token_files.read(path)
    assert str(path) in str(error.value)


@pytest.mark.parametrize("start", ["", "trains_"])
def test_given_tokens_are_split_or_have_their_val_beside_them(start, tmp_path):
    small, file = np.arange(20, dtype="<u2"), tmp_path / f"{start}train.bin"
    token_files.write(file, small)
    found = load(file, tmp_path)
    assert (len(found.train), found.val.tolist()) == (18, [18, 19])
    token_files.write(tmp_path / f"{start}val.bin", small[:3])
    found = load(file, tmp_path)
    assert (len(found.train), found.val.tolist()) == (20, [0, 1, 2])


def test_tokens_of_another_vocabulary_are_refused(tmp_path):
    token_files.write(tmp_path / "t.bin", TOKENS)
    with pytest.raises(DataError, match="token 50,256 at place 2, expected 0 to 255"):
        load(tmp_path / "t.bin", tmp_path)
    with pytest.raises(DataError, match="expected --tokenizer gpt2 or byte"):
        load(tmp_path / "t.bin", tmp_path, "char")


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"", "is empty"),
        (b"\xef\xbb\xbf", "is empty"),
        (b"a\nb\xff", "line 2: byte 0xff is not"),
        (b"a\nb\0c", "line 2: U.0000, expected text"),
        ("To be".encode("utf-16"), "line 1: byte 0xff is UTF-16"),
        ("To be".encode("utf-16-be"), "line 1: U.0000, .* UTF-16"),
        (gzip.compress(b"To be", mtime=0), "is packed by gzip"),
    ],
)
def test_what_is_no_text_is_refused(content, text, tmp_path):
    path = tmp_path / "t.txt"
    path.write_bytes(content)
    with pytest.raises(DataError, match=text):
        load(path, tmp_path)


@pytest.mark.parametrize("name", ["char", "byte"])
def test_a_byte_order_mark_is_no_token(name, text, tmp_path):
    marked = tmp_path / "marked.txt"
    marked.write_bytes(b"\xef\xbb\xbf" + text.read_bytes())
    plain, found = (load(path, tmp_path, name) for path in (text, marked))
    assert found.train.tolist() == plain.train.tolist()
    assert (found.tokenizer, found.sha256) == (plain.tokenizer, plain.sha256)


def test_missing_files_are_refused(tmp_path):
    with pytest.raises(DataError, match="data is '', expected tinyshakespeare"):
        load("", tmp_path)
    with pytest.raises(DataError, match=r"none.txt cannot be read"):
        load(tmp_path / "none.txt", tmp_path)
    with pytest.raises(DataError, match=r"none.bin cannot be read"):
        load(tmp_path / "none.bin", tmp_path)
    with pytest.raises(DataError, match="data is 'shakespear', expected tinyshakes"):
        load("shakespear", tmp_path)


def test_a_text_shorter_than_a_block_is_refused(text, tmp_path):
    found = load(text, tmp_path)
    short = len(found.val)
    found.check(short - 1)
    with pytest.raises(
        DataError, match=f"val part .* has {short} tokens, expected more"
    ):
        found.check(short)


def test_batches_are_a_function_of_seed_and_step():
    tokens = np.arange(100, dtype=np.uint16)
    one = corpus.batch(tokens, 3, 7, 50, 8)
    assert one.ids.shape == one.labels.shape == (50, 8)
    assert one.ids.dtype == np.int32
    assert (one.labels == one.ids + 1).all()
    assert (np.diff(one.ids) == 1).all()
    assert (one.ids == corpus.batch(tokens, 3, 7, 50, 8).ids).all()
    for seed, step in ((3, 8), (4, 7)):
        assert (one.ids != corpus.batch(tokens, seed, step, 50, 8).ids).any()
    starts = {
        int(s) for n in range(40) for s in corpus.batch(tokens, 0, n, 50, 8).ids[:, 0]
    }
    assert starts == set(range(92))


@pytest.mark.parametrize("count", [9, 10, 13, 2])
def test_windows_predict_each_token_once(count):
    tokens = np.arange(count, dtype=np.uint16)
    ids, labels = corpus.windows(tokens, 4)
    assert labels[labels >= 0].tolist() == list(range(1, count))
    assert ids[labels >= 0].tolist() == list(range(count - 1))


def test_a_few_windows_are_evenly_spread():
    ids, labels = corpus.windows(np.arange(101, dtype=np.uint16), 4, most=12)
    assert ids[:, 0].tolist() == [0, 32, 64]
    assert (labels == ids + 1).all()


def test_tiny_shakespeare_is_found_in_the_cache(tmp_path, monkeypatch):
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "tinyshakespeare.txt").write_text(TEXT)
    wrong = (None, "http://127.0.0.1:9/input.txt", download.TINY_SHA256)
    monkeypatch.setattr(download.tinyshakespeare, "__defaults__", wrong)
    with pytest.raises(DataError, match=r"cannot be fetched.*--data "):
        load("tinyshakespeare", tmp_path)
    sha256 = hashlib.sha256(TEXT.encode()).hexdigest()
    monkeypatch.setattr(download.tinyshakespeare, "__defaults__", (*wrong[:2], sha256))
    found = load("tinyshakespeare", tmp_path)
    assert found.tokenizer.decode(found.train) == TEXT[: int(0.9 * len(TEXT))]

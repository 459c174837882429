"""Data: what is read, how it is split and encoded, and what is refused."""

import gzip
import hashlib
import random
import re
from pathlib import Path

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxninja.data import datasets, splits, text
from jaxninja.data.text import DataError, Vocabulary

ITEM = st.text(st.characters(codec="utf-8", exclude_characters="\n\r"), min_size=1)


def write(tmp_path, content):
    path = tmp_path / "items.txt"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize(("name", "count"), [("names", 5_163), ("surnames", 88_799)])
def test_the_embedded_data_are_what_their_readme_says(name, count):
    items = datasets.load_items(name)
    assert len(items) == len(set(items)) == count
    assert re.fullmatch("[a-z]+", "".join(items))
    path = datasets._embedded(name)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    readme = Path(__file__).parents[2] / "data" / "README.md"
    assert f"`{digest}`" in readme.read_text()


def test_lines_are_cleaned(tmp_path):
    raw = b"\xef\xbb\xbf Anna \r\n\r\n\nbob\r\n  \nx\r\nJos\xc3\xa9"
    assert text.read_items(write(tmp_path, raw)) == ["Anna", "bob", "x", "José"]


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"", "is empty"),
        (b" \n\n", "is empty"),
        (b"ab\nc\xff\n", r"line 2: byte 0xff is not UTF-8"),
        (b"ab\n" + b"x" * 1001, r"line 2: 1,001 characters, expected at most 1,000"),
    ],
)
def test_bad_files_are_refused(tmp_path, content, text):
    path = write(tmp_path, content)
    with pytest.raises(DataError, match=text) as error:
        datasets.load_items(str(path))
    assert str(path) in str(error.value)


@pytest.mark.parametrize(
    "odd", [*"\0\x0b\x0c\x1b\x7f\x85\u2028\u2029\ufeff"], ids=lambda c: f"{ord(c):x}"
)
@pytest.mark.parametrize("line", ["c{}d", "{}cd", "cd{}"])
def test_characters_that_are_no_text_are_refused(tmp_path, line, odd):
    path = write(tmp_path, f"ab\n{line.format(odd)}\n")
    with pytest.raises(DataError, match=rf"line 2: U\+{ord(odd):04X} at character"):
        text.read_items(path)


@pytest.mark.parametrize("codec", ["utf-16", "utf-16-le", "utf-16-be"])
def test_utf_16_is_called_so(tmp_path, codec):
    path = write(tmp_path, "Anna\nBob\n".encode(codec))
    with pytest.raises(DataError, match=r"line 1: .*UTF-16.* save it as UTF-8"):
        text.read_items(path)


def test_a_packed_file_is_called_so(tmp_path):
    path = write(tmp_path, gzip.compress(b"Anna\nBob\n"))
    with pytest.raises(DataError, match="is packed by gzip, expected text; unpack it"):
        text.read_items(path)


def test_lines_may_end_in_cr_alone(tmp_path):
    assert text.read_items(write(tmp_path, "a\tb\rcd\r\ref")) == ["a\tb", "cd", "ef"]


@pytest.mark.parametrize("symbols", [(), ("a", "b"), ("", "b", "a"), ("", "ab", "c")])
def test_an_altered_vocabulary_is_refused(symbols):
    Vocabulary(("", "a", "b")).check()
    with pytest.raises(DataError, match="vocabulary was altered"):
        Vocabulary(symbols).check()


def test_an_item_of_1000_characters_is_legal(tmp_path):
    assert len(text.read_items(write(tmp_path, "x" * 1000))[0]) == 1000


def test_missing_files_and_names_are_refused(tmp_path):
    with pytest.raises(DataError, match=r"none.txt cannot be read"):
        datasets.load_items(str(tmp_path / "none.txt"))
    with pytest.raises(DataError, match="cannot be read"):
        datasets.load_items(str(tmp_path))
    with pytest.raises(DataError, match=r"data is 'nams', expected .* mean 'names'"):
        datasets.load_items("nams")
    with pytest.raises(DataError, match=r"data is 'NAMES'.* mean 'names'"):
        datasets.load_items("NAMES")
    with pytest.raises(DataError, match=r"that is running text: --model gpt2$"):
        datasets.load_items("tinyshakespeare")
    with pytest.raises(DataError, match="data is '', expected"):
        datasets.load_items("")
    with pytest.raises(DataError, match=r"data is 'xxx.*, expected names"):
        datasets.load_items("x" * 300)  # longer than a file's name may be


def test_the_split_is_the_lectures():
    items = [f"item{i}" for i in range(1003)]
    expected = list(items)
    random.seed(42)
    random.shuffle(expected)
    train, val, test = splits.split_items(items)
    assert (train, val, test) == (expected[:802], expected[802:902], expected[902:])
    assert items[0] == "item0"  # the argument is left alone


@pytest.mark.parametrize("n", [1, 2, 4])
def test_too_few_items_are_refused(n):
    with pytest.raises(DataError, match=rf"{n} items split into .* 10 "):
        splits.split_items(["ab"] * n)


def test_ten_items_are_enough():
    assert [len(part) for part in splits.split_items(list("abcdefghij"))] == [8, 1, 1]


def test_examples_are_the_lectures_windows():
    vocabulary = Vocabulary.of(["ab", "b"])
    x, y = text.examples(["ab", "b"], vocabulary, 3)
    assert x.tolist() == [[0, 0, 0], [0, 0, 1], [0, 1, 2], [0, 0, 0], [0, 0, 2]]
    assert y.tolist() == [1, 2, 0, 2, 0]
    assert x.dtype == y.dtype == np.int32


@pytest.mark.more
@settings(deadline=None, max_examples=50)
@given(st.lists(ITEM, min_size=1, max_size=5), st.integers(1, 4))
def test_examples_against_the_lectures_loop(items, context):
    vocabulary = Vocabulary.of(items)
    xs, ys = [], []
    for item in items:
        window = [0] * context
        for i in [*vocabulary.encode(item), 0]:
            xs.append(window)
            ys.append(i)
            window = [*window[1:], i]
    x, y = text.examples(items, vocabulary, context)
    assert x.tolist() == xs
    assert y.tolist() == ys


def test_no_items_have_no_examples():
    x, y = text.examples([], Vocabulary.of(["ab"]), 3)
    assert (x.shape, y.shape) == ((0, 3), (0,))
    assert x.dtype == y.dtype == np.int32


@settings(deadline=None, max_examples=50)
@given(st.lists(ITEM, min_size=1, max_size=5))
def test_encode_and_decode_are_inverse(items):
    vocabulary = Vocabulary.of(items)
    for item in items:
        ids = vocabulary.encode(item)
        assert 0 not in ids
        assert vocabulary.decode(ids) == item


def test_symbols_are_the_boundary_and_the_sorted_characters():
    assert Vocabulary.of(["zebra", "Éa"]).symbols == ("", *"aberzÉ")


def test_the_boundary_is_no_character():
    plain, dotted = Vocabulary.of(["ab"]), Vocabulary.of(["a.b"])
    assert plain.show([0, 1, 2, 0]) == ".ab."
    assert dotted.show([0, *dotted.encode("a.b"), 0]) == "<.>a.b<.>"
    assert dotted.encode(".") != [0]
    assert Vocabulary(tuple(list(dotted.symbols))) == dotted


def test_an_unknown_character_is_refused():
    with pytest.raises(DataError, match="'axb' holds 'x', expected only 'ab'"):
        Vocabulary.of(["ab"]).encode("axb")


def test_a_vocabulary_of_one_character_is_refused(tmp_path):
    path = write(tmp_path, "a\n" * 20)
    with pytest.raises(DataError, match="'a', expected 2"):
        datasets.load_dataset(str(path))


def test_clean_val_holds_what_train_does_not(tmp_path):
    path = write(
        tmp_path, "\n".join(["ab", "ba"] * 20 + [f"c{'b' * i}" for i in range(40)])
    )
    dataset = datasets.load_dataset(str(path))
    train, val, _ = splits.split_items(dataset.items)
    clean = splits.clean_items(val, train)
    assert 0 < len(clean) < len(val)
    assert not set(clean) & set(train)
    assert len(dataset.clean_val.y) == sum(len(item) + 1 for item in clean)


def test_a_dataset_knows_all_its_items(tmp_path):
    words = ["ab", "ba"] * 10
    places = splits.split_items([str(i) for i in range(20)])
    rare = int(places[2][0])  # a place that falls into test
    words[rare] = "abz"
    dataset = datasets.load_dataset(str(write(tmp_path, "\n".join(words))))
    assert dataset.items == tuple(words)
    assert dataset.vocabulary == Vocabulary.of(["abz"])
    assert dataset.sha256 == hashlib.sha256("\n".join(words).encode()).hexdigest()
    other = datasets.load_dataset(str(write(tmp_path, "\n".join(words[::-1]))))
    assert other.sha256 != dataset.sha256


def test_the_seed_of_a_run_does_not_move_the_split(tmp_path):
    random.seed(1)
    first = splits.split_items(list("abcdefghijklmn"))
    random.seed(2)
    assert splits.split_items(list("abcdefghijklmn")) == first


def test_batches_are_a_function_of_key_and_step():
    key = jax.random.key(0)

    def draw(key, step):
        return text.batch_indices(key, step, 32, 1000).tolist()

    assert draw(key, 7) == draw(key, 7)
    assert draw(key, 7) != draw(key, 8)
    assert draw(key, 7) != draw(jax.random.key(1), 7)
    many = [i for step in range(100) for i in draw(key, step)]
    assert 0 <= min(many) < 20
    assert 980 < max(many) < 1000


def test_ids_outside_are_named():
    text.check_ids([[0, 26]], 27, "ids")
    with pytest.raises(DataError, match=r"ids\[1, 0\] is 27, expected 0 to 26"):
        text.check_ids([[0, 1], [27, -1]], 27, "ids")
    with pytest.raises(DataError, match=r"labels\[0\] is -1, expected 0 to 26"):
        text.check_ids([-1], 27, "labels")
    with pytest.raises(DataError, match=r"^id is 27, expected 0 to 26"):
        text.check_ids(27, 27, "id")
    with pytest.raises(DataError, match="ids of type float64, expected integers"):
        text.check_ids([float("nan")], 27, "ids")
    text.check_ids([], 27, "ids")

"""Splits: the parts of makemore.py, whose permutation is PyTorch's."""

import numpy as np
import pytest

from jaxninja.data import splits, text
from jaxninja.data.datasets import load_dataset
from jaxninja.data.text import DataError, Vocabulary


def test_the_permutation_is_pytorchs():
    torch = pytest.importorskip("torch")
    for n, seed in ((1, 3), (7, 3407), (1_000, 3407), (1_000, 2**32 - 1)):
        torch.manual_seed(seed)
        assert torch.randperm(n).tolist() == splits.torch_permutation(n, seed)


def test_the_permutation_is_the_one_it_was():
    assert splits.torch_permutation(8, 3407) == [3, 0, 1, 7, 2, 5, 6, 4]
    assert sorted(splits.torch_permutation(500, 0)) == list(range(500))


def test_makemores_split_tests_a_tenth_and_at_most_a_thousand():
    for n, tested in ((10, 1), (95, 9), (20_000, 1_000)):
        items = [str(i) for i in range(n)]
        train, val, test = splits.split_items(items, "makemore")
        assert (len(train), len(test)) == (n - tested, tested)
        assert val == test
        assert sorted(train + test) == sorted(items)
    with pytest.raises(DataError, match="9 items split into 9/0/0"):
        splits.split_items(items[:9], "makemore")


def test_a_sequence_is_an_item_and_what_follows_each_symbol():
    x, y = text.sequences(["ab", "b", ""], Vocabulary.of(["ab"]), 4)
    assert x.tolist() == [[0, 1, 2, 0], [0, 2, 0, 0], [0, 0, 0, 0]]
    assert y.tolist() == [[1, 2, 0, -1], [2, 0, -1, -1], [0, -1, -1, -1]]
    assert text.Examples(x, y).predicted == 6
    assert x.dtype == y.dtype == np.int32
    with pytest.raises(DataError, match=r"'ab' has 2 symbols, .* at most 1 .* of 2"):
        text.sequences(["ab"], Vocabulary.of(["ab"]), 2)


def test_sequences_predict_the_same_symbols_as_windows():
    windows = load_dataset("names", 15)
    whole = load_dataset("names", 16, whole=True)
    for name, part in whole.parts.items():
        labels = part.y[part.y >= 0]
        assert np.array_equal(labels, windows.parts[name].y)
        assert part.predicted == windows.parts[name].predicted

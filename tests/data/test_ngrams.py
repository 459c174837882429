"""Counting: against counts made by hand, and probabilities that sum to one."""

import math

import numpy as np
import pytest

from jaxninja.data import ngrams
from jaxninja.data.text import DataError, Examples, Vocabulary, examples

TRAIN = ["ab", "abb", "b"]


def parts(*other, context=2):
    vocabulary = Vocabulary.of(TRAIN)
    encoded = [examples(items, vocabulary, context) for items in (TRAIN, other)]
    return dict(zip(("train", "val"), encoded, strict=True))


def losses(found):
    return {row.name: row.losses for row in found}


def test_the_losses_are_those_of_counts_made_by_hand():
    # boundary, a, b follow: boundary 0, 2, 1; a 0, 0, 2; b 3, 0, 1
    found = losses(ngrams.baselines(parts("ba"), 3, 2))
    unigram = -(math.log(5 / 12) + math.log(3 / 12) + math.log(4 / 12)) / 3
    assert found["1-gram +1"]["val"] == pytest.approx(unigram)
    bigram = -(math.log(2 / 6) + math.log(1 / 7) + math.log(1 / 5)) / 3
    assert found["2-gram +1"]["val"] == pytest.approx(bigram)
    # unigrams: 3, 2, 4 of 9, 3 kinds; here b after 0, a after b, 0 after a
    p = [(n + 3 / 3) / (9 + 3) for n in (3, 2, 4)]
    mixed = [(1 + 2 * p[2]) / 5, (0 + 2 * p[1]) / 6, (0 + 1 * p[0]) / 3]
    assert found["2-gram Witten-Bell"]["val"] == pytest.approx(-np.log(mixed).mean())


def test_the_probabilities_of_all_symbols_sum_to_one():
    x = np.array([[0, 0], [1, 2], [2, 2], [1, 1], [2, 1]], np.int32)
    every = {f"{y}": Examples(x, np.full(len(x), y, np.int32)) for y in range(3)}
    for row in range(len(x)):
        one = {
            k: Examples(p.x[row : row + 1], p.y[row : row + 1])
            for k, p in every.items()
        }
        for found in ngrams.baselines(parts() | one, 3, 3):
            total = sum(math.exp(-found.losses[k]) for k in one)
            assert total == pytest.approx(1)


def test_a_context_that_was_never_seen_asks_the_shorter_one():
    found = losses(ngrams.baselines(parts("aaa"), 3, 3))
    seen = losses(ngrams.baselines(parts("aaa"), 3, 2))
    assert math.isfinite(found["3-gram Witten-Bell"]["val"])
    assert found["2-gram Witten-Bell"] == seen["2-gram Witten-Bell"]
    assert math.isnan(losses(ngrams.baselines(parts(), 3, 2))["2-gram +1"]["val"])


@pytest.mark.parametrize("order", [0, 4])
def test_an_order_without_a_window_is_refused(order):
    with pytest.raises(DataError, match=f"order is {order}, expected 1 to 3"):
        ngrams.baselines(parts(), 3, order)

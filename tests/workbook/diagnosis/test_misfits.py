"""Shapes that do not fit are told with their arrays, and with what would fit."""

import pytest

from tests.workbook.bank import hinted

TOLD = {
    "jnp.dot": (1, "h", "jnp.dot(dlogits, W2)", "dlogits @ W2.T is [32, 64], as h is"),
    "a method": (1, "h", "dlogits.dot(W2)", "dlogits @ W2.T is [32, 64], as h is"),
    "einsum": (
        1,
        "h",
        "jnp.einsum('nv,vh->nh', dlogits, W2)",
        "v is 27 in dlogits and 64 in W2",
    ),
    "* for @": (1, "h", "dlogits * W2.T", "dlogits @ W2.T is [32, 64], as h is"),
    "elementwise": (1, "h", "dlogits @ W2.T + b2", "W2.T is [32, 64] and b2 is [27]"),
    "in brackets": (1, "h", "(dlogits + b2) @ W2", "(dlogits + b2) @ W2.T is [32, 64]"),
    "keepdims": (
        7,
        "masked",
        "att * (datt - (att * datt).sum(-1))",
        "(att * datt).sum(-1, keepdims=True) is [4, 8, 1], which fits",
    ),
    "a second line": (
        1,
        "counts",
        "dcounts = counts_sum_inv * dprobs\ndcounts += dcounts_sum.T",
        "dcounts is [32, 27] and dcounts_sum.T is [1, 32]",
    ),
    "at": (
        1,
        "logits",
        "dnorm_logits.at[jnp.arange(n), logits.argmax(1)].add(dlogit_maxes)",
        "dlogit_maxes is [32, 1], and the entries dnorm_logits[",
    ),
    "by chance": (
        8,
        "p",
        "do @ v",
        "it does not run: line 125: do @ v is [3, 3, 4, 5]",
    ),
}


@pytest.mark.parametrize("case", TOLD)
def test_what_does_not_fit_is_told_with_its_shapes(case):
    number, name, code, told = TOLD[case]
    (hint,) = hinted(number, name, code)
    assert told in hint


def test_what_raises_otherwise_is_no_misfit():
    assert hinted(1, "h", "(dlogits @ W2.T)[n, 0, 0]") == []

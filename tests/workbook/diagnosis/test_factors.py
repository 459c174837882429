"""A factor has a name only if the name is right for two batch sizes."""

import dataclasses

import numpy as np
import pytest

from jaxninja.check.hints import Hint, Number, say
from jaxninja.workbook import samples
from jaxninja.workbook.diagnosis.factors import factor
from jaxninja.workbook.diagnosis.via_checker import in_our_words
from jaxninja.workbook.exercises import EXERCISES
from jaxninja.workbook.grading.exercise import check
from jaxninja.workbook.solutions.lecture import NETWORK
from tests.workbook.bank import ONEHOT, answered

TOLD = {
    "1.25": (lambda s: 1.25, "times 1.25"),
    "n/(n - 1)": (lambda s: s["n"] / (s["n"] - 1), "times n / (n - 1)"),
    "n": (lambda s: s["n"], "times n"),
    "3/n": (lambda s: 3 / s["n"], "times 3 / n"),
    "1/(n V)": (
        lambda s: 1 / s["n"] / s["V"],
        "times 1 / (n * logits.shape[1])",
    ),
    "V": (lambda s: s["V"], "times logits.shape[1]"),
    "-2.5": (lambda s: -2.5, "times -2.5"),
    "strange": (lambda s: s["n"] ** 3 + s["H"], "times what depends on the sizes: "),
}


@pytest.fixture
def pairs(x64):
    return [samples.sample(NETWORK, sizes) for sizes in (NETWORK.tied, NETWORK.pair)]


@pytest.mark.parametrize("number", EXERCISES)
def test_no_size_is_the_same_twice(number):
    """Else a number would pass for a size, or a size for a number."""
    network = EXERCISES[number].network
    one, other = (dict(at.letters) for at in (network.pair, network.tied))
    assert not one.items() & other.items()


@pytest.mark.parametrize("what", TOLD)
def test_a_factor_is_named_if_two_sizes_agree(what, pairs):
    """For n = 5 alone 1.25 would pass for n / (n - 1)."""
    number, sentence = TOLD[what]
    mine = [(s, np.asarray(s.truth["logits"]) * number(s.sizes)) for s in pairs]
    told = factor("logits", mine).sentence.removesuffix(".")
    assert told.startswith("dlogits is the true gradient ")
    assert told.endswith(sentence) or (what == "strange" and sentence in told)


def test_what_is_no_multiple_has_no_factor(pairs):
    truths = [(s, np.asarray(s.truth["h"])) for s in pairs]
    one = [
        (s, t * np.where(np.arange(len(t))[:, None] == 0, 1.0, 2)) for s, t in truths
    ]
    assert factor("h", one) is None
    assert factor("h", [(s, t + 0.1) for s, t in truths]) is None
    assert factor("h", [(s, t[0]) for s, t in truths]) is None
    assert factor("h", [(s, t * np.nan) for s, t in truths]) is None
    assert factor("h", [(s, t * 0) for s, t in truths]) is None


def test_a_gradient_that_is_zero_in_theory_tells_no_factor(pairs):
    mine = [(s, 3 * np.asarray(s.truth["b1"])) for s in pairs]
    assert factor("b1", mine) is None


def test_a_learner_is_told_the_number_and_no_more():
    wrong = f"dlogits = 1.25 * (jax.nn.softmax(logits, 1) - {ONEHOT}) / n"
    report = check(2, answered(2, logits=wrong), "exercise2.py")
    assert [*map(str, report.hints)] == ["dlogits is the true gradient times 1.25."]


EIGHTH = Number(0.125, "1/h.shape[1]")


@pytest.mark.parametrize(
    ("statement", "ours"),
    [
        (
            say(
                "ratio", leaf="h", factor=Number(1.25, "n/(n-1), n = dlogits.shape[0]")
            ),
            "dh is the true gradient times 1.25. Here n=5, T=2, E=3, H=7, V=6.",
        ),
        (
            say("fixed", leaves=("h",), subject="add", edit=say("multiply", by=EIGHTH)),
            "dh is right after one change in dh: multiply by 0.125. "
            "Here n=5, T=2, E=3, H=7, V=6.",
        ),
        (
            say("constant", leaf="h", size=say("up to", size="0.1"), rest=""),
            "dh has a term independent of dlogits: with dlogits = 0 it is up to 0.1, "
            "not 0.",
        ),
        (
            say("other cotangent", leaves=("h",), given=say("|{dy}|")),
            "dh: the true gradient of |dlogits|, not of dlogits.",
        ),
    ],
)
def test_the_checkers_hints_in_the_lectures_words(statement, ours):
    hint = Hint(statement, "ratio", True, "h")
    assert in_our_words(hint, {"logits"}, NETWORK.tied) == ours
    unsure = dataclasses.replace(hint, verified=False)
    assert (
        in_our_words(unsure, {"logits"}, NETWORK.tied) == f"It looks like this: {ours}"
    )

"""Parts of a page, of runs that are made up: what is shown, and what is not."""

from pathlib import Path

import pytest

from jaxninja.data.text import Vocabulary
from jaxninja.report import Gathered, compared, single
from jaxninja.report.finding import todo


def run(**config):
    path = Path(config.get("name", "run"))
    return Gathered(path, config, Vocabulary(("", "a", "b")))


def test_samples_are_escaped_all_of_them_and_the_first():
    found = run()
    found.samples = "a<b>\nb&a"
    for text in (single._samples(found), single._few_samples(found)):
        assert "<b>" not in text
        assert "a&lt;b&gt;" in text
        assert "b&amp;a" in text


def test_nobody_is_told_of_an_option_that_the_model_has_not():
    ways = "a smaller --gain", "a larger --hidden", "a smaller --lr"
    assert todo(run(model="gru"), *ways) == "A larger --hidden or a smaller --lr."
    assert todo(run(model="bigram"), *ways) == "A smaller --lr."
    assert todo(run(model="bigram"), "with --gain 1") == ""


@pytest.mark.parametrize(
    ("way", "taken", "free"),
    [
        ("--batchnorm hidden", {"batchnorm": "all"}, {"batchnorm": "none"}),
        ("--clip 1", {"clip": 0.5}, {"clip": 2.0}),
        ("fewer (--init kaiming)", {"init": "kaiming"}, {"init": "deep"}),
        ("--optimizer adamw", {"optimizer": "adamw"}, {"optimizer": "sgd"}),
    ],
)
def test_nobody_is_told_to_do_what_was_done(way, taken, free):
    ways = "a smaller --lr", way
    assert todo(run(**taken), *ways) == "A smaller --lr."
    assert todo(run(**free), *ways) == f"A smaller --lr or {way}."


def test_options_that_differ_are_those_of_the_training():
    """Names and folders differ as a matter of course."""
    runs = [run(name=name, runs=name, lr=lr, steps=3) for name, lr in ("a1", "b2")]
    table = compared.differences(compared.labelled(runs))
    assert [row[0] for row in table.rows] == ["lr"]

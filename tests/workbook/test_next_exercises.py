"""What the later exercises have that the lecture's have not."""

import numpy as np
import pytest

from jaxninja.plots import exercises as figures
from jaxninja.workbook import pictures, samples, templates
from jaxninja.workbook.exercises import EXERCISES
from jaxninja.workbook.grading.exercise import check
from jaxninja.workbook.report import Report
from tests.workbook.bank import answered

DIAGONAL = "dmasked = att * (1.0 - att) * datt"


@pytest.fixture(scope="module")
def wrong():
    return check(7, answered(7, masked=DIAGONAL), "exercise7.py")


def test_softmaxs_jacobian_is_drawn_and_its_wrong_pairs_are_marked(wrong):
    """The diagonal is right, and every pair of two different places is wrong."""
    marked = pictures.wrong_pairs(wrong.jacobian)
    np.testing.assert_array_equal(marked, ~np.eye(4, dtype=bool))
    truth = np.asarray(wrong.jacobian["truth"])
    network = EXERCISES[7].network
    p = np.asarray(samples.sample(network, network.tied).values["att"])[0, -1]
    np.testing.assert_allclose(truth, np.diag(p) - np.outer(p, p), atol=1e-12)
    text = str(wrong)
    assert "Jacobian of att[0, 3] by masked[0, 3]" in text
    assert "12 of 16 are wrong" in text
    assert text.count("0.000*") == 12
    figure = figures.jacobian(wrong.jacobian, marked)
    assert len(figure.axes[0].patches) == 12
    assert len(figure.axes[1].patches) == 0
    assert wrong._repr_html_().count("data:image/png;base64,") == 3
    assert Report.from_json(wrong.to_json()).jacobian == wrong.jacobian


def test_numbers_that_differ_look_different():
    mine, truth = [[0.02213, 0.5]], [[0.02214, 0.5]]
    jacobian = {"name": "x", "source": "y", "mine": mine, "truth": truth}
    text = "\n".join(pictures.matrix(jacobian))
    assert "0.02213*" in text
    assert "0.02214 " in text
    jacobian["mine"] = [[np.nan, 0.5]]
    assert "nan*  0.500" in "\n".join(pictures.matrix(jacobian))


def test_a_right_jacobian_is_drawn_without_a_word():
    text = answered(7, scores="dscores = None")
    report = check(7, text, "exercise7.py", explain=False)
    assert not pictures.wrong_pairs(report.jacobian).any()
    assert "Jacobian" not in str(report)
    assert "Jacobian" not in str(check(7, answered(7, v="dv = 0 * v"), "exercise7.py"))


@pytest.mark.parametrize("number", [5, 6, 7, 8])
def test_every_array_has_a_place_of_its_own_in_the_picture(number):
    network = EXERCISES[number].network
    places = network.places or pictures.by_depth(network)
    assert {*places} == {*network.node}
    assert len({*places.values()}) == len(places)
    assert min(y for _, y in places.values()) >= 0


def test_many_branches_are_told_one_by_one():
    assert "h2 is read five times: five branches" in templates.hint(6, "h2", 1)
    first = " ".join(templates.hint(6, "h1", 1).split())
    assert (
        "it is made of dac2 [n, H], dar2 [n, H], daz2 [n, H], dh2 [n, H], dy" in first
    )
    assert "x is read three times: three branches" in templates.hint(7, "x", 1)
    rungs = dict(templates.rungs(6, "h2"))
    assert rungs["one line"].endswith("four more lines add the others, with +=")
    steps = [label for label, _ in templates.rungs(8, "z")].count("step")
    assert steps == len(templates.lessons(EXERCISES[7])["masked"].steps) == 3

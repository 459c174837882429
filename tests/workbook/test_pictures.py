"""Costs, pictures and the digression's numbers."""

import matplotlib.image
import numpy as np
import pytest

from jaxninja.plots import exercises as figures
from jaxninja.plots import png
from jaxninja.workbook import bessel, pictures
from jaxninja.workbook.costs import cost
from jaxninja.workbook.exercises import EXERCISES
from jaxninja.workbook.notebook import lecture_sample
from jaxninja.workbook.report import Report, Row
from jaxninja.workbook.solutions.lecture import NETWORK


def pixels(figure, tmp_path):
    path = tmp_path / "figure.png"
    path.write_bytes(png(figure))
    return matplotlib.image.imread(path)[..., :3]


def has(image, colour):
    wanted = np.asarray([int(colour[k : k + 2], 16) for k in (1, 3, 5)]) / 255
    return int((np.abs(image - wanted).max(-1) < 0.01).sum())


def test_the_graph_is_coloured_by_status(tmp_path):
    assert {*NETWORK.places} == {*NETWORK.node}
    blank = pixels(pictures.graph(NETWORK), tmp_path)
    report = Report(
        1, "x", "wrong", (Row("logits", "ok"), Row("h", "wrong")), unreliable=("C",)
    )
    image = pixels(pictures.graph(NETWORK, report.statuses), tmp_path)
    for status in ("ok", "wrong", "inherited"):
        colour = figures.COLOURS[status]
        assert has(image, colour) > has(blank, colour)


def test_what_an_exercise_does_not_ask_for_is_not_to_do(tmp_path):
    names = EXERCISES[4].names
    report = Report(4, "x", "ok", tuple(Row(name, "ok") for name in names))
    found = report.statuses
    assert {k for k, status in found.items() if status == "ok"} == {*names}
    assert found["probs"] == "unasked"
    done = pixels(pictures.graph(NETWORK, found), tmp_path)
    assert has(done, figures.COLOURS["unasked"]) > 10 * len(found)


def test_no_arrow_crosses_a_name_or_runs_level_behind_it(tmp_path):
    places = {"a": (0, 0), "b": (1, 0), "c": (2, 0), "d": (0, 1), "e": (2, -1)}
    images = []
    for edges in ((), [("a", "c"), ("d", "e")]):  # straight, each would meet b
        figure = figures.graph(places, edges, {})
        images.append(pixels(figure, tmp_path))
    axes = figure.axes[0]
    name = next(text for text in axes.texts if text.get_text() == "b")
    x0, y0, x1, y1 = name.get_bbox_patch().get_window_extent().extents.astype(int)
    high = len(images[0])
    inside = np.s_[high - y1 + 2 : high - y0 - 2, x0 + 2 : x1 - 2]  # of its border
    np.testing.assert_array_equal(*(image[inside] for image in images))
    assert axes.patches[0].get_path().get_extents().y1 > 0.1


def test_what_is_not_finite_is_no_zero(tmp_path):
    picture = {"name": "h", "mine": [[np.nan, np.inf, 0]], "truth": [[1.0, 2, 3]]}
    figure = figures.compared(picture)
    assert figure.axes[0].images[0].get_clim() == (-3, 3)
    assert figure.axes[0].get_title() == "dh, mine (grey: not finite)"
    assert len(figure.axes[0].get_yticks()) == 0  # one row has no numbers
    assert has(pixels(figure, tmp_path), figures.NOT_FINITE) > 1000


def test_mine_true_and_difference_are_three_images():
    picture = {"name": "h", "mine": [[1.0, 2.0]], "truth": [[1.0, 4.0]]}
    axes = figures.compared(picture).axes[:3]
    shown = [np.asarray(a.images[0].get_array()) for a in axes]
    np.testing.assert_array_equal(shown[0], [[1, 2]])
    np.testing.assert_array_equal(shown[1], [[1, 4]])
    np.testing.assert_array_equal(shown[2], [[0, -2]])
    assert [a.get_title() for a in axes] == ["dh, mine", "dh, true", "mine - true"]


def test_pushes_and_pulls_sum_to_zero():
    sample = lecture_sample()
    symbols = ".abcdefghijklmnopqrstuvwxyz"
    figure = figures.forces(sample.truth["logits"], sample.values["Yb"], symbols)
    bars = [bar.get_height() for bar in figure.axes[1].patches]
    assert abs(sum(bars)) < 1e-5
    assert int(np.argmin(bars)) == int(sample.values["Yb"][0])
    assert sum(height < 0 for height in bars) == 1


def test_the_page_has_the_report_and_its_pictures():
    picture = {"name": "h", "mine": [[1.0]], "truth": [[2.0]]}
    report = Report(
        1, "<x>", "wrong", (Row("h", "wrong"),), "a < b", 3, picture=picture
    )
    html = report._repr_html_()
    assert html.count("data:image/png;base64,") == 2
    assert "a &lt; b" in html
    assert html.count("max-width: 100%") == 2  # it fits into a narrow notebook
    assert "white-space: pre-wrap" in html


def test_the_score_says_what_would_suffice():
    text = EXERCISES[2].solution
    best = cost(2, text)
    assert best.kept == ("logits",)
    assert best.mine.kept == 32 * 27 * 4
    assert best.mine.flops < best.autodiff.flops
    assert best.mine.arrays < best.autodiff.arrays
    assert "suffice" not in str(best)
    asked = text.replace("(logits, Yb", "(logits, counts, probs, counts_sum_inv, Yb")
    more = "counts * counts_sum_inv + 0 * probs"
    wasteful = cost(2, asked.replace("jax.nn.softmax(logits, 1)", more))
    assert wasteful.kept == ("counts", "counts_sum_inv", "probs")
    assert "yours keeps 3 of the forward: " in str(wasteful)
    assert str(wasteful).endswith("; 1 suffices: logits")


def test_what_is_asked_for_and_not_used_is_not_kept():
    text = EXERCISES[3].solution
    assert cost(3, text).kept == ("bnvar_inv", "bnraw") == EXERCISES[3].least


def test_the_least_of_exercise_4_is_what_its_solution_keeps():
    assert {*cost(4, EXERCISES[4].solution).kept} == {*EXERCISES[4].least}


def test_bessels_correction_in_numbers():
    x = np.random.default_rng(0).standard_normal(32)
    paper, torch, lecture = bessel.conventions(x)
    assert paper.training == pytest.approx(x.var())
    assert paper.mismatch == torch.mismatch == pytest.approx(32 / 31)
    assert lecture.training == lecture.inference == pytest.approx(x.var(ddof=1))
    assert "ratio 1.0323" in str(torch)
    for n in (2, 8):
        biased, unbiased = bessel.averages(n)
        assert biased == pytest.approx((n - 1) / n, abs=0.02)
        assert unbiased == pytest.approx(1, abs=0.03)
    with pytest.raises(
        ValueError, match="the unbiased variance of one number is 0 / 0"
    ):
        bessel.conventions(x[:1])


def test_pytorch_does_what_is_said_of_it():
    torch = pytest.importorskip("torch")
    x = torch.randn(
        32, 1, dtype=torch.float64, generator=torch.Generator().manual_seed(0)
    )
    norm = torch.nn.BatchNorm1d(1, eps=1e-12, momentum=1.0, dtype=torch.float64)
    y = norm(x)
    said = bessel.conventions(x[:, 0].numpy())[1]
    scale = ((x - x.mean()) / y).mean().item() ** 2
    assert scale == pytest.approx(said.training)
    assert norm.running_var.item() == pytest.approx(said.inference)

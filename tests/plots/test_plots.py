"""Figures of what is healthy, constant or not finite: drawn, labelled, told apart."""

import io

import numpy as np
import pytest
from matplotlib.image import imread

from jaxninja import plots
from jaxninja.plots.style import looks, natural

EMPTY = {"low": 0.0, "high": 0.0, "counts": [0] * 8, "nonfinite": 12}
CONSTANT = {"low": 2.0, "high": 2.0, "counts": [12] + [0] * 7, "nonfinite": 0}
NORMAL = {"low": -1.0, "high": 3.0, "counts": [1, 2, 6, 9, 6, 2, 0, 1], "nonfinite": 0}


def line(step=0, layers=3, histogram=NORMAL, number=0.5):
    """A record as `observe` writes it."""
    names = [f"h{i + 1}" for i in range(layers)]
    stats = {"mean": number, "std": number, "saturated": number, "dead": 0.0}
    return {
        "step": step,
        "loss": number,
        "grad_norm": number,
        "clipped": None,
        "activations": {
            n: stats | {"constant": 0.0, "histogram": histogram}
            for n in (*names, "logits")
        },
        "gradients": {
            n: {"std": number, "zero": 0.0, "histogram": histogram} for n in names
        },
        "parameters": {
            n: {"grad_data": number, "update_data": number, "histogram": histogram}
            for n in ("C", "W1", "W2", "b2")
        },
        "batchnorm": {"1": {"mean": number, "std": number}},
    }


def words(figure):
    legend = figure.axes[0].get_legend()
    return [text.get_text() for text in legend.get_texts()] if legend else []


@pytest.mark.parametrize("draw", [plots.activations, plots.gradients])
@pytest.mark.parametrize("layers", [1, 12])
def test_a_curve_for_each_layer_all_told_apart_without_colour(draw, layers):
    figure = draw(line(layers=layers))
    drawn = [c for c in figure.axes[0].get_lines() if c.get_label()[0] == "h"]
    assert len(drawn) == layers
    assert [c.get_label().split(":")[0] for c in drawn] == [
        f"h{i + 1}" for i in range(layers)
    ]


def test_the_looks_of_21_series_differ_and_7_do_without_colour():
    first = [look for look, _ in zip(looks(), range(21), strict=False)]
    assert len({(look["color"], str(look["ls"])) for look in first}) == 21
    assert len({str(look["ls"]) for look in first[:7]}) == 7


def test_the_outline_is_a_density():
    curve = plots.activations(line()).axes[0].get_lines()[0]
    x, y = curve.get_data()
    assert np.nansum(y) * (x[1] - x[0]) == pytest.approx(1)
    assert x[0] == -0.75


def test_a_constant_activation_is_a_line_that_says_so():
    figure = plots.activations(line(histogram=CONSTANT))
    assert all("(constant)" in text for text in words(figure))


def test_a_histogram_of_nan_says_so():
    figure = plots.activations(line(histogram=EMPTY, number=None))
    assert all("not finite, std not finite" in text for text in words(figure))
    assert all("(12 not finite)" in text for text in words(figure))


def test_weights_alone_are_drawn_with_their_ratio():
    found = words(plots.weight_gradients(line()))
    assert found == [f"{name}: grad:data 0.5" for name in ("C", "W1", "W2")]


def test_courses_leave_gaps_where_nothing_is_finite():
    lines = [line(0), line(10, number=None), line(20)]
    figure = plots.update_ratios(lines)
    y = figure.axes[0].get_lines()[0].get_ydata()
    assert [bool(v) for v in np.isnan(y)] == [False, True, False]
    assert words(figure) == ["C", "W1", "W2"]
    assert words(plots.gradient_norms(lines, 2.0)) == ["norm", "clip 2"]
    assert len(words(plots.batchnorm_gaps(lines))) == 2


def test_nothing_finite_at_all_is_a_sentence():
    lines = [line(0, number=None), line(10, number=None)]
    texts = [t.get_text() for t in plots.gradient_norms(lines).axes[0].texts]
    assert texts == ["no finite value to draw"]


def test_maps():
    flat = np.zeros((6, 5), bool)
    flat[:, 2] = True
    assert "1 of 5 units are" in plots.dead_units(flat).axes[0].get_title()
    assert "no unit is" in plots.dead_units(~flat & False).axes[0].get_title()
    shown = [t.get_text() for t in plots.dlogits(flat * 1.0, "abcde").axes[0].texts]
    assert shown == []
    axes = plots.embedding(np.arange(6.0).reshape(3, 2), ".ab").axes[0]
    assert [t.get_text() for t in axes.texts] == [".", "a", "b"]
    plots.png(plots.embedding(np.array([[1.0], [np.nan]]), "ab"))


def test_2500_symbols_that_the_font_lacks_are_thinned_out_and_shown_as_code_points():
    """A glyph that is missing would be a warning, and warnings are errors here."""
    symbols = [chr(0x4E00 + k) for k in range(2_500)]
    figure = plots.dlogits(np.eye(3, 2_500), symbols)
    labels = [t.get_text() for t in figure.axes[0].get_xticklabels()]
    assert len(labels) <= 60
    assert labels[0] == "U+4E00"
    letters = plots.embedding(np.arange(5_000.0).reshape(2_500, 2), symbols)
    assert len(letters.axes[0].texts) <= 120
    assert "symbols named" in letters.axes[0].get_title()
    for drawn in (figure, letters):
        plots.png(drawn)


def test_losses_of_several_runs():
    metrics = [{"step": s, "train_loss": v} for s, v in ((1, 2.0), (2, None), (3, 1.0))]
    figure = plots.losses_of_runs({"one": metrics, "two": metrics[:1], "none": []})
    assert words(figure) == ["one", "two"]


def test_a_png_is_a_picture(tmp_path):
    figure = plots.activations(line())
    plots.save(figure, tmp_path / "a.png")
    picture = imread(io.BytesIO((tmp_path / "a.png").read_bytes()))
    assert picture.shape[:2] == (480, 780)
    assert picture[..., :3].min() < 0.2


def test_names_are_sorted_as_a_person_counts():
    assert natural(["h10", "h2", "C", "h1"]) == ["C", "h1", "h2", "h10"]

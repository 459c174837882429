"""Outlines of activations, gradients and weights; what is not finite says so."""

import numpy as np
import pytest

from jaxninja import plots
from tests.plots.records import CONSTANT, EMPTY, line, words


@pytest.mark.parametrize("draw", [plots.activations, plots.gradients])
@pytest.mark.parametrize("layers", [1, 12])
def test_a_curve_for_each_layer_all_told_apart_without_colour(draw, layers):
    figure = draw(line(layers=layers))
    drawn = [c for c in figure.axes[0].get_lines() if c.get_label()[0] == "h"]
    assert len(drawn) == layers
    assert [c.get_label().split(":")[0] for c in drawn] == [
        f"h{i + 1}" for i in range(layers)
    ]


def test_the_outline_is_a_density():
    curve = plots.activations(line()).axes[0].get_lines()[0]
    x, y = curve.get_data()
    assert np.nansum(y) * (x[1] - x[0]) == pytest.approx(1)
    assert x[0] == -0.75


def test_a_bin_between_empty_ones_is_a_dot():
    """A line that leads nowhere is not drawn, and the axis would end in nothing."""
    histogram = {"low": 0.0, "high": 1.0, "counts": [3, 2, 0, 1], "nonfinite": 0}
    axes = plots.gradients(line(histogram=histogram)).axes[0]
    for curve in axes.get_lines():
        assert (curve.get_marker(), curve.get_markevery()) == (".", [3])
    assert axes.get_xlim()[1] > 0.875
    assert plots.activations(line()).axes[0].get_lines()[0].get_markevery() == [7]


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

"""Ratios and norms against the step: gaps where nothing is finite."""

import numpy as np

from jaxninja import plots
from tests.plots.records import line, words


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

"""Maps of dead units, dlogits and the embedding."""

import numpy as np

from jaxninja import plots


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

"""Maps of dead units, dlogits and the embedding."""

import numpy as np

from jaxninja import plots


def test_maps():
    flat = np.zeros((6, 5), bool)
    flat[:, 2] = True
    assert "1 of 5 units are" in plots.dead_units(flat).axes[0].get_title("left")
    places = flat.reshape(3, 2, 5)  # as wavenet has them
    assert "1 of 5 units are" in plots.dead_units(places).axes[0].get_title("left")
    assert "no unit is" in plots.dead_units(~flat & False).axes[0].get_title("left")
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
    assert "symbols named" in letters.axes[0].get_title("left")
    for drawn in (figure, letters):
        plots.png(drawn)


def test_of_many_attention_maps_some_are_shown():
    maps = np.tril(np.ones((12, 8, 3, 3))) / np.arange(1, 4)[:, None]
    figure = plots.attention_maps(maps, "abc")
    titles = [axes.get_title() for axes in figure.axes]
    assert len(titles) == 16
    assert (titles[0], titles[-1]) == ("layer 1, head 1", "layer 12, head 8")
    assert "4 of 12 layers, 4 of 8 heads" in figure.get_suptitle()
    shown = figure.axes[0].images[0].get_array()
    np.testing.assert_allclose(shown[..., 3], maps[0, 0])

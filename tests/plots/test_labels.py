"""Labels at the ends of curves: none on another, none without its curve."""

import pytest
from matplotlib.artist import getp
from matplotlib.lines import Line2D

from jaxninja import plots
from jaxninja.plots.courses import shortened
from jaxninja.plots.labels import apart
from tests.plots.records import line, names


@pytest.mark.parametrize(
    ("places", "expected"),
    [
        ([0.2, 0.5, 0.9], [0.2, 0.5, 0.9]),
        ([0.5, 0.5], [0.45, 0.55]),
        ([0.0, 0.0, 0.5], [0.0, 0.1, 0.5]),
        ([1.0, 1.0], [0.9, 1.0]),
        ([0.4, 0.45, 0.6], [0.375, 0.475, 0.6]),
        ([0.4, 0.45, 0.5], [0.35, 0.45, 0.55]),
    ],
)
def test_places_are_moved_apart_and_stay_within(places, expected):
    assert apart(places, 0.1) == pytest.approx(expected, abs=1e-3)


def test_a_label_stands_at_the_height_of_its_curve():
    runs = {
        k: [{"step": s, "train_loss": v, "val_loss": None} for s in (1, 2)]
        for k, v in (("low", 1.0), ("high", 3.0))
    }
    axes = plots.losses_of_runs(runs).axes[0]
    heights = {text.get_text(): text.get_position()[1] for text in axes.texts}
    assert heights["low"] < 0.1
    assert heights["high"] > 0.9


def test_a_piece_of_the_curve_stands_before_its_name():
    """Curves that end at one point are told apart by it."""
    figure = plots.update_ratios([line(0), line(10)])
    axes = figure.axes[0]
    heights = {text.get_text(): text.get_position()[1] for text in axes.texts}
    lines = [a for a in figure.artists if isinstance(a, Line2D)]
    pieces = {piece.get_ydata()[0]: piece for piece in lines}
    for curve in axes.get_lines():
        piece = pieces[heights[curve.get_label()]]
        for look in ("color", "linestyle", "marker"):
            assert getp(piece, look) == getp(curve, look)


def test_of_many_curves_the_highest_and_lowest_are_named():
    runs = {
        f"run{n}": [
            {"step": s, "train_loss": 1.0 + n, "val_loss": None} for s in (1, 2)
        ]
        for n in range(30)
    }
    found = names(plots.losses_of_runs(runs))
    assert len(found) == 24
    assert {"run0", "run29"} <= {*found}


def test_what_ends_outside_of_a_close_up_is_said_to():
    near = [{"step": s, "train_loss": 2 + 1 / s, "val_loss": None} for s in (1, 2, 3)]
    far = [{"step": s, "train_loss": 300.0, "val_loss": None} for s in (1, 2, 3)]
    axes = plots.losses_of_runs({"near": near, "far": far}, close=True).axes[0]
    assert {text.get_text() for text in axes.texts} == {"near", "far, above"}


def test_long_names_are_shown_without_what_all_begin_with():
    long = ["names-network-1", "names-transformer-network-1"]
    assert shortened(long) == ["network-1", "transformer-network-1"]
    assert shortened(["names-rules-1", "names-rules-2"]) == [
        "names-rules-1",
        "names-rules-2",
    ]
    assert shortened([long[1], long[1]]) == ["1", "1"]

"""Looks, the order of names, and a picture as a file."""

import io

from matplotlib.image import imread

from jaxninja import plots
from jaxninja.plots.style import grouped, looks, natural
from tests.plots.records import line


def test_the_looks_of_21_series_differ_and_7_do_without_colour():
    first = [look for look, _ in zip(looks(), range(21), strict=False)]
    assert len({(look["color"], str(look["ls"])) for look in first}) == 21
    assert len({str(look["ls"]) for look in first[:7]}) == 7


def test_a_png_is_a_picture(tmp_path):
    figure = plots.activations(line())
    plots.save(figure, tmp_path / "a.png")
    picture = imread(io.BytesIO((tmp_path / "a.png").read_bytes()))
    assert picture.shape[:2] == (507, 690)
    assert picture[..., :3].min() < 0.2


def test_names_are_sorted_as_a_person_counts():
    assert natural(["h10", "h2", "C", "h1"]) == ["C", "h1", "h2", "h10"]


def test_many_arrays_are_grouped_by_what_they_are_but_for_their_layer():
    assert grouped(["C", "W1"], 8) == {"C": ["C"], "W1": ["W1"]}
    many = [f"{stem}{layer}" for stem in ("Wo", "Wf") for layer in (1, 2)]
    assert grouped(["C", *many], 4) == {
        "C": ["C"],
        "Wo, median of 2": ["Wo1", "Wo2"],
        "Wf, median of 2": ["Wf1", "Wf2"],
    }
    deep = [f"W{n}" for n in range(1, 12)]
    assert [*grouped(deep, 3)] == ["W1", "W6", "W11"]

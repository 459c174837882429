"""A figure as an <svg> for a page: whole, in the page's font and colours, readable."""

import json
import re
from xml.etree import ElementTree

import numpy as np
import pytest

from jaxninja import plots
from jaxninja.plots.vector import values
from tests.plots.records import line

LINES = [line(step) for step in (0, 10, 20, 30, 40)]


@pytest.fixture(scope="module")
def norms():
    return plots.svg(plots.gradient_norms(LINES, 2.0), "norms <&", "r1")


def test_it_is_one_element_with_text_as_text(norms):
    root = ElementTree.fromstring(norms)
    assert (root.tag, root.get("aria-label")) == ("svg", "norms <&")
    texts = {element.text for element in root.iter("text")}
    assert {"norm of the gradient", "step", "norm", "clip 2", "40"} <= texts


def test_font_and_colours_are_the_pages(norms):
    assert "font-family" not in norms
    assert "DejaVu" not in norms
    colours = re.findall(r"(?:stroke|fill): ([^;\"]+)", norms)
    assert set(colours) <= {"none", "var(--ink, #000000)", "var(--soft, #808080)"}
    assert 'class="curve-0"' in norms


def test_two_figures_of_a_page_share_no_id(norms):
    other = plots.svg(plots.gradient_norms(LINES, 2.0), "norms", "r2")
    ids, others = (set(re.findall(r' id="([^"]+)"', svg)) for svg in (norms, other))
    assert ids
    assert not ids & others
    used = set(re.findall(r'(?:href="#|url\(#)([^")]+)', norms))
    assert used <= ids


def test_what_the_curves_are_made_of_can_be_read(norms):
    (panel,) = json.loads(ElementTree.fromstring(norms).get("data-values"))
    assert panel["x"] == "step"
    assert panel["limits"] == [0, 40]
    norm = panel["lines"][0]
    assert (norm["name"], norm["group"]) == ("norm", "curve-0")
    assert (norm["x"], norm["y"]) == ([0, 10, 20, 30, 40], [0.5] * 5)


def test_a_place_in_the_figure_is_where_the_axes_are(norms):
    """The line across at `clip 2` goes from left to right."""
    (panel,) = json.loads(ElementTree.fromstring(norms).get("data-values"))
    pattern = r'd="M (\S+) (\S+)\s+L (\S+) (\S+)"[^>]*stroke: var\(--soft'
    x, y, end, _ = map(float, re.search(pattern, norms).groups())
    assert [x, end] == pytest.approx([panel["left"], panel["right"]], abs=0.02)
    assert panel["top"] <= y <= panel["bottom"]


def test_what_is_not_finite_is_null():
    figure = plots.gradient_norms([LINES[0], line(10, number=None), LINES[2]])
    assert values(figure)[0]["lines"][0]["y"] == [0.5, None, 0.5]


def test_a_map_is_one_picture_with_a_pixel_for_each_cell():
    flat = np.zeros((6, 5), bool)
    flat[:, 2] = True
    svg = plots.svg(plots.dead_units(flat), "dead")
    image = ElementTree.fromstring(svg).find(".//image")
    assert (image.get("width"), image.get("height")) == ("5", "6")
    assert (image.get("class"), "pixelated" in image.get("style")) == ("ink", True)
    assert values(plots.dead_units(flat)) == []

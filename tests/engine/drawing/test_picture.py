"""Drawings: what they say, and that nothing lies on top of anything else."""

import re
import time
import xml.etree.ElementTree as ET
from itertools import combinations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.ad_checkpoint import checkpoint_name

from jaxninja.engine import backward, trace
from jaxninja.engine.drawing.layout import Cell, place
from jaxninja.engine.drawing.picture import LIMIT, picture_of
from jaxninja.engine.drawing.svg import LETTER, PAGE, _Texts

X = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)
SVG = "{http://www.w3.org/2000/svg}"


def expression(a, b, c, f):
    e = checkpoint_name(a * b, "e")
    return checkpoint_name((e + c) * f, "L")


def network(params, x, ids):
    def layer(x, w):
        h = x @ w
        mean = h.mean(0)
        return jnp.tanh((h - mean) / jnp.sqrt(((h - mean) ** 2).mean(0) + 1e-5))

    with jax.named_scope("hidden"):
        for w in params["hidden"]:
            x = layer(x[ids], w)
    logits = x @ params["out"]
    return -jax.nn.log_softmax(logits)[jnp.arange(3), ids].mean()


def deep(x, n):
    for _ in range(n):
        x = jnp.tanh(x * 1.01)
    return x.sum()


@pytest.fixture(scope="module")
def traced():
    w = np.random.default_rng(1).normal(size=(3, 4, 4)).astype(np.float32)
    params = {"hidden": list(w[:2]), "out": w[2]}
    graph = jax.jit(lambda *args: trace(network, *args))(params, X, np.arange(3))
    return graph, backward(graph)


def drawn(graph, grads, fold=None):
    units = picture_of(graph, fold).units
    return place(units, _Texts(graph, grads).size, PAGE)


def test_text():
    graph = trace(expression, 2.0, -3.0, 10.0, -2.0)
    assert graph.to_text(backward(graph)).splitlines() == [
        "node        dtype[shape]  value    gradient",
        "a           float32[]     2.0000   6.0000",
        "b           float32[]     -3.0000  -4.0000",
        "c           float32[]     10.0000  -2.0000",
        "f           float32[]     -2.0000  4.0000",
        "e = a * b   float32[]     -6.0000  -2.0000",
        "#5 = e + c  float32[]     4.0000   -2.0000",
        "L = #5 * f  float32[]     -8.0000  1.0000",
    ]
    assert "gradient" not in graph.to_text()


def test_text_of_numbers_arrays_and_calls():
    def f(x, ids):
        y = 2 / jax.nn.relu(1 - x**3)[ids]
        return jnp.where(y > 0, y, 0.5).sum()

    text = trace(f, jnp.asarray(X), np.array([0, 2])).to_text()
    for part in ("ids ", "0 to 2", "x ^ 3", "= 1 - #", "relu(#", "= 2 / #", " > 0"):
        assert part in text, part
    assert f"float32[3, 4]  mean {X.mean():.3g}, std {X.std():.3g}" in text
    assert " of 8 true" in text


def test_complex_values_are_shown_whole():
    graph = trace(lambda x: jnp.abs(jnp.stack([x * 1j, x])).sum(), 2.0)
    text = graph.to_text(backward(graph))
    assert re.search(r"\* 1j +complex64\[\] +0\.0000\+2\.0000j +0\.0000-1", text), text
    assert "mean 1+1j, std 1.41" in text


def test_text_shows_the_body_of_a_scan_and_the_branches_of_a_cond():
    def f(x):
        h, _ = jax.lax.scan(lambda c, row: (jnp.tanh(c + row), None), x[0], x)
        return jax.lax.cond(h[0] > 0, jnp.sum, lambda h: jnp.exp(h).sum(), h)

    graph = trace(f, X)
    text = graph.to_text(backward(graph))
    assert "scan, 3 steps(" in text
    assert "\n    #2 = #0 + #1 " in text
    assert "\n    #1 = exp(#0) " in text
    assert text.count("float32[3, 4]") == 5  # x, and the stacked values of the body


def test_svg_says_what_the_graph_says():
    graph = trace(expression, 2.0, -3.0, 10.0, -2.0)
    root = ET.fromstring(graph.to_svg(backward(graph)))
    texts = [t.text for t in root.iter(f"{SVG}text")]
    for part in (
        "a  float32[]",
        "2.0000",
        "grad 6.0000",
        "L  float32[]",
        "grad 1.0000",
    ):
        assert part in texts, part
    assert [t for t in texts if t in "*+"] == ["*", "+", "*"]
    assert len(root.findall(f"{SVG}path")) == 6
    titles = [t.text for t in root.iter(f"{SVG}title")]
    assert all("test_picture.py" in title for title in titles)
    assert "grad" not in "".join(
        t.text for t in ET.fromstring(graph.to_svg()).iter(f"{SVG}text")
    )


@pytest.mark.more
def test_no_box_lies_on_another_and_all_are_on_the_page(traced):
    every = drawn(*traced)
    assert len(every.placed) > 40
    for p in every.placed:
        assert p.x >= 0
        assert p.y >= 0
        assert p.x + p.width <= min(every.width, PAGE + 200)
        assert p.y + p.height <= every.height
    for p, q in combinations(every.placed, 2):
        apart_x = p.x + p.width <= q.x or q.x + q.width <= p.x
        apart_y = p.y + p.height <= q.y or q.y + q.height <= p.y
        assert apart_x or apart_y


def test_arrows_go_to_the_right_and_every_operand_has_one(traced):
    graph, grads = traced
    every = drawn(graph, grads)
    for start, end, node in every.arrows:
        assert start.x + start.width < end.x
        assert node in start.cell.unit.outs
        assert node in end.cell.unit.ins
    shown = {(end.cell.unit.outs, node) for _, end, node in every.arrows}
    units = picture_of(graph).units
    assert shown == {(u.outs, i) for u in units for i in u.ins}
    whole = [p.cell.unit for p in every.placed if not p.cell.reference]
    assert sorted(whole, key=units.index) == units


def test_folding_by_scope(traced):
    graph, grads = traced
    units, _, note = picture_of(graph, fold=True)
    labels = [u.label for u in units]
    assert any(label.startswith("hidden (") for label in labels)
    assert any("log_softmax (" in label for label in labels)
    assert len(units) < len(picture_of(graph).units)
    assert "folded into" in note
    assert "hidden (" in graph.to_svg(grads, fold=True)
    assert "hidden (" in graph.to_text(grads, fold=True)
    made = {i: k for k, u in enumerate(units) for i in u.outs}
    assert all(made[i] < k for k, u in enumerate(units) for i in u.ins), "a circle"


def test_a_large_graph_is_folded_with_a_note_or_drawn_whole():
    graph = trace(deep, X, 700)
    grads = backward(graph)
    assert len(graph) > 2000
    start = time.perf_counter()
    small, whole = graph.to_svg(grads), graph.to_svg(grads, fold=False)
    seconds = time.perf_counter() - start
    assert "1401 operations are folded into" in small
    assert small.count("<rect") < 3 * LIMIT < 1401 < whole.count("<rect")
    assert "folded" not in ET.fromstring(whole).findall(f"{SVG}text")[-1].text
    assert seconds < 60  # about 1.5; a limit that a busy machine keeps, too


def test_what_returns_nothing_has_an_empty_picture():
    root = ET.fromstring(trace(lambda x: None, 2.0)._repr_svg_())
    assert root.findall(f"{SVG}rect") == []


def test_a_page_is_as_wide_as_its_note():
    root = ET.fromstring(trace(lambda x, axis: x, 2.0, 3).to_svg())
    note = [t.text for t in root.iter(f"{SVG}text")][-1]
    assert note.startswith("no gradient for axis = 3")
    assert float(root.get("width")) > LETTER * len(note)


def test_a_notebook_shows_gradients_where_there_are_any():
    assert "grad 6.0000" in trace(expression, 2.0, -3.0, 10.0, -2.0)._repr_svg_()
    assert "grad mean" not in trace(lambda x: x * 2, X)._repr_svg_()
    assert "grad mean" in trace(lambda x: (x * 2).sum(), X)._repr_svg_()


def test_a_name_may_hold_anything():
    """Markup is text in an SVG, and what no XML may hold is written as an escape."""
    graph = trace(lambda x: checkpoint_name(x * 2, "<b>&\x1b\n"), 1.5)
    texts = [t.text for t in ET.fromstring(graph.to_svg()).iter(f"{SVG}text")]
    assert any(text.startswith(r"<b>&\x1b\n") for text in texts)
    assert r"<b>&\x1b\n" in graph.to_text()


def test_values_that_are_traced_and_random_keys():
    def text(x, key):
        return trace(lambda x, k: jax.random.normal(k, x.shape) * x, x, key).to_text()

    assert "key<fry>[]" in text(X, jax.random.key(0))
    seen = []
    jax.jit(lambda x: seen.append(text(x, jax.random.key(0))) or x)(X)
    assert "mean" not in seen[0].split("\n")[1]


def test_an_argument_alone():
    graph = trace(lambda x: x, 1.5)
    assert graph.to_text(backward(graph)).endswith("x     float32[]     1.5000  1.0000")
    assert "1.5000" in graph.to_svg()
    size = place([*picture_of(graph).units], lambda cell: (10.0, 10.0), 100.0)
    assert [p.cell for p in size.placed] == [Cell(picture_of(graph).units[0])]


def test_a_small_number_is_not_drawn_as_zero():
    graph = trace(lambda x, y: x * 2e-6 + 0.0 * y, 1.0, 1.0)
    lines = graph.to_text(backward(graph)).splitlines()
    assert lines[1].split() == ["x", "float32[]", "1.0000", "2e-06"]
    assert lines[2].split() == ["y", "float32[]", "1.0000", "0.0000"]

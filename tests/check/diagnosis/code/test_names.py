"""What a hint says: the right line, the right number of the verb, no name twice."""

import dataclasses
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxninja import check_vjp
from jaxninja.check.diagnosis.code.constants import number
from jaxninja.check.diagnosis.code.names import enclosed
from jaxninja.check.diagnosis.edits import single
from jaxninja.check.hints import Words, listed, say
from tests.check.subjects import codes, ruled

X = np.array([[0.7, -1.9, 2.3], [0.2, 1.1, -0.4]], np.float32)
Y_SQUARED = say("instead", new="y**2", old="y")
W = np.array([[0.3, 1.2], [-0.8, 0.5], [1.1, -0.6]], np.float32)


def test_words():
    assert listed(["dx"]) == "dx"
    several = {"leaves": ("x", "w"), "spot": "y"}
    assert Words().text(say("no path", **several)).startswith("dx and dw lack the path")
    assert listed(["dx", "dw", "db"]) == "dx, dw and db"
    shown = Words().text(number(1.25, {5: "c.shape[0]"}))
    assert shown == "n/(n-1) = 1.25, n = c.shape[0]"
    assert Words().text(number(-7.0, {7: "x.shape[0]"})) == "-x.shape[0] = -7"


@pytest.mark.parametrize(
    ("operator", "text", "written"),
    [
        ("*", "1 + x * x", "(1 + x * x)"),
        ("*", "(1 + x * x)", "(1 + x * x)"),
        ("*", "(1 + x) - (1 - y)", "((1 + x) - (1 - y))"),
        ("*", "x > 0", "(x > 0)"),
        ("*", "x * y", "x * y"),
        ("/", "x * y", "(x * y)"),
        ("-", "x * y", "x * y"),
        ("-", "x + y", "(x + y)"),
        ("/", "y**2", "y**2"),
        ("*", "jnp.exp(a + b)", "jnp.exp(a + b)"),
        ("*", "max in f.py:12", "max in f.py:12"),
    ],
)
def test_an_operand_that_needs_parentheses_has_them(operator, text, written):
    assert enclosed(text, operator) == written


def test_the_factor_that_is_left_out_is_a_sum():
    step = SimpleNamespace(name="mul", ins=(0, 1), outs=(2,), eqn=None)
    program = SimpleNamespace(steps=[step], constants={})
    edits = single._dropped(program, 0, ("dy", "1 + x * x").__getitem__)
    left_out = [Words().text(edit.what) for edit in edits]
    assert left_out == ["leave out * (1 + x * x)", "leave out * dy"]


@pytest.mark.more
def test_a_square_left_out_of_the_derivative_of_tanh():
    """JAX computes dy (1 - y) (1 + y); that sum is none of the user's paths."""

    def bwd(res, dy):
        x, w, y = res
        da = dy * (1 - y)
        return da @ w.T, x.T @ da

    def fwd(x, w):
        y = jnp.tanh(x @ w)
        return y, (x, w, y)

    report = check_vjp(ruled(lambda x, w: jnp.tanh(x @ w), fwd, bwd, ()), X, W)
    codes = [hint.statement.code for hint in report.hints]
    assert codes[0] == "fixed", report.table()
    assert "no term" not in codes
    first = report.hints[0].statement
    assert first["leaves"] == ("x", "w")
    assert (first["subject"], first["edit"]) == ("1 - y", Y_SQUARED)


@pytest.mark.more
def test_a_term_within_one_operation_is_said_to_be_one():
    def softmax(x):
        return jax.nn.softmax(x)

    def bwd(p, dy):
        return (p * dy,)

    op = ruled(softmax, lambda x: (softmax(x), softmax(x)), bwd, ())
    report = check_vjp(op, X)
    assert [hint.statement.code for hint in report.hints] == ["no term"]
    assert report.hints[0].statement["spot"].text == "jax.nn.softmax(x)"


@jax.custom_vjp
def sine(x):
    return jnp.sin(x)


def sine_bwd(x, dy):
    return (2 * dy * jnp.cos(x),)


sine.defvjp(lambda x: (jnp.sin(x), x), sine_bwd)


def test_the_line_of_a_rule_inside_a_model():
    def model(x, w):
        h = sine(x @ w)
        return (h**2).sum()

    hint = check_vjp(model, X, W).hints[0]
    first = sine_bwd.__code__.co_firstlineno
    assert hint.where == f"test_names.py:{first}"
    assert hint.edit == f"{hint.where}: a value in `sine_bwd`: leave out * 2"


@pytest.mark.more
def test_one_edit_is_told_once():
    def bwd(res, dy):
        x, w = res
        half = 0.5 * dy
        return half * w, half * x

    op = ruled(lambda x, w: x * w, lambda x, w: (x * w, (x, w)), bwd, ())
    report = check_vjp(op, X, X[::-1].copy())
    assert [hint.leaf for hint in report.hints] == ["x", "w"], report.table()


def test_a_declared_zero_that_is_none():
    op = ruled(lambda x: x * x, lambda x: (x * x, x), lambda x, dy: (2 * x * dy,), ())
    report = check_vjp(op, X, zero="x")
    assert "declared zero, " in report.table()
    assert "got 0, expected 0" not in report.table()
    assert "not 0" not in report._repr_html_()


@pytest.mark.parametrize("seed", [-1, 1.5])
def test_a_seed_is_a_number_from_zero_on(seed):
    with pytest.raises(ValueError, match="expected an integer from 0 on"):
        check_vjp(sine, X, seed=seed)


def test_one_dtype_by_its_name():
    op = ruled(sine.fun, lambda x: (jnp.sin(x), x), lambda x, g: (g * jnp.cos(x),), ())
    assert check_vjp(op, X, dtypes="float32", level="quick").ok


def test_an_error_of_several_lines():
    def bwd(x, dy):
        raise ValueError("Binding failed with the error:\n  no such axis\nand more")

    op = ruled(lambda x: x * x, lambda x: (x * x, x), bwd, ())
    report = check_vjp(op, X)
    assert codes(report) == {"E-RAISE"}
    assert "no such axis\n" in report.table()


@pytest.mark.more
def test_the_page_says_what_the_table_says():
    def bwd(res, dy):
        return res[1] * dy, 2 * res[0] * dy

    op = ruled(lambda x, w: x * w, lambda x, w: (x * w, (x, w)), bwd, ())
    report = check_vjp(op, X, X[::-1].copy())
    page = report._repr_html_()
    assert "Hint [w]: dw is the true gradient times 2." in page
    assert f"({report.hints[0].where})" in page
    assert "random inputs" in page
    vague = dataclasses.replace(report.hints[0], verified=False, change=None)
    leaf = dataclasses.replace(report.leaves[0], note="loses digits")
    other = dataclasses.replace(report, hints=(vague,), leaves=(leaf,))._repr_html_()
    assert "Looks like [w]: dw is the true gradient times 2." in other
    assert "loses digits" in other

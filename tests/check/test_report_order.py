"""A report tells the cause first, and not again what follows from it."""

import jax
import numpy as np
import pytest

from jaxninja import check_vjp
from jaxninja.check.hints import Hint, Words, say
from jaxninja.check.records import Coverage, Finding
from jaxninja.check.report import Report, joined
from jaxninja.check.unreached import gaps
from tests.check.subjects import codes, inputs, ruled

BENT = Finding("E-SCALE", "bwd(1000 dy) is not 1000 bwd(dy)")
VALUE = Finding("E-FWD", "the value is another")
WARNING = Finding("W-KINK", "another convention")


def hint(verified):
    return Hint(say("sign", leaf="x"), "sign", verified, "x")


@pytest.mark.parametrize("verified", [True, False])
def test_what_follows_from_a_named_mistake_comes_after_it(verified):
    findings, hints = (VALUE, BENT, WARNING), (hint(verified),)
    report = Report(
        *("f", None, "standard", 0, (), findings, hints, (), Coverage()), None, 0.0, {}
    )
    told = [VALUE, *hints, BENT] if verified else [VALUE, BENT, *hints]
    assert report.causes == (*told, WARNING)
    places = [report.table().find(str(cause)) for cause in report.causes]
    assert -1 not in places
    assert places == sorted(places)


def test_a_gradient_that_is_wrong_is_not_wrong_again_under_vmap():
    """But one that only vmap spoils is."""

    def report(bwd):
        rule = ruled(lambda x: x**3, lambda x: (x**3, x), bwd, ())
        return check_vjp(rule, inputs()[0][0], level="full")

    twice = report(lambda x, dy: (6 * x**2 * dy,))
    assert not codes(twice) & {"E-TRANSFORM", "E-SECOND"}, twice.table()
    skipped = [text for text in twice.not_tested if "it is wrong without them" in text]
    assert [text.split(" of ")[0] for text in skipped] == [
        "transformations",
        "second derivatives",
    ]

    @jax.custom_batching.custom_vmap
    def slope(x, dy):
        return 3 * x**2 * dy

    @slope.def_vmap
    def _(size, batched, x, dy):
        return 6 * x**2 * dy, True

    batched = report(lambda x, dy: (slope(x, dy),))
    assert "E-TRANSFORM" in codes(batched), batched.table()


@pytest.mark.parametrize(
    ("fact", "said"),
    [
        ("select_n in `jnp.where(x > 0, x, y)`", "where in `jnp.where(x > 0, x, y)`"),
        ("select_n in `g[order]`", "a value in `g[order]`"),
        ("custom_linear_solve in solve.py:241", "a value in solve.py:241"),
        ("exp in `jnp.exp(x)`", "exp in `jnp.exp(x)`"),
        ("* reduce_sum in `x.sum()`", "* sum in `x.sum()`"),
        ("select_n mask, dy", "where mask, dy"),
        ("my_select_n", "my_select_n"),
    ],
)
def test_an_operation_is_called_what_is_written(fact, said):
    assert Words().text(say("leave out", what=fact)) == f"leave out {said}"


def test_what_is_left_out_for_one_reason_is_one_line():
    texts = (
        "x at 0: it jumps",
        "edges",
        "hints: none",
        "x at 0 in a row: it jumps",
        "more",
    )
    assert joined(texts) == [
        "x at 0; x at 0 in a row: it jumps",
        "edges",
        "hints: none",
        "more",
    ]


def test_comparisons_inside_of_what_the_forward_calls_are_counted():
    seen = {
        "f.py:3": [True, False],
        0: [True, True],
        1: [False, True],
        2: [True, False],
    }
    found = gaps({key: np.array(both) for key, both in seen.items()}, [])
    assert found == [
        "comparison at f.py:3 was only ever True",
        "2 of 3 comparisons inside of what the forward calls went one way only",
    ]

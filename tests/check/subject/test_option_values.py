"""Options that list no values are tried at their neighbours; no guess fails a rule."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxninja import check_vjp
from jaxninja.check.subject.option_values import (
    _tuples,
    asks_for_none,
    groups_of,
    neighbours,
    strings_of,
)
from tests.check.subjects import ruled

X = np.random.default_rng(3).normal(size=(4, 5)).astype(np.float32)
LABELS = np.array([0, 2, 1, 3])


def decay(rate):
    return 1.0 if rate is None else rate


def decayed(x, rate=None):
    return decay(rate) * x * x


def decayed_bwd(rate, args, g):
    return (2 * decay(rate) * args[0] * g,)


def log_softmax(x, axis):
    return jax.nn.log_softmax(x, axis)


def log_softmax_bwd(axis, args, g):
    return (g - jax.nn.softmax(*args, axis) * g.sum(axis, keepdims=True),)


def last_axis(axis, args, g):
    return log_softmax_bwd(-1, args, g)


def positive_axis(axis, args, g):
    return log_softmax_bwd(axis if axis >= 0 else 0, args, g)


def power(x, p):
    return jnp.sum(jnp.abs(x) ** p)


def power_bwd(p, args, g):
    return (g * p * jnp.sign(*args) * jnp.abs(*args) ** (p - 1),)


def reduced(x, way="mean"):
    if way not in ("mean", "sum"):
        raise ValueError(way)
    return (x * x).mean() if way == "mean" else (x * x).sum()


def reduced_bwd(way, args, g):
    return (2 * args[0] * g / (args[0].size if way == "mean" else 1),)


WAYS = {"tanh": jnp.tanh, "sin": jnp.sin}


def activated(x, way):
    return WAYS[way](x)


def activated_bwd(way, args, g):
    (x,) = args
    return (g * (jnp.cos(x) if way == "sin" else 1 - jnp.tanh(x) ** 2),)


def masked(x, labels, ignored=-100, weight=0.1):
    kept = labels != ignored
    return ((x * x + weight * x).sum(-1) * kept).sum() / kept.sum()


def masked_bwd(ignored, weight, args, g):
    x, labels = args
    kept = labels != ignored
    return (2 * x + weight) * kept[:, None] * g / kept.sum(), None


def norm(x, axis=None):
    return jnp.sqrt((x * x).sum(axis))


def norm_bwd(axis, args, g):
    (x,) = args
    y = g / norm(x, axis)
    return (x * (y if axis is None else jnp.expand_dims(y, axis)),)


def summed_or_not(x, way):
    return (x * x).mean(keepdims=False) if way == "mean" else (x * x).sum()


def on_backend(x, backend):
    return jnp.sin(x)


def backend_bwd(backend, args, g):
    return (g * jnp.cos(*args),) if backend == "a" or backend is None else (None,)


def halved_by_default(backend, args, g):
    return (g * jnp.cos(*args) * (0.5 if backend is None else 1),)


def cells(x, widths):
    return widths[0] * x[:, 0] + widths[1] * x[:, 1]


def cells_bwd(widths, args, g):
    dx = jnp.zeros_like(*args).at[:, 0].set(widths[0] * g)
    return (dx.at[:, 1].set(widths[1] * g),)


def two_cells(x, width, height):
    return cells(x, (width, height))


# name: (plain, right backward, wrong one, arguments, label of what shows it)
BUGS = {
    "axis": (log_softmax, log_softmax_bwd, last_axis, (X, -1), "axis=0"),
    "sign of it": (log_softmax, log_softmax_bwd, positive_axis, (X, 0), "axis=-1"),
    "integer": (
        power, power_bwd, lambda p, *r: power_bwd(2, *r), (X[0], 2), "p=3"
    ),
    "float": (
        power, power_bwd, lambda p, *r: power_bwd(3.0, *r), (X[0], 3.0), "p=3.9"
    ),
    "string": (
        reduced, reduced_bwd, lambda w, *r: reduced_bwd("mean", *r),
        (X[0],), "way='sum'",
    ),
    "key of a table": (
        activated, activated_bwd, lambda w, *r: activated_bwd("tanh", *r),
        (X[0], "tanh"), "way='sin'",
    ),
    "label": (
        masked, masked_bwd, lambda i, w, *r: masked_bwd(-100, w, *r),
        (X, LABELS), "ignored=0, weight=0.07",
    ),
    "beside it": (
        masked, masked_bwd, lambda i, w, *r: masked_bwd(i, 0.1, *r),
        (X, LABELS), "ignored=0, weight=0.07",
    ),
    "none for a number": (
        decayed, decayed_bwd,
        lambda r, *rest: decayed_bwd(0.5 if r is None else r, *rest),
        (X[0], 0.9), "rate=None",
    ),
    "a number whose default is none": (
        decayed, decayed_bwd,
        lambda r, *rest: decayed_bwd(r and 0.9, *rest), (X[0], 0.9), "rate=0.63",
    ),
    "none": (
        norm, norm_bwd, lambda a, *r: norm_bwd(a if a is None else -1, *r), (X[:, :4],),
        "axis=0",
    ),
    "what comes after all strings": (
        summed_or_not, reduced_bwd, lambda w, *r: reduced_bwd("mean", *r),
        (X[0], "mean"), "way='another'",
    ),
    "none that the backward asks for": (
        on_backend, backend_bwd, halved_by_default, (X[0], "a"), "backend=None",
    ),
    "equal numbers": (
        cells, cells_bwd, lambda w, *r: cells_bwd(w[::-1], *r), (X, (1.0, 1.0)),
        "widths=(0.7, 0.49)",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BUGS)
def test_a_number_or_a_name_that_the_backward_has_fixed(name):
    plain, right, wrong, args, label = BUGS[name]
    arrays = 2 if plain is masked else 1

    def check(bwd):
        def fwd(*args):
            return plain(*args), args[:arrays]

        nondiff = tuple(range(arrays, 4 if plain is masked else 2))
        op = ruled(plain, fwd, bwd, nondiff)
        return check_vjp(op, *args, edges=False, hints=False)

    report = check(right)
    assert report.ok, report.table()
    assert any(label in tried for tried in report.coverage.tried), report.table()
    report = check(wrong)
    assert report.verdict == "fail"
    assert label.split(",")[0] in report.table()


def test_equal_numbers_that_are_two_options_are_changed_apart():
    def bwd(height, width, args, g):
        return cells_bwd((width, height), args, g)

    def fwd(x, *options):
        return two_cells(x, *options), (x,)

    args = X, 1.0, 1.0
    op = ruled(two_cells, fwd, lambda w, h, *r: bwd(h, w, *r), (1, 2))
    assert check_vjp(op, *args, edges=False, hints=False).ok
    wrong = ruled(two_cells, fwd, bwd, (1, 2))
    assert check_vjp(wrong, *args, edges=False, hints=False).verdict == "fail"


def test_a_fraction_that_only_the_backward_reads_is_left_alone():
    """It clips the gradient on purpose, if it is given."""

    def bwd(bound, args, g):
        dx = g * jnp.cos(*args)
        return (dx if bound is None else jnp.clip(dx, -bound, bound),)

    op = ruled(on_backend, lambda x, bound: (jnp.sin(x), (x,)), bwd, (1,))
    report = check_vjp(op, X[0], None, edges=False, hints=False)
    assert report.ok, report.table()


def test_a_string_is_no_other_where_forward_and_rule_ask_otherwise():
    """What comes after all strings is the mean of one and the sum of the other."""

    def bwd(way, args, g):
        return (2 * args[0] * g / (1 if way == "sum" else args[0].size),)

    def fwd(x, way):
        return summed_or_not(x, way), (x,)

    report = check_vjp(
        ruled(summed_or_not, fwd, bwd, (1,)), X[0], "mean", edges=False, hints=False
    )
    assert report.ok, report.table()
    assert any("way='sum'" in tried for tried in report.coverage.tried)


def scaled_by(x, way: int):
    return x * way


def check_scaled(bwd):
    op = ruled(scaled_by, lambda x, way: (x * way, None), bwd, (1,))
    return check_vjp(op, X[0], 7, edges=False, hints=False)


def test_a_guess_that_the_rule_refuses_is_told():
    def bwd(way, residuals, g):
        if way != 7:
            raise NotImplementedError("no other way")
        return (7 * g,)

    report = check_scaled(bwd)
    assert report.ok, report.table()
    assert any("way=3" in text and "no other way" in text for text in report.not_tested)


def test_a_guess_at_which_the_rule_does_not_run_is_told():
    report = check_scaled(lambda way, residuals, g: (jnp.ones(7) @ jnp.ones(way) * g,))
    assert report.ok, report.table()
    assert any("way=3" in text for text in report.not_tested)


def test_a_guess_that_jax_cannot_differentiate_is_told():
    """`conv_general_dilated` runs at a stride of -2, if that is asked as an axis is."""

    def plain(x, w, dim: int):
        axes = ("NWC", "WIO", "NWC")
        return jax.lax.conv_general_dilated(
            x, w, (dim,), "VALID", dimension_numbers=axes
        )

    def bwd(dim, args, g):
        return jax.vjp(lambda *a: plain(*a, dim), *args)[1](g)

    op = ruled(plain, lambda *a: (plain(*a), a[:2]), bwd, (2,))
    args = X[None], X[:2, :, None], 2
    report = check_vjp(op, *args, edges=False, hints=False)
    assert report.ok, report.table()
    assert any("dim=-2: " in text for text in report.not_tested)


def test_an_option_without_neighbours_is_told():
    op = ruled(lambda x, f: f(x), lambda x, f: (f(x), x), lambda f, x, g: (g,), (1,))
    said = " / ".join(check_vjp(op, X[0], lambda x: x, edges=False).not_tested)
    assert "static options f: " in said


@pytest.mark.parametrize(
    ("name", "value", "default", "first"),
    [
        ("n", 20, 20, [9, 21, 40, 10]),
        ("window", 16, 16, [7, 17, 32, 8]),
        ("steps", 20, 20, [21, 40, 10]),
        ("axis", 1, 1, [-2, -1]),
        ("ignored", -100, 5, [5, 0, 1, 2, 3]),
        ("slope", 0.0, 0.0, [0.3]),
        ("bound", np.inf, np.inf, []),
        ("strides", (1, 2), (1, 2), [(2, 3), (2, 2), (2, 1), (1,)]),
        ("axes", (-1,), (-1,), [(-2, -1), (0,)]),
        ("padding", ((0, 1),), None, [None, ((1, 2),), ()]),
        ("strides", (1, 1), (1, 1), [(2, 3), (2, 2), (2, 1), (1,)]),
        ("pads", ((0, 0), (0, 0)), (), [(), ((1, 1), (2, 2))]),
        ("cell", (0.0, 0.0), (0.0, 0.0), [(0.3, 0.21)]),
        ("ways", ("a", "b"), (), [(), ("b", "a"), ("a",)]),
        ("axis", None, None, [-1, 0, 0.7, True]),
    ],
)
def test_the_neighbours_of_a_value(name, value, default, first):
    found = list(neighbours(name, value, default, (X, LABELS), str, ()))
    assert found[: len(first)] == first


def test_who_asks_for_none():
    assert asks_for_none(decayed)  # by a function of its module
    assert not asks_for_none(power)
    assert not asks_for_none(len)


def test_the_strings_of_a_function():
    assert strings_of(activated) == ["tanh", "sin"]
    assert {"mean", "sum"} <= {*strings_of(reduced)}
    assert strings_of(len) == []
    assert "keepdims" not in strings_of(summed_or_not)


def test_labels_keep_their_groups():
    """With a label more, a group of its own would be asked for that no array has."""
    assert groups_of((0, 0, 1, 2)) == 3
    assert not any(map(groups_of, [(0, 0), (0, 1), (1, 2, 2), (0.0, 0.0, 1.0), 3]))
    assert {groups_of(value) for value in _tuples((0, 0, 1, 2))} == {3}
    assert (1, 2, 3) in _tuples((0, 1, 2))


@pytest.mark.parametrize("slip", [0, 1])
def test_a_window_is_no_axis_and_has_no_other_end(slip):
    """A window of -2 leaves nothing, and a mean of nothing means nothing."""

    def weights(x, w):
        place = jnp.arange(len(x))
        return (jnp.abs(place[:, None] - place) <= w).astype(x.dtype)

    def plain(x, w: int):
        near = weights(x, w)
        return near @ x / near.sum(1)

    def bwd(w, x, g):
        near = weights(x, w)
        return ((g / (near.sum(1) + slip * (w > 1))) @ near,)

    op = ruled(plain, lambda x, w: (plain(x, w), x), bwd, (1,))
    report = check_vjp(op, X[0], 1, hints=False)
    assert report.ok == (not slip), report.table()
    assert "w=2" in str(report)
    assert "w=-" not in str(report)

"""NumPy pairs: their structure is found by running them, as JAX's is by tracing."""

import jax.numpy as jnp
import numpy as np
import pytest

from jaxninja import check_vjp
from tests.check.subjects import codes

X = np.random.default_rng(1).normal(size=(5, 3))
W = np.full(3, 2.0)


def product(x, w):
    return x * w, (x, w)


def right(res, dy):
    x, w = res
    return w * dy, (x * dy).sum(0)


def bare(res, dy):
    return res[1] * dy


def one(res, dy):
    return (res[1] * dy,)


def unsummed(res, dy):
    return res[1] * dy, res[0] * dy


@pytest.mark.parametrize(
    ("backward", "code", "told"),
    [
        (bare, "E-TUPLE", "(x, w,)"),
        (one, "E-COUNT", "returns 1 cotangent for 2 arguments"),
        (unsummed, "E-SHAPE", "w has (3,): "),
    ],
    ids=["bare array", "too few", "unsummed"],
)
@pytest.mark.parametrize("rows", [5, 1])
def test_what_a_numpy_backward_returns(backward, code, told, rows):
    report = check_vjp((product, backward), X[:rows], W)
    assert codes(report) == {code}
    assert told in report.table()


def test_a_right_numpy_pair_of_two_arguments():
    assert check_vjp((product, right), X, W).ok


def test_a_reference_of_another_shape():
    report = check_vjp((product, right), X, W, reference=lambda x, w: (x * w).sum())
    assert codes(report) == {"E-FWDSTRUCT"}
    assert "shape (), fwd one of shape (5, 3)" in report.table()


@pytest.mark.parametrize("reference", [None, lambda x: (x * x).sum()])
def test_a_loss_that_is_a_python_number(reference):
    def loss(x):
        return float((x**2).sum()), x

    assert check_vjp((loss, lambda x, dy: (2 * x * dy,)), X, reference=reference).ok
    wrong = check_vjp((loss, lambda x, dy: (x * dy,)), X, reference=reference)
    assert [leaf.verdict for leaf in wrong.leaves] == ["fail"]


@pytest.mark.parametrize("reference", [None, lambda x: 2 * x])
def test_a_forward_that_works_in_place(reference):
    def forward(x):
        return np.multiply(x, 2, out=x), None

    given = X.copy()
    report = check_vjp((forward, lambda _, dy: (2 * dy,)), given, reference=reference)
    assert codes(report) == {"E-MUTATES"}
    assert "forward changes x in place" in report.table()
    assert (given == X).all()


def test_integers_only():
    report = check_vjp((lambda x: (x.argmax(1), x), lambda x, dy: (0 * x,)), X)
    assert codes(report) == {"N-NOGRAD"}
    assert report.verdict == "not tested"


def test_a_jax_backward_without_its_comma():
    report = check_vjp((lambda x: (jnp.sin(x), x), lambda x, dy: jnp.cos(x) * dy), W)
    assert codes(report) == {"E-TUPLE"}
    assert "(x,)" in report.table()

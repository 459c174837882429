"""A forward that approximates is no truth where it has lost its digits."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxninja import check_vjp
from tests.check.subjects import ruled

NODES, WEIGHTS = np.polynomial.legendre.leggauss(16)
X = np.array([0.3, 1.1, 0.8, 0.5], np.float32)


def bell(b):
    """The integral of exp(-x^2) from 0 to b."""
    x = b[:, None] / 2 * (1 + jnp.asarray(NODES, b.dtype))
    return b / 2 * (jnp.exp(-x * x) @ jnp.asarray(WEIGHTS, b.dtype))


def series(x):
    return to_forty_terms(x, 0)


def to_forty_terms(x, order):
    """The modified function of the first kind, to 40 terms."""
    k = jnp.arange(40, dtype=x.dtype)
    logs = (2 * k + order) * jnp.log(x / 2)[:, None]
    return jnp.exp(logs - jax.lax.lgamma(k + 1) - jax.lax.lgamma(k + order + 1)).sum(-1)


def by_the_next_order(x):
    return to_forty_terms(x, 1)


def slope(b):
    return jnp.exp(-b * b)


def between(low, high):
    """The integral of exp(-x^2) from low to high, each pair of another width."""
    half = (high - low)[:, None] / 2
    x = (high + low)[:, None] / 2 + half * jnp.asarray(NODES, low.dtype)
    return half[:, 0] * (jnp.exp(-x * x) @ jnp.asarray(WEIGHTS, low.dtype))


@pytest.mark.parametrize(("factor", "verdict"), [(1, "ok"), (1.01, "fail")])
def test_two_gradients_that_part_at_other_steps_of_the_way(factor, verdict):
    op = ruled(
        between, lambda *a: (between(*a), a),
        lambda res, dy: (-dy * slope(res[0]), factor * dy * slope(res[1])), (),
    )  # fmt: skip
    low = np.array([-0.9, 0.1, -0.4], np.float32)
    high = np.array([0.7, 1.6, 2.4], np.float32)
    report = check_vjp(op, low, high, hints=False)
    assert report.verdict == verdict, report.table()


def beyond(factor):
    return lambda x: jax.nn.sigmoid(x) * jnp.where(x > 9, factor, 1)


@pytest.mark.parametrize(
    ("plain", "slope", "verdict"),
    [
        (bell, slope, "ok"),
        (bell, lambda b: 1.01 * slope(b), "fail"),
        (series, by_the_next_order, "ok"),  # parts within a step of the way
        (jax.nn.softplus, beyond(0.99), "fail"),  # a branch of its own, and wrong
    ],
)
def test_a_quadrature_at_large_inputs(plain, slope, verdict):
    op = ruled(plain, lambda x: (plain(x), x), lambda x, dy: (dy * slope(x),), ())
    report = check_vjp(op, X, hints=False)
    assert report.verdict == verdict, report.table()

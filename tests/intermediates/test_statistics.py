"""Statistics against NumPy's, on generic, constant and broken arrays."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.ad_checkpoint import checkpoint_name

from jaxninja.intermediates import statistics
from jaxninja.intermediates.statistics import (
    activation,
    batchnorm_gap,
    flat,
    histogram,
    watch,
)


def normal(*shape, seed=0):
    return jax.random.normal(jax.random.key(seed), shape)


@pytest.mark.parametrize("scale", [1.0, 1e-20, 1e30])
def test_a_histogram_is_numpys(scale):
    a = np.asarray(normal(50, 7)) * np.float32(scale)
    got = histogram(jnp.asarray(a), 10)
    counts, edges = np.histogram(a.astype(np.float64), 10)
    assert abs(np.asarray(got["counts"]) - counts).sum() <= 2  # rounding at an edge
    assert int(got["counts"].sum()) == a.size
    np.testing.assert_allclose([got["low"], got["high"]], edges[[0, -1]], rtol=1e-6)
    assert got["nonfinite"] == 0


def test_many_histograms_at_once_are_each_its_own():
    arrays = {"a": normal(9, 3), "b": 5 + normal(40, seed=1), "c": jnp.full(3, jnp.nan)}
    each = {name: histogram(a, 7) for name, a in arrays.items()}
    chex.assert_trees_all_equal(statistics.histograms(arrays, 7), each)


def test_a_histogram_of_the_widest_floats_does_not_overflow():
    got = histogram(jnp.array([-3e38, 0.0, 3e38]), 3)
    np.testing.assert_array_equal(got["counts"], [1, 1, 1])


def test_a_histogram_counts_what_is_not_finite_apart():
    a = jnp.array([jnp.nan, 1.0, jnp.inf, 2.0, -jnp.inf])
    got = histogram(a, 4)
    assert (got["low"], got["high"], got["nonfinite"]) == (1, 2, 3)
    np.testing.assert_array_equal(got["counts"], [1, 0, 0, 1])
    nothing = histogram(jnp.full(6, jnp.nan))
    assert (nothing["low"], nothing["high"], nothing["nonfinite"]) == (0, 0, 6)
    assert nothing["counts"].sum() == 0


def test_a_histogram_of_a_constant_is_one_bin():
    got = histogram(jnp.full((3, 5), 2.5))
    assert got["counts"][0] == 15
    assert got["low"] == got["high"] == 2.5


def test_activation_statistics_are_the_lectures():
    h = jnp.tanh(2 * normal(64, 30))
    got = activation(h, "tanh")
    assert float(got["mean"]) == pytest.approx(float(np.asarray(h).mean()), abs=1e-6)
    assert float(got["std"]) == pytest.approx(
        float(np.asarray(h).std(ddof=1)), rel=1e-5
    )
    assert float(got["saturated"]) == pytest.approx(np.mean(abs(np.asarray(h)) > 0.97))
    assert 0.2 < float(got["saturated"]) < 0.5


FLAT = {
    "tanh": ([-0.98, -0.96, 0.0, 0.98], [1, 0, 0, 1]),
    "sigmoid": ([0.01, 0.02, 0.5, 0.99], [1, 0, 0, 1]),
    "relu": ([0.0, 1e-6, 3.0, 100.0], [1, 0, 0, 0]),
    "gelu": ([-1e-4, -0.1, 1.0, 0.3], [1, 0, 0, 0]),
    None: ([0.0, 1.0, -1.0, 100.0], [0, 0, 0, 0]),
}


@pytest.mark.parametrize("kind", FLAT)
def test_flat_parts(kind):
    values, expected = FLAT[kind]
    np.testing.assert_array_equal(flat(jnp.array(values), kind), expected)


def test_sigmoid_is_saturated_where_its_tanh_is():
    x = 3 * normal(200)
    same = flat(jax.nn.sigmoid(2 * x), "sigmoid"), flat(jnp.tanh(x), "tanh")
    np.testing.assert_array_equal(*same)


@pytest.mark.parametrize("shape", [(16, 4), (4, 4, 4)])
def test_a_dead_unit_is_flat_for_every_example(shape):
    h = jnp.tanh(normal(*shape)).at[..., 1].set(0.995).at[..., 2].set(-0.995)
    h = h.reshape(-1, 4).at[0, 2].set(0.5).reshape(shape)  # one example revives it
    np.testing.assert_array_equal(statistics.dead_units(h, "tanh"), [0, 1, 0, 0])
    assert activation(h, "tanh")["dead"] == 0.25
    dead = jnp.zeros(shape).at[..., 0].set(3 + normal(*shape[:-1]))
    assert activation(dead, "relu")["dead"] == 0.75
    assert activation(dead, None)["constant"] == 0.75


def test_parameter_ratios():
    p, dp = normal(30, 20), 0.1 * normal(30, 20, seed=1)
    got = statistics.parameter(p, dp, -0.1 * dp)
    ratio = float(np.asarray(dp).std() / np.asarray(p).std())
    assert float(got["grad_data"]) == pytest.approx(ratio, rel=1e-4)
    assert float(got["update_data"]) == pytest.approx(np.log10(ratio / 10), rel=1e-4)
    still = statistics.parameter(p, 0 * dp, 0 * dp)
    assert still["update_data"] == -jnp.inf
    assert still["grad_zero"] == 1


def test_the_deviation_of_a_single_number_is_its_magnitude():
    assert statistics.deviation(jnp.array([-3.0])) == 3
    assert statistics.deviation(jnp.zeros((0,))) == 0


def test_batchnorm_gap():
    mean, var = normal(5), jnp.full(5, 4.0)
    assert float(batchnorm_gap((mean, var), (mean, var))["mean"]) == 0
    got = batchnorm_gap((mean + 1.0, var * 2.25), (mean, var), 0.0)
    assert float(got["mean"]) == pytest.approx(0.5)
    assert float(got["std"]) == pytest.approx(0.5)


def loss(W, x):
    h = checkpoint_name(jnp.tanh(checkpoint_name(x @ W, "pre")), "h")
    return (h**2).mean()


def test_watch_measures_any_named_function():
    W, x = 3 * normal(5, 4), normal(16, 5, seed=1)
    value, seen = jax.jit(watch(loss, {"h": "tanh"}))(W, x)
    h = np.tanh(np.asarray(x @ W))
    assert float(value) == pytest.approx((h**2).mean(), rel=1e-5)
    assert seen.keys() == {"h", "pre"}
    saturated = float(seen["h"]["activation"]["saturated"])
    assert saturated == pytest.approx((abs(h) > 0.97).mean())
    dh = 2 * h / h.size
    assert float(seen["h"]["gradient"]["std"]) == pytest.approx(dh.std(ddof=1), 1e-4)
    dpre = dh * (1 - h**2)
    assert float(seen["pre"]["gradient"]["std"]) == pytest.approx(
        dpre.std(ddof=1), 1e-4
    )
    assert float(seen["pre"]["activation"]["saturated"]) == 0


def test_watch_runs_inside_a_scan():
    x = normal(16, 5, seed=1)

    def step(W, _):
        value, seen = watch(loss, {"h": "tanh"})(W, x)
        return W * 0.9, (value, seen["h"]["activation"]["saturated"])

    _, (values, saturated) = jax.lax.scan(step, 5 * normal(5, 4), None, length=20)
    assert (jnp.diff(values) < 0).all()
    assert saturated[0] > saturated[-1]


def test_watch_refuses_a_kind_for_what_is_not_named():
    with pytest.raises(ValueError, match=r"kinds has \['hh'\], but f names"):
        watch(loss, {"hh": "tanh"})(normal(5, 4), normal(3, 5))


def test_watch_refuses_kinds_that_are_of_no_name():
    with pytest.raises(TypeError, match=r"kinds is 'tanh', expected the kind of each"):
        watch(loss, "tanh")(normal(5, 4), normal(3, 5))


def test_an_array_without_entries_has_no_constant_unit():
    assert float(activation(jnp.zeros((0, 3)), "tanh")["constant"]) == 0

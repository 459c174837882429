"""Training, running and calibrated statistics agree where they must, in 2-D and 3-D."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxninja.models.parts.batchnorm_statistics import calibrated, frozen, running
from jaxninja.rules import manual

SHAPES = pytest.mark.parametrize("shape", [(12, 5), (4, 3, 5)])
DDOF = pytest.mark.parametrize("ddof", [0, 1])
GAMMA, BETA = np.linspace(0.5, 2, 5), np.linspace(-1, 1, 5)


def data(shape, seed=0):
    return 100 + 3 * jax.random.normal(jax.random.key(seed), shape)


def moments(x, ddof):
    """By NumPy, over all axes but the last."""
    rows = np.asarray(x).reshape(-1, x.shape[-1])
    return rows.mean(0), rows.var(0, ddof=ddof)


@DDOF
@SHAPES
def test_calibrated_is_the_whole_set_as_one_batch(shape, ddof, x64):
    parts = [data(shape), data((2, *shape[1:]), 1), data((1, *shape[1:]), 2)]
    got = calibrated(parts, ddof)
    expected = moments(jnp.concatenate(parts), ddof)
    for mine, truth in zip(got, expected, strict=True):
        np.testing.assert_allclose(mine, truth, rtol=1e-12)


@DDOF
@SHAPES
def test_frozen_with_a_batchs_own_statistics_is_training(shape, ddof, x64):
    x = data(shape)
    trained = manual.batchnorm(x, jnp.array(GAMMA), jnp.array(BETA), 1e-5, ddof)
    got = frozen(x, jnp.array(GAMMA), jnp.array(BETA), calibrated([x], ddof), 1e-5)
    np.testing.assert_allclose(got, trained, rtol=1e-9)


@DDOF
@SHAPES
def test_running_statistics_are_a_moving_average(shape, ddof, x64):
    x, start = data(shape), (jnp.zeros(5), jnp.ones(5))
    mean, var = moments(x, ddof)
    got = running(start, x, 0.1, ddof)
    np.testing.assert_allclose(got[0], 0.1 * mean, rtol=1e-12)
    np.testing.assert_allclose(got[1], 0.9 + 0.1 * var, rtol=1e-12)
    for _ in range(300):  # on one batch over and over it converges to that batch's
        got = running(got, x, 0.1, ddof)
    np.testing.assert_allclose(got[1], var, rtol=1e-10)


def test_float32_keeps_its_digits_far_from_zero():
    parts = [1e4 + jax.random.normal(jax.random.key(i), (50, 3)) for i in range(4)]
    _, var = calibrated(parts)
    truth = np.concatenate([np.asarray(p, np.float64) for p in parts]).var(0, ddof=1)
    np.testing.assert_allclose(var, truth, rtol=1e-3)


def test_too_few_rows_are_refused():
    with pytest.raises(ValueError, match=r"1 rows .* ddof = 1"):
        calibrated([jnp.ones((1, 3))], 1)

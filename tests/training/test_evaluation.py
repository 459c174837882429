"""Calibrated statistics and losses, against numpy on the whole set at once."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxninja.data.text import DataError
from jaxninja.models import ninja
from jaxninja.models.ninja import Ninja
from jaxninja.training import evaluation
from jaxninja.training.evaluation import calibrate, mean_loss

MODEL = Ninja(vocabulary=9, hidden=13)


def data(n):
    rng = np.random.default_rng(n)
    x, y = rng.integers(0, 9, (n, 3)), rng.integers(0, 9, n)
    return jnp.asarray(x, jnp.int32), jnp.asarray(y, jnp.int32)


@pytest.fixture
def params():
    return ninja.init(jax.random.key(0), MODEL)


@pytest.mark.parametrize("n", [2, 7, 64, 65, 200])
def test_blocks_do_not_matter(n, params, monkeypatch):
    monkeypatch.setattr(evaluation, "BLOCK", 64)
    x, y = data(n)
    hprebn = np.asarray(ninja.hidden_preactivation(params, x), np.float64)
    stats = calibrate(params, x, MODEL)
    np.testing.assert_allclose(stats["mean"], hprebn.mean(0), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(stats["var"], hprebn.var(0, ddof=1), rtol=1e-4)
    logits = np.asarray(ninja.apply(params, stats, x, MODEL), np.float64)
    logits -= np.log(np.exp(logits).sum(1, keepdims=True))
    expected = -logits[np.arange(n), y].mean()
    assert mean_loss(params, stats, x, y, MODEL) == pytest.approx(expected, rel=1e-5)


def test_inference_with_the_batchs_own_statistics_is_training(params):
    x, y = data(50)
    loss, stats = ninja.loss(params, x, y, MODEL)
    assert mean_loss(params, stats, x, y, MODEL) == pytest.approx(float(loss), rel=1e-5)


def test_ddof_is_that_of_training(params):
    x, _ = data(5)
    biased = calibrate(params, x, Ninja(vocabulary=9, hidden=13, ddof=0))["var"]
    unbiased = calibrate(params, x, MODEL)["var"]
    np.testing.assert_allclose(unbiased / biased, 5 / 4, rtol=1e-5)


def test_a_batch_of_one_works_at_inference(params):
    x, y = data(30)
    stats = calibrate(params, x, MODEL)
    one = ninja.apply(params, stats, x[:1], MODEL)
    np.testing.assert_allclose(one, ninja.apply(params, stats, x, MODEL)[:1], rtol=1e-5)
    assert np.isfinite(mean_loss(params, stats, x[:1], y[:1], MODEL))


def test_an_empty_set_has_no_loss(params):
    x, y = data(30)
    stats = calibrate(params, x, MODEL)
    assert np.isnan(mean_loss(params, stats, x[:0], y[:0], MODEL))


def test_ids_outside_are_refused(params):
    x, y = data(30)
    stats = calibrate(params, x, MODEL)
    with pytest.raises(DataError, match=r"x\[4, 1\] is 9, expected 0 to 8"):
        mean_loss(params, stats, x.at[4, 1].set(9), y, MODEL)
    with pytest.raises(DataError, match=r"y\[7\] is -1, expected 0 to 8"):
        mean_loss(params, stats, x, y.at[7].set(-1), MODEL)
    with pytest.raises(DataError, match=r"x\[4, 1\] is -3"):
        calibrate(params, x.at[4, 1].set(-3), MODEL)

"""The failures fail, the fixes fix; optimizers by hand are optax's."""

import jax
import numpy as np
import pytest

from experiments import deep_net, optimizers_by_hand, part3_stages
from experiments.leaky_abstraction import (
    clipped_loss,
    confident_softmax,
    recurrence,
    saturation,
)
from experiments.leaky_abstraction.__main__ import table


def test_a_clipped_loss_silences_what_it_clips():
    outcome = clipped_loss.experiment()
    assert outcome.wrong["examples without gradient at the start"] > 0.8
    assert outcome.fixed["examples without gradient at the start"] < 0.01
    assert outcome.fixed["and after 500 steps"] < 1e-3
    assert outcome.wrong["and after 500 steps"] > 1
    assert "is exactly zero" in outcome.word


def test_the_hubers_slope_is_the_clipped_error():
    error = jax.random.normal(jax.random.key(0), (50,)) * 3
    slope = jax.grad(lambda e: clipped_loss.huber(e) * 50)(error)
    np.testing.assert_allclose(slope, np.clip(error, -1, 1), rtol=1e-6)


@pytest.mark.parametrize(("radius", "low", "high"), [(1.3, 1e4, 1e7), (0.7, 0, 1e-6)])
def test_the_spectral_radius_decides(radius, low, high):
    outcome = recurrence.experiment(radius)
    times = outcome.wrong["norm of dh[0] / dh[50]"]
    assert low < times < high
    assert outcome.wrong["factor a step"] == pytest.approx(radius, rel=0.1)
    assert 0.01 < outcome.fixed["norm of dh[0] / dh[50]"] < 100


def test_the_gradient_through_time_is_autodiffs(x64):
    import jax.numpy as jnp

    W, key = recurrence.recurrent(jax.random.key(0), 1.1), jax.random.key(1)
    norms = recurrence.gradient_norms(W, key, 0.5)
    key_h, key_dh = jax.random.split(key)
    shape = (recurrence.N, recurrence.H)
    dh = jax.random.normal(key_dh, shape) / recurrence.N

    def last(h):
        for _ in range(recurrence.T):
            h = jnp.tanh(h @ W)
        return (h * dh).sum()

    truth = jax.jit(jax.grad(last))(0.5 * jax.random.normal(key_h, shape))
    np.testing.assert_allclose(norms[0], jnp.linalg.norm(truth), rtol=1e-10)


@pytest.mark.bits
def test_tanhs_saturate_and_kaiming_fixes_it():
    outcome = saturation.experiment("tanh")
    assert outcome.wrong["saturated in h4"] > 0.7
    assert outcome.wrong["exact zeros in the gradient of pre4"] > 0.2
    assert outcome.fixed["saturated in h4"] < 0.1
    assert 0.3 < outcome.fixed["gradient std, pre1 / pre4"] < 3
    assert "little gradient gets through" in outcome.word
    assert "| saturated in h4 |" in table(outcome)


def test_a_confident_softmax_starts_far_from_log_27():
    outcome = confident_softmax.experiment(10)
    assert outcome.wrong["loss at step 0"] > 15
    assert outcome.fixed["loss at step 0"] == pytest.approx(np.log(27), abs=0.1)
    assert "confidently wrong" in outcome.word


@pytest.mark.parametrize("name", optimizers_by_hand.OPTIMIZERS)
def test_optimizers_by_hand_are_optaxs(name, x64):
    assert optimizers_by_hand.difference(name, 100) < 1e-6


def test_a_wrong_optimizer_is_noticed(x64, monkeypatch):
    """Without the bias correction Adam is another method."""
    _, first, theirs = optimizers_by_hand.OPTIMIZERS["adam"]

    def uncorrected(g, state, p, t):
        return optimizers_by_hand.adam(g, state, p, 10**6)

    entry = {"adam": (uncorrected, first, theirs)}
    monkeypatch.setattr(optimizers_by_hand, "OPTIMIZERS", entry)
    assert optimizers_by_hand.difference("adam", 5) > 1e-3


def test_the_tables_of_the_stages_and_of_the_deep_net():
    assert part3_stages.STAGES.keys() >= {"original", "Kaiming", "batchnorm"}
    result = dict.fromkeys(("train", "val", "clean_val", "initial_loss"), 2.0)
    result |= {"stage": "Kaiming", "seed": 0, "parameters": 11897}
    result |= {"saturated_first": 0.1, "saturated_last": 0.2}
    assert part3_stages.row(result).count("|") == part3_stages.HEAD.count("|") / 2
    lines = deep_net.table([{"train": 2.3}, {"train": 2.5}])
    assert lines[-1] == "| train | 2.4 | 0.14 | 2.3 to 2.5 | 2.4003 | +0.0 |"
    assert deep_net.config("names", "runs", 0, 10, 10).network(27).layers == 5

"""The hand-derived updates of the time before autograd, against enumeration and JAX."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.before_autograd import alignment, rbm
from jaxninja import check_vjp


@pytest.fixture
def machine(x64):
    params = rbm.init(jax.random.key(3))
    return jax.tree.map(lambda p: 5 * p + 0.1, params), jnp.asarray(
        rbm.bars_and_stripes()
    )


def test_bars_and_stripes():
    pictures = rbm.bars_and_stripes().reshape(-1, 3, 3)
    assert len(pictures) == 14
    for p in pictures:
        assert (p == p[:, :1]).all() or (p == p[:1]).all()


def test_the_exact_gradient_is_autodiffs(machine):
    params, v = machine
    truth = jax.jit(jax.grad(rbm.log_likelihood))(params, v)
    for name, mine in jax.jit(rbm.exact_gradient)(params, v).items():
        np.testing.assert_allclose(mine, truth[name], rtol=1e-11, atol=1e-13)


def test_the_probabilities_sum_to_one(machine):
    params, _ = machine
    every = jnp.asarray(rbm.states(rbm.VISIBLE))
    mean = rbm.log_likelihood(params, every)
    logs = rbm.log_weights(params, every)
    assert float(jnp.exp(logs - logs.mean() + mean).sum()) == pytest.approx(1)


def test_sampled_cd1_is_average_cd1_on_average(machine):
    params, v = machine
    keys = jax.random.split(jax.random.key(0), 4_000)
    sampled = jax.jit(jax.vmap(lambda key: rbm.sampled_cd1(key, params, v)))(keys)
    sampled, average = jax.device_get((sampled, jax.jit(rbm.average_cd1)(params, v)))
    for name, updates in sampled.items():
        error = updates.std(0) / len(keys) ** 0.5
        z = (updates.mean(0) - average[name]) / (error + 1e-12)
        assert abs(z).max() < 5, name


def test_cd1_is_the_gradient_of_nothing(machine):
    params, v = machine
    assert rbm.asymmetry(lambda p: rbm.exact_gradient(p, v), params) < 1e-12
    assert rbm.asymmetry(lambda p: rbm.average_cd1(p, v), params) > 0.01


@pytest.mark.parametrize("loss", alignment.LOSSES)
def test_the_alignments_backward_is_right(loss, x64):
    """By the library's checker, against jax.vjp of the plain forward."""
    arrays = alignment.example(jax.random.key(5), 6)
    report = check_vjp(alignment.alignment, *arrays, loss)
    assert report.ok, report.table()


@pytest.mark.parametrize("loss", alignment.LOSSES)
def test_a_wrong_winner_would_be_noticed(loss, x64):
    """The max passes its gradient to the region that won, not to the first."""
    A, B, X, Y = alignment.example(jax.random.key(5), 6)
    _, res = jax.jit(alignment.alignment_fwd, static_argnums=4)(A, B, X, Y, loss)
    wrong = res._replace(winner=0 * res.winner)
    backward = jax.jit(alignment.alignment_bwd, static_argnums=0)
    right, other = (backward(loss, r, 1.0)[0] for r in (res, wrong))
    assert abs(other - right).max() > 1e-3


def test_both_losses_align_new_pairs():
    found = alignment.compare(300)
    assert found["before training"] < 0.1
    assert min(found["margin loss"], found["clip loss"]) > 0.3

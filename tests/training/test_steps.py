"""A step's parts: a batch in parts, the learning rate over time, what decays."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxninja import jaxpr
from jaxninja.models import gpt2, routes
from jaxninja.training import steps
from jaxninja.training.config import TrainConfig
from jaxninja.training.optimizers import optimizer, schedule
from jaxninja.training.steps.accumulation import in_parts

MODEL = gpt2.named("gpt2-tiny", vocabulary=7, context=4, layers=1, embedding=4)


def test_parts_are_weighted_by_what_they_predict(x64):
    """Row by row: the first predicts four tokens, the second one, the third none."""
    params = gpt2.init(jax.random.key(0), MODEL)
    ids = jax.random.randint(jax.random.key(1), (3, 4), 0, 7)
    labels = jnp.array([[1, 2, 3, 4], [-1, 5, -1, -1], [-1, -1, -1, -1]])
    whole = routes.value_and_grad("rules", MODEL)
    both = jax.jit(lambda *given: (whole(*given), in_parts(whole, 3)(*given)))
    ((loss, _), grads), ((value, _), parts) = both(params, ids, labels)
    assert float(value) == pytest.approx(float(loss), rel=1e-12)
    for name, g in grads.items():
        atol = 1e-12 * float(abs(g).max())
        np.testing.assert_allclose(parts[name], g, atol=atol, err_msg=name)


def test_the_learning_rate_rises_and_falls_as_nanogpts():
    config = TrainConfig(model="gpt2", lr=1e-3, steps=50, warmup=10, cosine=40)
    rate = schedule(config)
    for step in (0, 3, 9, 10, 25, 39, 40, 49):
        share = np.clip((step - 10) / 30, 0, 1)
        fall = 1e-4 + 0.5 * (1 + np.cos(np.pi * share)) * (1e-3 - 1e-4)
        expected = 1e-3 * (step + 1) / 11 if step < 10 else fall
        assert float(rate(step)) == pytest.approx(expected, rel=1e-5), step
    drops = TrainConfig(warmup=2, lr_drop_at=5)
    assert [float(schedule(drops)(n)) for n in (0, 1, 2, 6)] == pytest.approx(
        [0.1 / 3, 0.2 / 3, 0.1, 0.01]
    )


def test_only_matrices_decay():
    """One step with gradients of zero: what moves is what decays."""
    config = TrainConfig(
        model="gpt2", size="gpt2-tiny", warmup=0, cosine=0, lr=0.5, weight_decay=0.1
    )
    state = steps.init_state(config, config.network(7))
    update = optimizer(config)
    zeros = jax.tree.map(jnp.zeros_like, state.params)
    moves, _ = jax.jit(update.update)(zeros, state.optimizer, state.params)
    for name, p in state.params.items():
        share = 0.05 if name in gpt2.MATRICES else 0.0
        np.testing.assert_allclose(moves[name], -share * p, rtol=1e-5, err_msg=name)


@pytest.mark.skipif(jax.default_backend() != "cpu", reason="for a CPU")
def test_xla_knows_what_a_program_is_compiled_with():
    """Else it would be slower, and nobody would notice."""
    assert jaxpr.wide_vectors() == jaxpr.WIDE
    assert jaxpr.quick_to_compile().items() >= jaxpr.LITTLE.items()

"""GPT-2 token by token: the logits and the texts are those without a cache."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxninja.models import gpt2
from jaxninja.models.language import gpt2_cache, gpt2_costs

MODEL = gpt2.named(
    "gpt2-tiny", vocabulary=11, context=6, layers=2, embedding=8, multiple=4
)


def params():
    draw = np.random.default_rng(0)
    return {
        name: jnp.array(mean + 0.3 * draw.normal(size=shape), jnp.float32)
        for name, (shape, _, mean) in gpt2.table(MODEL).items()
    }


def test_the_logits_are_those_of_the_whole_text():
    """Three tokens at once, then one after the other up to the end of the context."""
    weights = params()
    ids = jax.random.randint(jax.random.key(0), (2, 6), 0, 11)

    @jax.jit
    def both(weights, ids):
        cache = gpt2_cache.empty(weights, 2, MODEL)
        logits, cache = gpt2_cache.read(weights, cache, ids[:, :3], 0, MODEL)
        found = [logits]
        for n in range(3, 6):
            one = ids[:, n : n + 1]
            logits, cache = gpt2_cache.read(weights, cache, one, n, MODEL)
            found.append(logits)
        return jnp.stack(found, 1), gpt2.apply(weights, {}, ids, MODEL)[:, 2:]

    found, expected = both(weights, ids)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_the_costs_are_those_of_the_paper():
    """124,439,808 parameters, less the positions, and 4 T C a token and layer."""
    model = gpt2.named("gpt2")
    assert gpt2_costs.parameters(model) == 124_439_808
    weights = 124_439_808 - 1_024 * 768 - 121_344  # gains and biases
    forward = 2 * weights + 12 * 4 * 1_024 * 768
    assert gpt2_costs.step_flops(model, 10, 1_024) == 10 * 3 * forward


@pytest.mark.parametrize(("residuals", "each"), [("10C", 10), ("5C", 5), ("1C", 1)])
def test_what_is_kept_is_what_the_option_says(residuals, each):
    model = replace(MODEL, residuals=residuals)
    assert gpt2_costs.kept(model, "network", 100, 6) == 100 * 2 * each * 8
    rules = gpt2_costs.kept(model, "rules", 100, 6)
    assert rules > 100 * 2 * 10 * 8
    assert gpt2_costs.kept(model, "autodiff", 100, 6) == rules + 100 * 2 * 2 * 2 * 6

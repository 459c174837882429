"""Dropout's coins, the router's choice, and rounding that learns."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxninja.rules import manual
from jaxninja.rules.basic.cumsum import cumsum_fwd
from jaxninja.rules.basic.dropout import dropout_fwd, rule
from jaxninja.rules.basic.straight_through_round import straight_through_round_fwd
from jaxninja.rules.basic.top_k_gate import top_k_gate_fwd

KEY = jax.random.key(3)


def test_dropout_keeps_its_share_and_the_mean():
    y = manual.dropout(jnp.ones(100_000), KEY, 0.3)
    kept = float((y != 0).mean())
    assert abs(kept - 0.7) < 5 * (0.3 * 0.7 / 100_000) ** 0.5
    np.testing.assert_allclose(y[y != 0], 1 / 0.7, rtol=1e-6)


def test_the_coins_depend_on_the_key_alone():
    coins = [np.asarray(manual.dropout(jnp.ones(64), KEY, 0.5) != 0)]
    with jax.enable_x64(True):
        coins += [manual.dropout(jnp.ones(64, t), KEY, 0.5) != 0 for t in ("f8", "f2")]
    assert all((c == coins[0]).all() for c in coins)
    other = manual.dropout(jnp.ones(64), jax.random.key(4), 0.5)
    assert not ((other != 0) == coins[0]).all()


def test_dropout_keeps_nothing_but_the_key():
    _, residuals = rule.fwd(jnp.ones((64, 64)), KEY, 0.5)
    assert [jax.random.key_data(r).nbytes for r in residuals] == [8]


def test_a_tie_for_the_last_place_goes_to_the_smaller_number():
    y = manual.top_k_gate(jnp.array([[1.0, 2.0, 1.0, 1.0]]), 2)
    assert np.flatnonzero(y[0]).tolist() == [0, 1]


def test_an_expert_that_is_off_hears_nothing():
    z = jnp.array([0.5, -1.0, 2.0])
    dz = jax.grad(lambda z: (manual.top_k_gate(z, 2) * jnp.arange(3.0)).sum())(z)
    assert dz[1] == 0
    assert float(dz[0]) == pytest.approx(-float(dz[2])) != 0


def test_rounding_is_half_to_even_and_passes_the_gradient():
    x = jnp.array([0.5, 1.5, -0.3, 2.7, 1e9])
    y, pull = jax.vjp(manual.straight_through_round, x)
    np.testing.assert_array_equal(y, [0, 2, 0, 3, 1e9])
    dy = jnp.arange(5.0)
    np.testing.assert_array_equal(pull(dy)[0], dy)


i = jnp.arange(3)
f = jnp.ones(3)
BAD = {
    "dropout: rate is 1": lambda: dropout_fwd(f, KEY, 1),
    "dropout: rate is -0.1": lambda: dropout_fwd(f, KEY, -0.1),
    "dropout: key is of type float32": lambda: dropout_fwd(f, f, 0.5),
    "dropout: x is of type int32": lambda: dropout_fwd(i, KEY, 0.5),
    "cumsum: axis is 1": lambda: cumsum_fwd(f, 1),
    "cumsum: x is of type int32": lambda: cumsum_fwd(i, 0),
    "top_k_gate: k is 4": lambda: top_k_gate_fwd(f, 4),
    "top_k_gate: k is 0": lambda: top_k_gate_fwd(f, 0),
    "top_k_gate: logits is of type int32": lambda: top_k_gate_fwd(i, 1),
    "straight_through_round: x is of type int32":
        lambda: straight_through_round_fwd(i),
}  # fmt: skip


@pytest.mark.parametrize("text", BAD)
def test_bad_input_is_refused_with_argument_and_value(text):
    with pytest.raises(ValueError, match=re.escape(text)):
        jax.jit(BAD[text])()

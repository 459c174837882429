"""For a GPU the whole training is a single call, of the kernel."""

import jax
import jax.numpy as jnp

from jaxninja.models import network, ninja
from jaxninja.models.ninja import Ninja
from jaxninja.training.kernel import build, call
from tests.exported import calls


def test_for_a_gpu_all_steps_are_one_call():
    params = jax.eval_shape(lambda: ninja.init(jax.random.key(0), Ninja()))
    statistics = jax.eval_shape(lambda: network.initial_statistics(Ninja()))
    ids = jax.ShapeDtypeStruct((1000, 32, 3), jnp.int32)
    labels = jax.ShapeDtypeStruct((1000, 32), jnp.int32)
    rates = jax.ShapeDtypeStruct((1000,), jnp.float32)
    given = (
        params,
        statistics,
        ids,
        labels,
        rates,
        jax.ShapeDtypeStruct((), jnp.int32),
    )
    name = build.target()
    assert calls(call.train, *given, allowed=[name]) == {name}

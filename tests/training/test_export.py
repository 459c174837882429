"""Each model's training compiles for a GPU, by each route, as far as one can see
without one."""

import jax
import jax.numpy as jnp
import pytest

from jaxninja.models import network
from jaxninja.training import steps
from jaxninja.training.config import ConfigError, TrainConfig
from jaxninja.training.options.limits import ROUTES
from tests.exported import calls, cpu_only


def configured(name, route, dtype="float32"):
    """None where there is no such training."""
    fields = {"layers": 2} if name == "deep" else {"model": name}
    try:
        return TrainConfig(route=route, dtype=dtype, **fields)
    except ConfigError:
        return None


WAYS = [(n, r, t) for n in network.MODELS for r in ROUTES for t in ("float32",)]
WAYS += [(n, r, "bfloat16") for n in network.MODELS for r in ("network", "rules")]
WAYS = [way for way in WAYS if configured(*way)]


def arguments(config, model):
    """Shapes and types of what `advance` takes: a state, data, start, n, seed, lr."""
    data = jax.ShapeDtypeStruct((100, model.context), jnp.int32)
    sequences = network.reads_sequences(model)
    labels = data if sequences else jax.ShapeDtypeStruct((100,), jnp.int32)
    state = jax.eval_shape(lambda: steps.init_state(config, model))
    kinds = (jnp.int32, jnp.int32, jnp.uint32, jnp.float32)
    return state, data, labels, *(jax.ShapeDtypeStruct((), kind) for kind in kinds)


@pytest.mark.parametrize(("name", "route", "dtype"), WAYS, ids=map("-".join, WAYS))
def test_a_training_exports_for_a_gpu_without_a_call_of_a_cpu(
    name, route, dtype, monkeypatch
):
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")  # what is chosen there
    config = configured(name, route, dtype)
    model = config.network(27)
    advance = steps.take_steps(config, model)
    assert cpu_only(calls(advance, *arguments(config, model))) == []


def test_each_model_is_among_them_by_each_route_that_it_has():
    for name, page in network.PAGES.items():
        routes = {route for model, route, _ in WAYS if model == name}
        assert routes == {*ROUTES} - (set() if page.by_hand else {"network"})

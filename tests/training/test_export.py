"""Each model's training compiles for a GPU, by each route, as far as one can see
without one."""

import jax
import jax.numpy as jnp
import pytest

from jaxninja.models import gpt2, network
from jaxninja.training import steps
from jaxninja.training.config import TrainConfig
from jaxninja.training.options.limits import ROUTES
from tests.exported import calls, of_no_gpu


def ways():
    """(model, route, options) of all that there are gradients for."""
    for name, page in network.PAGES.items():
        for route in ROUTES if page.by_hand else ("rules", "autodiff"):
            yield name, route, {}
            if "dtype" in page.sizes.__dataclass_fields__:
                yield name, route, {"dtype": "bfloat16"}
    for residuals in gpt2.RESIDUALS[1:]:
        yield "gpt2", "network", {"residuals": residuals}


WAYS = list(ways())


def arguments(config, model):
    """Shapes and types of what `advance` takes: a state, data, start, n, seed, lr."""
    x = jax.ShapeDtypeStruct((100, model.context), jnp.int32)
    sequences = network.reads_sequences(model)
    y = x if sequences else jax.ShapeDtypeStruct((100,), jnp.int32)
    data = steps.Items(x, y)
    if config.reads_text:
        shape = steps.longest_chunk(config), config.batch_size, model.context + 1
        data = steps.Tokens(jax.ShapeDtypeStruct(shape, jnp.uint16), y.update(shape=()))
    state = jax.eval_shape(lambda: steps.init_state(config, model))
    kinds = (jnp.int32, jnp.int32, jnp.uint32, jnp.float32)
    return state, data, *(jax.ShapeDtypeStruct((), kind) for kind in kinds)


@pytest.mark.parametrize(
    ("name", "route", "options"),
    WAYS,
    ids=["-".join((*w[:2], *w[2].values())) for w in WAYS],
)
def test_a_training_exports_for_a_gpu_without_a_call_of_a_cpu(
    name, route, options, monkeypatch
):
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")  # what is chosen there
    of_model = {"layers": 2} if name == "deep" else {"model": name}
    config = TrainConfig(route=route, **options, **of_model)
    model = config.network(27)
    program, given = steps.take_steps(config, model), arguments(config, model)
    assert of_no_gpu(calls(program, *given)) == []

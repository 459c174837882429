"""makemore's models: three routes, one gradient, on batches that are awkward."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxninja.models import agreement, network, routes
from jaxninja.models.bigram import Bigram

disagreement = jax.jit(agreement.disagreement, static_argnums=(0, 4))

PARAMETERS = {"bigram": 729}
# small, with sizes that are prime or no multiples of each other
SEQUENCE = {"bigram": Bigram(vocabulary=5, context=7)}
ITEMS = {
    # lengths of items in a row of 7 places; None is a row all of padding
    "one": (7, [3]),
    "short": (7, [1, 0, 6, 1, 1]),
    "padding": (7, [None, 2, None]),
    "narrow": (1, [0, 0, 0]),
}


def batch(model, T, lengths, seed=0):
    """Items of random symbols as makemore.py lays them out."""
    ids = np.zeros((len(lengths), T), np.int32)
    labels = np.full((len(lengths), T), -1, np.int32)
    draw = np.random.default_rng(seed)
    for row, length in enumerate(lengths):
        if length is not None:
            item = draw.integers(1, model.vocabulary, length)
            ids[row, 1 : length + 1] = item[: T - 1]
            labels[row, : length + 1] = [*item, 0]
    return jnp.array(ids), jnp.array(labels)


def parameters(model, seed=0):
    """Without zeros and ones, which hide wrong gradients; in JAX's float type."""
    key = jax.random.key(seed)
    drawn = network.of(model).init(key, model)
    return {
        name: (p + 0.1 * jax.random.normal(jax.random.fold_in(key, i), p.shape)).astype(
            jnp.result_type(float)
        )
        for i, (name, p) in enumerate(drawn.items())
    }


@pytest.mark.parametrize("name", PARAMETERS)
def test_the_parameters_are_as_many_as_makemores(name):
    model = network.MODELS[name]()
    params = jax.eval_shape(lambda: network.of(model).init(jax.random.key(0), model))
    assert sum(p.size for p in params.values()) == PARAMETERS[name]
    assert {p.dtype for p in params.values()} == {jnp.dtype("float32")}


@pytest.mark.parametrize("items", ITEMS)
@pytest.mark.parametrize("name", SEQUENCE)
def test_the_routes_agree_in_float64(name, items, x64):
    model = SEQUENCE[name]
    params, args = parameters(model), batch(model, *ITEMS[items])
    loss = {}
    for route in ("network", "page", "rules"):
        apart = disagreement(route, params, *args, model)
        assert apart.keys() == params.keys()
        assert all(float(d) <= 1e-12 for d in apart.values()), (route, apart)
    for route in ("network", "page", "rules", "autodiff"):
        (loss[route], statistics), _ = routes.value_and_grad(route, model)(
            params, *args
        )
        assert statistics == network.of(model).initial_statistics(model) == {}
    np.testing.assert_allclose([*loss.values()], loss["autodiff"], rtol=1e-13)

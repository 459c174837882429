"""makemore's models: three routes, one gradient, on batches that are awkward."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxninja.models import network, routes
from jaxninja.models.bigram import Bigram
from jaxninja.models.bow import Bow
from jaxninja.models.gru import Gru
from jaxninja.models.lstm import Lstm
from jaxninja.models.mlp import Mlp
from jaxninja.models.rnn import Rnn
from jaxninja.models.transformer import Transformer
from jaxninja.models.wavenet import Wavenet

PARAMETERS = {
    "bigram": 729,
    "mlp": 69_147,
    "bow": 12_827,
    "rnn": 11_803,
    "gru": 28_315,
    "lstm": 36_635,
    "transformer": 204_544,
    "wavenet": 76_579,
}
# small, with sizes that are prime or no multiples of each other
SMALL = {
    "bigram": Bigram(5, 7),
    "mlp": Mlp(5, 3, 2, 7),
    "bow": Bow(5, 7, 3, 2),
    "rnn": Rnn(5, 7, 3, 2),
    "gru": Gru(5, 7, 3, 2),
    "lstm": Lstm(5, 7, 3, 2),
    "transformer": Transformer(5, 7, 2, 3, 6),
    "wavenet": Wavenet(5, 4, 3, 5),
}
# lengths of items, None for a row all of padding, and the places of a row; items that
# are shorter than the model's context, as long, and empty
BATCHES = {
    "items": ([2, None, 0, 6, 1], 7),
    "padding": ([None, None, None, None, None], 7),
    "short": ([3, 1, 1, 0, 2], 7),
    "one of one": ([1], 2),
}
BY_HAND = ("network", "page")


def batch(model, name, seed=0):
    """Items of random symbols as makemore.py lays them out; windows for a wavenet."""
    lengths, T = BATCHES[name]
    draw = np.random.default_rng(seed)
    if not network.reads_sequences(model):
        n = max(len(lengths), 3)  # one has no variance, and two cancel nearly all
        ids = draw.integers(0, model.vocabulary, (n, model.context))
        return jnp.array(ids), jnp.array(draw.integers(0, model.vocabulary, n))
    ids = np.zeros((len(lengths), T), np.int32)
    labels = np.full((len(lengths), T), -1, np.int32)
    for row, length in enumerate(lengths):
        if length is not None:
            item = draw.integers(1, model.vocabulary, length)
            ids[row, 1 : length + 1] = item[: T - 1]
            labels[row, : length + 1] = [*item, 0]
    return jnp.array(ids), jnp.array(labels)


def parameters(model, seed=0):
    """Without zeros and ones, which hide wrong gradients; in JAX's float type."""
    shapes = jax.eval_shape(lambda: network.of(model).init(jax.random.key(0), model))
    draw = np.random.default_rng(seed)
    one = {name for name in shapes if name.startswith("gamma")}
    return {
        name: jnp.array((name in one) + 0.5 * draw.normal(size=p.shape))
        for name, p in shapes.items()
    }


@partial(jax.jit, static_argnums=0)
def by_routes(model, params, ids, labels):
    """Route -> ((loss, statistics), gradients), in one program."""
    found = {}
    for route in ("autodiff", "rules", *BY_HAND):
        # kept apart: XLA would compute the same forward once for all
        args = jax.lax.optimization_barrier((params, ids, labels))
        found[route] = routes.value_and_grad(route, model)(*args)
    return found


def apart(mine, truth):
    """Largest difference over the largest entry; 0 where both are 0 throughout."""
    error, scale = float(abs(mine - truth).max()), float(abs(truth).max())
    return error / scale if error else 0.0


def count(params):
    return sum(p.size for p in params.values())


@pytest.mark.parametrize("name", PARAMETERS)
def test_the_parameters_are_as_many_as_makemores(name):
    model = network.MODELS[name]()
    params = jax.eval_shape(lambda: network.of(model).init(jax.random.key(0), model))
    assert count(params) == PARAMETERS[name]
    assert {p.dtype for p in params.values()} == {jnp.dtype("float32")}


@pytest.mark.parametrize("name", SMALL)
def test_the_routes_agree_in_float64(name, x64):
    model = SMALL[name]
    params = parameters(model)
    for items in BATCHES:
        found = jax.device_get(by_routes(model, params, *batch(model, items)))
        (loss, statistics), truth = found.pop("autodiff")
        for route, ((value, stats), grads) in found.items():
            np.testing.assert_allclose(value, loss, rtol=1e-13)
            np.testing.assert_equal(stats.keys(), statistics.keys())
            for key, moment in stats.items():
                np.testing.assert_allclose(moment, statistics[key], 1e-10, 1e-13)
            assert grads.keys() == params.keys()
            for key, grad in grads.items():
                assert grad.shape == params[key].shape
                assert apart(grad, truth[key]) <= 1e-12, (route, items, key)
        if items == "padding" and network.reads_sequences(model):
            assert float(loss) == 0
            assert not any(grad.any() for grad in truth.values())

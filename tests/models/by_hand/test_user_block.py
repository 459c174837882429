"""A learner's backward of one block as the route of a transformer."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxninja.models import routes, transformer
from jaxninja.models.by_hand import user_file
from jaxninja.models.transformer import Transformer
from jaxninja.training.config import ConfigError, TrainConfig
from jaxninja.workbook.exercises import EXERCISES
from jaxninja.workbook.templates import template

MODEL = Transformer(7, 5, 2, 2, 8)
EIGHT = EXERCISES[8].solution


def test_the_solution_is_a_route(file):
    """Of a loss with places that do not count, and rows shorter than the context."""
    route = file(EIGHT)
    key = jax.random.key(0)
    params = transformer.init(key, MODEL)
    ids = jax.random.randint(key, (3, 4), 0, MODEL.vocabulary)
    labels = jnp.roll(ids, -1, 1).at[0, 2:].set(-1)
    mine, plain = (
        jax.jit(routes.value_and_grad(r, MODEL)) for r in (route, "autodiff")
    )
    (loss, statistics), grads = mine(params, ids, labels)
    (expected, _), truth = plain(params, ids, labels)
    assert statistics == {}
    np.testing.assert_allclose(loss, expected, rtol=1e-6)
    assert grads.keys() == truth.keys()
    for name, grad in truth.items():
        np.testing.assert_allclose(grads[name], grad, atol=2e-6, err_msg=name)
    said = user_file.proof(route, MODEL, 3)
    assert int(said.split("none of the ")[1].split()[0]) > 60  # in two layers


AUTODIFF = """
def backward(x, gamma_m, dy):
    return jax.vjp(lambda x: x**2, x)[1](dy)
"""


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (AUTODIFF, "uses automatic differentiation"),
        (template(EXERCISES[8]), "dx is None, expected"),
        (EIGHT.replace("dx, dgamma_a, d", "dx, d"), "returned a tuple of 12"),
        (EIGHT.replace("dx, dgamma_a, d", "dx, dx, d"), r"dgamma_a is of shap"),
        (EIGHT.replace("    x, n, T,", "    x, Yb, n, T,"), "asks for Yb, which the"),
    ],
)
def test_what_is_no_route_is_refused(text, told, file):
    """autodiff is seen before what it returns: it has one array, expected 13."""
    if told.startswith("uses"):
        returned = ", ".join(["g"] + [f"0 * {k}" for k in transformer.LAYER])
        names = ", ".join(transformer.LAYER)
        text = text.replace("return jax", "g, = jax").replace("gamma_m", names)
        text += f"    return {returned}\n"
    with pytest.raises(user_file.RouteError, match=told):
        user_file.proof(file(text), MODEL, 3)


def test_other_constants_are_refused(file):
    for change in ({"eps": 1e-3}, {"dtype": "bfloat16"}):
        with pytest.raises(user_file.RouteError, match="is for layernorm's eps 1e-05"):
            routes.value_and_grad(file(EIGHT), dataclasses.replace(MODEL, **change))


def test_a_configuration_takes_it_as_a_route_of_a_transformer_alone(file):
    route = file(EIGHT)
    assert TrainConfig(model="transformer", route=route).route == route
    with pytest.raises(ConfigError, match="route"):
        TrainConfig(model="gru", route=route)

"""Where terms cancel: a right gradient is no alarm, and a wrong one is."""

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import pytest

from jaxninja.models import agreement, network, routes
from jaxninja.models.deep import Deep
from jaxninja.models.ninja import Ninja
from jaxninja.rules import manual
from jaxninja.rules.normalisation.batchnorm import batchnorm_bwd, batchnorm_fwd

# model, batch, scale of the weights, route, parameters of zero gradient in theory
CASES = {
    "two rows": (Ninja(hidden=2), 2, 1.0, "network", {"b1"}),
    "grown weights": (Ninja(hidden=8), 32, 1e3, "network", {"b1"}),
    "two rows, deep": (
        Deep(hidden=8, layers=3, batchnorm="hidden"),
        *(2, 1.0, "rules", {"beta1", "beta2"}),
    ),
}


def arguments(model, n, scale):
    keys = jax.random.split(jax.random.key(0), 3)
    params = network.of(model).init(keys[0], model)
    dtype = jnp.float64 if jax.config.jax_enable_x64 else jnp.float32
    scaled = {k: p * scale if k[0] == "W" else p for k, p in params.items()}
    params = {k: p.astype(dtype) for k, p in scaled.items()}
    ids = jax.random.randint(keys[1], (n, model.context), 0, model.vocabulary)
    return params, ids, jax.random.randint(keys[2], (n,), 0, model.vocabulary)


def alarms(apart, dtype):
    return {k for k, d in apart.items() if not d <= agreement.tolerance(dtype)}


@pytest.mark.parametrize(
    ("name", "wide"), [*((name, False) for name in CASES), ("two rows", True)]
)
def test_a_factor_is_found_and_rounding_is_not(name, wide, monkeypatch):
    model, n, scale, route, zero = CASES[name]
    right = routes.value_and_grad

    def disagreement(factor, *args):
        def by(name, model):
            def times(*args):
                aux, grads = right(name, model)(*args)
                by = 1.0 if name == "autodiff" else factor
                return aux, {k: g * by for k, g in grads.items()}

            return times

        monkeypatch.setattr(routes, "value_and_grad", by)
        return agreement.disagreement(route, *args, model)

    with jax.enable_x64(wide):
        args = arguments(model, n, scale)
        one = jnp.ones((), args[0]["C"].dtype)
        compiled = jax.jit(disagreement)
        assert alarms(compiled(one, *args), one.dtype) == set()
        for factor in (-1.0, 0.5)[: 1 + wide]:
            found = alarms(compiled(factor * one, *args), one.dtype)
            assert found == set(args[0]) - zero, factor


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_dropped_path_is_found(case, monkeypatch):
    """Of batchnorm's backward pass, the one through the mean."""

    def bwd(res, dy):
        dx, dgamma, dbeta = batchnorm_bwd(1e-5, 1, res, dy)
        return dx + res.gamma * res.rstd * dbeta / len(dy), dgamma, dbeta

    op = jax.custom_vjp(lambda *args: manual.batchnorm(*args, 1e-5, 1))
    op.defvjp(lambda *args: batchnorm_fwd(*args, 1e-5, 1), bwd)
    wrong = vars(manual) | {"batchnorm": lambda x, gamma, beta, *_: op(x, gamma, beta)}
    monkeypatch.setattr(routes, "manual", SimpleNamespace(**wrong))
    model, n, scale, _, _ = case
    compiled = jax.jit(lambda *args: agreement.disagreement("rules", *args, model))
    found = alarms(compiled(*arguments(model, n, scale)), jnp.float32)
    assert {"C", "W1"} <= found

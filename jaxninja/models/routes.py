"""Three routes to the same gradients of the lecture's network."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxninja.models import mlp, ninja, ninja_fast
from jaxninja.models.mlp import MLP, Params
from jaxninja.rules import autodiff, manual

# (params, ids, labels) -> (loss, batch statistics), gradients
ValueAndGrad = Callable[..., Any]


class Layout(NamedTuple):
    """A route as it trains: its gradients, in the storage order that suits it."""

    value_and_grad: ValueAndGrad  # of parameters that are laid out
    lay_out: Callable[[Any], Any]  # of parameters, wherever they occur in a pytree
    lay_back: Callable[[Any], Any]  # its inverse


def layout(route: str, model: MLP) -> Layout:
    """What the training loop runs: the same gradients as `value_and_grad`'s."""
    if route == "network":
        by_hand = partial(ninja_fast.value_and_grad, model=model)
        return Layout(by_hand, ninja_fast.lay_out, ninja_fast.lay_back)
    return Layout(value_and_grad(route, model), _as_it_is, _as_it_is)


def _as_it_is(tree: Any) -> Any:
    return tree


def value_and_grad(route: str, model: MLP) -> ValueAndGrad:
    """The function that gives loss, batch statistics and gradients by a route.

    Args:
        route: `network`, the whole backward pass by hand, as it trains; `lecture`, the
            same pass as it reads best; `rules`, `jax.grad` through hand-derived layers;
            `autodiff`, `jax.grad` of the plain forward.
        model: sizes and constants of the network.

    Raises:
        ValueError: no such route.
    """
    if route == "lecture":
        return partial(ninja.value_and_grad, model=model)
    if route == "network":
        return _laid_back(layout(route, model))
    ops = {"rules": manual, "autodiff": autodiff}.get(route)
    if ops is None:
        raise ValueError(f"route is {route!r}, expected network, rules or autodiff")
    return jax.value_and_grad(partial(mlp.loss, model=model, ops=ops), has_aux=True)


def _laid_back(fast: Layout) -> ValueAndGrad:
    def value_and_grad(params, ids, labels):
        value, grads = fast.value_and_grad(fast.lay_out(params), ids, labels)
        return value, fast.lay_back(grads)

    return value_and_grad


def disagreement(
    route: str, params: Params, ids: jax.Array, labels: jax.Array, model: MLP
) -> dict[str, jax.Array]:
    """How far a route's gradients lie from autodiff's, as max|a - b| / scale.

    The scale is max|b|, the largest entry of autodiff's gradient of that parameter. The
    gradient of b1 is exactly zero in theory, since batchnorm takes every bias away;
    what is left is the rounding of a sum over the batch, of scale sum |dhprebn|.

    Returns:
        A scalar for each parameter; NaN where either gradient is NaN.
    """
    (_, _), mine = value_and_grad(route, model)(params, ids, labels)
    (_, _), truth = value_and_grad("autodiff", model)(params, ids, labels)
    hprebn = mlp.hidden_preactivation(params, ids, autodiff, model.dtype)
    dhprebn = jax.grad(mlp.head_loss, 1)(params, hprebn, labels, model, autodiff)
    scale = {name: abs(b).max() for name, b in truth.items()}
    scale["b1"] = abs(dhprebn).sum()
    return {name: abs(mine[name] - truth[name]).max() / scale[name] for name in truth}


def tolerance(dtype: Any) -> float:
    """Largest disagreement that is rounding: 1e-12 in float64, 5e-4 in float32.

    In bfloat16, of 8 bits, it is 0.1: less can be said of what is rounded on the way.
    """
    if dtype == jnp.bfloat16:
        return 0.1
    return 1e-12 * float(jnp.finfo(dtype).eps / jnp.finfo(jnp.float64).eps)

"""Routes to the same gradients: by hand, by rules, by autodiff, by a learner's file.

A learner's file is for the lecture's network, or for a block of the transformer.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax

from jaxninja.errors import ArgumentError
from jaxninja.models import network
from jaxninja.models.by_hand import ninja_blocks, ninja_fast, user_file
from jaxninja.models.by_hand.layouts import mlp_tables, transformer_packed
from jaxninja.models.mlp import Mlp
from jaxninja.models.network import Model
from jaxninja.models.ninja import Ninja
from jaxninja.models.parts import Params
from jaxninja.models.transformer import Transformer
from jaxninja.rules import autodiff, manual

# (params, ids, labels) -> (loss, batch statistics), gradients
ValueAndGrad = Callable[..., Any]


def _as_it_is(tree: Any) -> Any:
    return tree


class Layout(NamedTuple):
    """A route as it trains: its gradients, in the storage order that suits it."""

    value_and_grad: ValueAndGrad  # of parameters that are laid out
    lay_out: Callable[[Any], Any] = _as_it_is  # of what holds parameters, any pytree
    lay_back: Callable[[Any], Any] = _as_it_is  # its inverse


def layout(route: str, model: Model) -> Layout:
    """What the training loop runs: the same gradients as `value_and_grad`'s."""
    if route == "network" and type(model) in _FAST:
        fast = _FAST[type(model)]
        return fast._replace(value_and_grad=partial(fast.value_and_grad, model=model))
    if route == "network":
        return Layout(_page(route, model))
    return Layout(value_and_grad(route, model))


def _by_batch(params: Params, ids: jax.Array, labels: jax.Array, model: Ninja) -> Any:
    """The layout that is quick at this batch: whole, or from LARGE on in blocks."""
    large = len(ids) >= ninja_blocks.LARGE
    module = ninja_blocks if large else ninja_fast
    return module.value_and_grad(params, ids, labels, model)


# Where another layout than the page's is quicker; its gradients take the model, too.
_FAST: dict[type, Layout] = {
    Ninja: Layout(_by_batch, ninja_fast.lay_out, ninja_fast.lay_back),
    Mlp: Layout(mlp_tables.value_and_grad),
    Transformer: Layout(transformer_packed.value_and_grad),
}


def value_and_grad(route: str, model: Model) -> ValueAndGrad:
    """The function that gives loss, batch statistics and gradients by a route.

    Args:
        route: `network`, the whole backward pass by hand, as it trains; `page`, the
            same pass as it reads best; `rules`, `jax.grad` through hand-derived layers;
            `autodiff`, `jax.grad` of the plain forward; the path of a .py file, the
            function `backward` in it.
        model: sizes and constants of the network.

    Raises:
        ValueError: no such route, a file that cannot be one, or a route that is by
            hand for other networks than this one.
    """
    if route == "page":
        return _page(route, model)
    if route == "network":
        return _laid_back(layout(route, model))
    if user_file.is_file(route):
        return user_file.value_and_grad(route, _learners(route, model))
    ops = {"rules": manual, "autodiff": autodiff}.get(route)
    if ops is None:
        expected = "network, rules or autodiff, or the path of a .py file"
        raise ArgumentError(f"route is {route!r}, expected {expected}")
    loss = partial(network.of(model).loss, model=model, ops=ops)
    return jax.value_and_grad(loss, has_aux=True)


def _page(route: str, model: Model) -> ValueAndGrad:
    """The whole backward pass of this model, as it is written in `by_hand/`."""
    by_hand = network.page(model).by_hand
    if by_hand is None:
        known = [name for name, page in network.PAGES.items() if page.by_hand]
        raise _by_hand_for(route, ", ".join(known), model)
    return partial(by_hand.value_and_grad, model=model)


def _learners(route: str, model: Model) -> Ninja | Transformer:
    """The model, if a learner's file can be for it."""
    if not isinstance(model, Ninja | Transformer):
        raise _by_hand_for(route, "the lecture's network and the transformer", model)
    return model


def _by_hand_for(route: str, which: str, model: Model) -> ValueError:
    return ValueError(
        f"route is {route!r}, which is by hand for {which} only, not for {model}; "
        "expected rules or autodiff"
    )


def _laid_back(fast: Layout) -> ValueAndGrad:
    def value_and_grad(params, ids, labels):
        value, grads = fast.value_and_grad(fast.lay_out(params), ids, labels)
        return value, fast.lay_back(grads)

    return value_and_grad

"""How far a route's gradients lie from autodiff's, and how much of that is rounding."""

import zlib
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from jaxninja.models import network, routes
from jaxninja.models.network import Model
from jaxninja.models.parts import Params
from jaxninja.rules import autodiff

DRAWS = 4  # of roundings
SPREADS = 16  # times what the draws move a gradient is rounding still


def disagreement(
    route: str, params: Params, ids: jax.Array, labels: jax.Array, model: Model
) -> dict[str, jax.Array]:
    """How far a route's gradients lie from autodiff's, as max|a - b| / scale.

    The scale is max|b|, the largest entry of autodiff's gradient of that parameter. It
    alone would not do where terms cancel: batchnorm on a batch of two takes nearly
    every gradient below it away, and that of a bias before batchnorm is exactly zero in
    theory. What is left is the rounding of the terms, so SPREADS times what roundings
    move the gradients, autodiff's or the route's own, count as rounding as well.

    Returns:
        A scalar for each parameter, to be held against `tolerance`: 0 where both
        gradients are 0 throughout, as behind dead units; NaN where either is NaN.
    """
    dtype = precision(params, model)
    by_route = routes.value_and_grad(route, model)
    loss = partial(network.of(model).loss, model=model, ops=autodiff)

    def gradients(draw):
        round_off = _roundings(draw, dtype)
        near = {name: round_off(p, name) for name, p in params.items()}
        (_, _), mine = by_route(near, ids, labels)
        return mine, jax.grad(loss, has_aux=True)(near, ids, labels, name=round_off)[0]

    mine, truth = jax.lax.map(gradients, jnp.arange(1 + DRAWS))
    share = SPREADS / tolerance(dtype)
    apart = {}
    for name, (a, b) in {k: (mine[k], truth[k]) for k in truth}.items():
        spread = jnp.maximum(abs(a[1:] - a[0]).max(), abs(b[1:] - b[0]).max())
        error, scale = abs(a[0] - b[0]).max(), abs(b[0]).max() + share * spread
        apart[name] = jnp.where(error == 0, 0.0, error / scale)
    return apart


def _roundings(draw: jax.Array, dtype: Any) -> Callable[[jax.Array, str], jax.Array]:
    """Moves each entry of a named array by one rounding, up or down; in draw 0 by none.

    As it multiplies, an intermediate's gradient is moved along with it.
    """
    size = jnp.where(draw == 0, 0.0, float(jnp.finfo(dtype).eps) / 2)

    def round_off(x: jax.Array, name: str) -> jax.Array:
        key = jax.random.fold_in(jax.random.key(zlib.crc32(name.encode())), draw)
        return x * (1 + size * jax.random.rademacher(key, x.shape)).astype(x.dtype)

    return round_off


def precision(params: Params, model: Model) -> Any:
    """The type that a route's gradients are rounded to on the way, the coarsest."""
    half = getattr(model, "dtype", "float32") == "bfloat16"
    return jnp.dtype(jnp.bfloat16) if half else jax.tree.leaves(params)[0].dtype


def tolerance(dtype: Any) -> float:
    """Largest disagreement that is rounding: 1e-12 in float64, 5e-4 in float32.

    In bfloat16, of 8 bits, it is 0.1: less can be said of what is rounded on the way.
    """
    if dtype == jnp.bfloat16:
        return 0.1
    return 1e-12 * float(jnp.finfo(dtype).eps / jnp.finfo(jnp.float64).eps)

"""Gradients of a model by its routes: how far they lie apart, and who made them."""

from functools import partial

import jax

from jaxninja.models import routes
from jaxninja.models.by_hand.by_machine import equations


@partial(jax.jit, static_argnums=(0, 4))
def by_routes(model, params, ids, labels, names=("autodiff", "rules")):
    """Route -> ((loss, statistics), gradients), in one program."""
    found = {}
    for route in names:
        # kept apart: XLA would compute the same forward once for all
        args = jax.lax.optimization_barrier((params, ids, labels))
        found[route] = routes.value_and_grad(route, model)(*args)
    return found


def apart(mine, truth, least=0.0):
    """Largest difference over the largest entry; 0 where both are 0 throughout.

    Args:
        least: added to the largest entry, where a gradient is 0 in theory.
    """
    error, scale = float(abs(mine - truth).max()), float(abs(truth).max())
    return error / (scale + least) if error else 0.0


def traced_by_autodiff(route, model, *args):
    """Equations with jvp or transpose in their name stack: autodiff makes these."""
    jaxpr = jax.make_jaxpr(routes.value_and_grad(route, model))(*args).jaxpr
    return [s for _, s in equations(jaxpr) if "jvp" in s or "transpose" in s]

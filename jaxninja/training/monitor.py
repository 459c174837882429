"""The diagnostics of a training run at a step, as one line of its diagnostics.jsonl.

Measured is the step about to come, from the state before it, on that step's own batch,
of running text on its first sequences; nothing of the training changes, to the bit.
"""

import math
from functools import lru_cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.ad_checkpoint import checkpoint_name

from jaxninja.data.text import IGNORED
from jaxninja.intermediates import statistics
from jaxninja.intermediates.gradients import retain_grads
from jaxninja.models import network
from jaxninja.models.network import Model
from jaxninja.training import steps
from jaxninja.training.config import TrainConfig
from jaxninja.training.machine import settings
from jaxninja.training.machine.devices import default_device
from jaxninja.training.optimizers import Clipped, optimizer
from jaxninja.training.steps import State

# Batchnorm's running statistics are compared with those of so many training examples:
# calibrating on all of them would cost more than the training.
CALIBRATION = 1_024
TOKENS = 2_048  # of a batch of running text: autodiff keeps more than a step by hand
PARAMETER = "parameter/"  # what the names of parameters begin with in retain_grads


@settings.fixed()
def observe(
    config: TrainConfig,
    model: Model,
    state: State,
    data: steps.Data,
    step: int,
) -> dict[str, Any]:
    """Statistics of a step, of JSON's types (NaN and infinity become None).

    Args:
        config, model: of the run.
        state: before the step.
        data: that hold the step's batch.
        step: counted from 0; it decides the batch and the learning rate.

    Returns:
        step, loss, grad_norm, clipped (share of the steps so far, None without
        clipping), activations, gradients and parameters by name, and batchnorm: the gap
        between running and calibrated statistics by layer.
    """
    observer, structure = _observer(steps.essential(config), model)
    # bound to the device, as a step leaves it: that of step 0 would be a second program
    state = jax.device_put(state, default_device())
    packed = np.asarray(observer(state, data, step, *steps.arguments(config)))
    return {"step": step, **_unpacked(packed, structure["tree"])}


@lru_cache(maxsize=16)
def _observer(config: TrainConfig, model: Model) -> Any:
    page = network.of(model)
    kinds = page.activations(model)
    # pyrefly: ignore[unsupported-operation]  of running text it has one
    rows = max(TOKENS // config.context, 1) if config.reads_text else None

    def loss(params, ids, labels):
        named = {k: checkpoint_name(p, f"{PARAMETER}{k}") for k, p in params.items()}
        return page.loss(named, ids, labels, model, name=checkpoint_name)

    def measure(state, data, step, seed, lr):
        ids, labels = (a[:rows] for a in data.batch(config, step, seed))
        retained = retain_grads(loss, has_aux=True, values=True)
        (value, _), grads, named = retained(state.params, ids, labels)
        own = {name: grads.pop(f"{PARAMETER}{name}") for name in state.params}
        del grads["loss"]
        logits = ("logits",) * ("logits" in named)  # a large vocabulary has none
        tx = optimizer(config, lr)
        updates: Any = tx.update(own, state.optimizer, state.params)[0]
        values = {name: predicting(named[name], labels) for name in (*kinds, *logits)}
        grads = {name: predicting(d, labels) for name, d in grads.items()}
        return {
            "loss": value,
            "grad_norm": statistics.global_norm(own),
            "clipped": _clipped(state.optimizer, step),
            "batchnorm": _gaps(page, model, state, data),
            **_with_histograms(
                activations={
                    name: (h, statistics.activation(h, kinds.get(name)))
                    for name, h in values.items()
                },
                gradients={
                    name: (d, statistics.gradient(d)) for name, d in grads.items()
                },
                parameters={
                    name: (
                        own[name],
                        statistics.parameter(p, own[name], updates[name]),
                    )
                    for name, p in state.params.items()
                },
            ),
        }

    structure = {}

    @jax.jit
    def observer(state, data, step, seed, lr):
        """All numbers in one vector: hundreds of small transfers would cost more.

        Compiled as the training is, though quicker ways do: where its tanh is flat, and
        a gradient exactly 0, depends on that.
        """
        seen = measure(state, data, step, seed, lr)
        structure["tree"] = jax.tree.map(jnp.shape, seen)
        return jnp.concatenate([jnp.ravel(a) * 1.0 for a in jax.tree.leaves(seen)])

    return observer, structure


@settings.fixed()
def dead_over_set(
    params: dict[str, jax.Array], x: jax.Array, y: jax.Array, model: Model
) -> dict[str, tuple[int, int]]:
    """Units that no example of a whole set brings out of their flat part.

    In blocks of 4,096 predictions, each normalised by its own statistics.

    Returns:
        Name of the activations -> (dead units, units).
    """
    if not network.of(model).activations(model):
        return {}
    size = max(4_096 // math.prod(y.shape[1:]), 1)
    blocks = [(x[i : i + size], y[i : i + size]) for i in range(0, len(x), size)]
    if len(blocks) > 1 and len(blocks[-1][0]) < size:
        blocks[-1] = (x[-size:], y[-size:])  # one shape, one compilation
    dead = [_dead_of_block(params, *block, model) for block in blocks]
    whole = jax.tree.map(lambda *flags: np.logical_and.reduce(flags), *dead)
    return {name: (int(flags.sum()), len(flags)) for name, flags in whole.items()}


@partial(jax.jit, static_argnums=3)
def _dead_of_block(params, x, y, model):
    named = network.intermediates(params, x, y, model)
    kinds = network.of(model).activations(model)
    return {
        k: statistics.dead_units(predicting(named[k], y), kind)
        for k, kind in kinds.items()
    }


def predicting(array: jax.Array, labels: jax.Array) -> jax.Array:
    """The rows of an array in which something is predicted.

    Those of windows are all. Of sequences [N, T, ...] becomes [N T, ...], where rows of
    padding are replaced by others, each as often as any, up to one.
    """
    if labels.ndim == 1 or array.shape[:2] != labels.shape:
        return array
    padding = labels.ravel() == IGNORED
    rows = jnp.argsort(padding, stable=True)
    turns = jnp.arange(labels.size) % jnp.maximum((~padding).sum(), 1)
    return array.reshape(labels.size, *array.shape[2:])[rows[turns]]


def _with_histograms(**groups: dict[str, tuple]) -> dict[str, Any]:
    """group -> name -> the statistics given with an array, and its histogram."""
    arrays: Any = {
        (g, k): a for g, group in groups.items() for k, (a, _) in group.items()
    }
    bins: Any = statistics.histograms(arrays)
    return {
        g: {k: {**stats, "histogram": bins[g, k]} for k, (_, stats) in group.items()}
        for g, group in groups.items()
    }


def _clipped(optimizer_state: Any, step) -> Any:
    """Share of the steps so far at which clipping acted, or None."""
    found = jax.tree.leaves(optimizer_state, is_leaf=lambda s: isinstance(s, Clipped))
    counts = [s.acted for s in found if isinstance(s, Clipped)]
    return counts[0] / jnp.maximum(step, 1) if counts else None


def _gaps(page, model, state, data) -> dict[str, Any]:
    """As one batch, the examples give each layer's calibrated statistics."""
    layers = network.normalised(model)
    if not layers or len(data.x) <= model.ddof:
        return {}
    x, y = (a[:CALIBRATION] for a in data)
    _, calibrated = page.loss(state.params, x, y, model)
    pairs: dict[str, Any] = {
        str(layer): [(of[mean], of[var]) for of in (state.statistics, calibrated)]
        for layer, (mean, var) in layers.items()
    }
    gap = statistics.batchnorm_gap
    return {k: gap(mine, truth, model.eps) for k, (mine, truth) in pairs.items()}


def _unpacked(packed: np.ndarray, shapes: Any) -> Any:
    """The vector as a tree of numbers and lists of counts, of JSON's types."""
    values = iter(packed.tolist())

    def leaf(shape):
        if shape:
            return [int(next(values)) for _ in range(math.prod(shape))]
        value = next(values)
        # five digits are enough for a figure
        return float(f"{value:.5g}") if math.isfinite(value) else None

    return jax.tree.map(leaf, shapes, is_leaf=lambda node: isinstance(node, tuple))

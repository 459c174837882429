"""Ways to take the lecture's training step, from this library's to the plainest JAX."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax

from jaxninja import TrainConfig
from jaxninja.models import ninja, routes
from jaxninja.models.by_hand import ninja_fast
from jaxninja.rules import autodiff
from jaxninja.training import steps
from jaxninja.training.optimizers import optimizer

CALL = 1_000  # steps in one call, as `jaxninja train` has them


def in_scan(
    config: TrainConfig, x, y, layout=None, count: int = CALL
) -> Callable[[int], None]:
    """`jaxninja train`'s own loop; a unit is `count` steps."""
    model = config.network(int(x.max()) + 1)
    advance = steps.make_advance(config, model, layout)
    state = steps.init_state(config, model)
    x, y = jnp.asarray(x), jnp.asarray(y)

    def train(units: int) -> None:
        nonlocal state
        for _ in range(units):
            state, losses = advance(state, steps.Items(x, y), 0, count)
            np.asarray(losses)  # the transfer that `jaxninja train` makes too

    return train


def autodiff_laid_out(config: TrainConfig, x, y) -> Callable[[int], None]:
    """jax.grad of the forward pass of `ninja_fast`, in the same storage order."""
    model = config.network(int(x.max()) + 1)
    loss = partial(forward_laid_out, model=model)
    grad = jax.value_and_grad(loss, has_aux=True)
    layout = routes.Layout(grad, ninja_fast.lay_out, ninja_fast.lay_back)
    return in_scan(config, x, y, layout)


def forward_laid_out(params, ids, labels, model):
    """The forward half of `ninja_fast.value_and_grad`."""
    n, V = len(ids), len(params["C"])
    embcat = params["C"][ids].reshape(n, -1)
    embmean = embcat.mean(0)
    bndiff = (embcat - embmean) @ params["W1"]
    bnmean = embmean @ params["W1"] + params["b1"]
    bnvar = (bndiff**2).sum(0) / (n - model.ddof)
    scale = params["bngain"] * lax.rsqrt(bnvar + model.eps)
    h = jnp.tanh(bndiff * scale + params["bnbias"])
    logits = lax.dot_general(params["W2T"], h, (((1,), (1,)), ((), ())))
    logits += params["b2"][:, None]
    norm_logits = logits - lax.stop_gradient(logits.max(0))
    onehot = labels == jnp.arange(V)[:, None]
    picked = jnp.where(onehot, norm_logits, 0).sum(0)
    loss = (jnp.log(jnp.exp(norm_logits).sum(0)) - picked).mean()
    return loss, {"mean": bnmean, "var": bnvar}


def plain_step(config: TrainConfig, x, y) -> tuple[Callable, Any]:
    """jax.grad and optax, the batch drawn within the step: what anyone would write."""
    model = config.network(int(x.max()) + 1)
    loss = partial(ninja.loss, model=model, ops=autodiff)
    grad = jax.value_and_grad(loss, has_aux=True)
    tx = optimizer(config)
    x, y = jnp.asarray(x), jnp.asarray(y)

    def step(state, number):
        batch = steps.Items(x, y).batch(config, number)
        (value, new), grads = grad(state.params, *batch)
        updates, tx_state = tx.update(grads, state.optimizer, state.params)
        params = optax.apply_updates(state.params, updates)
        move = lambda a, b: a + config.bn_momentum * (b - a)  # noqa: E731
        running = jax.tree.map(move, state.statistics, new)
        return steps.State(params, tx_state, running), value

    return step, steps.init_state(config, model)


def plain_scan(config: TrainConfig, x, y) -> Callable[[int], None]:
    """A unit is CALL steps in one jitted scan."""
    step, state = plain_step(config, x, y)
    run = jax.jit(lambda s: lax.scan(step, s, jnp.arange(CALL)), donate_argnums=0)

    def train(count: int) -> None:
        nonlocal state
        for _ in range(count):
            state, losses = run(state)
            np.asarray(losses)

    return train


def plain_calls(config: TrainConfig, x, y) -> Callable[[int], None]:
    """A unit is CALL calls of one jitted step; the host waits at the end of them."""
    step, state = plain_step(config, x, y)
    run = jax.jit(step, donate_argnums=0)

    def train(count: int) -> None:
        nonlocal state
        for number in range(count * CALL):
            state, loss = run(state, number)
        jax.block_until_ready(loss)

    return train

"""Clipping the loss where the gradient was meant: outliers fall silent.

An early DQN clipped the error before squaring it, to tame large gradients:

    loss = clip(y - q, -1, 1)^2      whose gradient is 0 wherever |y - q| > 1

so the worst errors teach nothing. Clipping the gradient is what was meant: the Huber
loss, whose gradient is the error, clipped.
"""

import jax
import jax.numpy as jnp
from jax.ad_checkpoint import checkpoint_name

from experiments.leaky_abstraction.setup import Outcome
from jaxninja.intermediates.statistics import watch

N, D = 256, 8


def clipped_loss(error: jax.Array) -> jax.Array:
    """The wrong one."""
    return (jnp.clip(error, -1, 1) ** 2).mean() / 2


def huber(error: jax.Array) -> jax.Array:
    """Quadratic up to 1, then linear: its slope is clip(error, -1, 1)."""
    size = abs(error)
    return jnp.where(size <= 1, error**2 / 2, size - 0.5).mean()


def fit(loss, steps: int = 500, lr: float = 0.5) -> dict[str, float]:
    """Linear regression from a start that is far off: what is left of the error?"""
    keys = jax.random.split(jax.random.key(0), 2)
    X, true = jax.random.normal(keys[0], (N, D)), 5 * jax.random.normal(keys[1], (D,))
    target = X @ true

    def objective(w):
        return loss(checkpoint_name(target - X @ w, "error"))

    def step(w, _):
        return w - lr * jax.grad(objective)(w), None

    start = jnp.zeros(D)
    silent = watch(objective)(start)[1]["error"]["gradient"]["zero"]
    w, _ = jax.lax.scan(step, start, None, length=steps)
    return {
        "examples without gradient at the start": float(silent),
        "root mean square error at the start": float(jnp.sqrt((target**2).mean())),
        "and after 500 steps": float(jnp.sqrt(((target - X @ w) ** 2).mean())),
    }


def experiment() -> Outcome:
    wrong, fixed = fit(clipped_loss), fit(huber)
    share = wrong["examples without gradient at the start"]
    return Outcome(
        "a clipped loss silences the outliers it was to tame",
        wrong,
        fixed,
        "clip the gradient: the Huber loss",
        f"watch: {share:.1%} of the gradient of the error is exactly zero",
    )

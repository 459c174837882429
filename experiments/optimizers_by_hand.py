"""What do the optimizers do? Their update rules by hand, beside optax's.

    python -m experiments.optimizers_by_hand

Each takes (g, state, p, t), with g the gradient of the parameter p at step t = 1, 2,
..., and returns what is added to p and its new state. 100 steps of the lecture's
network on the embedded names, in float64; each of the two follows its own parameters.
"""

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxninja import TrainConfig
from jaxninja.data.datasets import load_dataset
from jaxninja.models import routes
from jaxninja.training import steps

LR = 0.01


def sgd(g, state, p, t):
    return -LR * g, state


def momentum(g, v, p, t, decay=0.9):
    """v is a sum of past gradients, each step worth 0.9 of the next."""
    v = decay * v + g
    return -LR * v, v


def rmsprop(g, s, p, t, decay=0.9, eps=1e-8):
    """s is a running mean of squares: each entry gets its own learning rate."""
    s = decay * s + (1 - decay) * g**2
    return -LR * g / jnp.sqrt(s + eps), s


def adam(g, state, p, t, b1=0.9, b2=0.999, eps=1e-8):
    """Running means of g and g^2; both start at 0, and 1 - b^t makes up for that."""
    m, s = state
    m, s = b1 * m + (1 - b1) * g, b2 * s + (1 - b2) * g**2
    fair_m, fair_s = m / (1 - b1**t), s / (1 - b2**t)
    return -LR * fair_m / (jnp.sqrt(fair_s) + eps), (m, s)


def adamw(g, state, p, t, decay=0.01):
    """Adam, and each parameter shrinks by itself: not through the running means."""
    update, state = adam(g, state, p, t)
    return update - LR * decay * p, state


def zero(p):
    return jnp.zeros_like(p)


def two_zeros(p):
    return jnp.zeros_like(p), jnp.zeros_like(p)


# name -> (by hand, its first state, optax's)
OPTIMIZERS = {
    "sgd": (sgd, zero, optax.sgd(LR)),
    "momentum": (momentum, zero, optax.sgd(LR, momentum=0.9)),
    "rmsprop": (rmsprop, zero, optax.rmsprop(LR)),
    "adam": (adam, two_zeros, optax.adam(LR)),
    "adamw": (adamw, two_zeros, optax.adamw(LR, weight_decay=0.01)),
}


def difference(name: str, count: int = 100) -> float:
    """Largest |p - p'| / max |p'| over all parameters after `count` steps."""
    by_hand, first, theirs = OPTIMIZERS[name]
    config = TrainConfig(hidden=50)
    data = load_dataset("names")
    x, y = map(jnp.asarray, data.train)
    model = config.network(len(data.vocabulary))
    gradient = jax.jit(routes.value_and_grad("network", model))
    start = steps.init_state(config, model).params
    mine, states = dict(start), {k: first(p) for k, p in start.items()}
    other, optax_state = dict(start), theirs.init(start)
    move = jax.jit(by_hand)
    update = jax.jit(theirs.update)
    for t in range(1, count + 1):
        batch = steps.Items(x, y).batch(config, t)
        _, grads = gradient(mine, *batch)
        for k, p in mine.items():
            change, states[k] = move(grads[k], states[k], p, t)
            mine[k] = p + change
        _, grads = gradient(other, *batch)
        changes, optax_state = update(grads, optax_state, other)
        other = optax.apply_updates(other, changes)
    return max(
        float(np.abs(mine[k] - p).max() / np.abs(p).max()) for k, p in other.items()
    )


if __name__ == "__main__":
    with jax.enable_x64(True):
        print("| optimizer | apart after 100 steps |\n|---|---:|")
        for name in OPTIMIZERS:
            print(f"| {name} | {difference(name):.1e} |")

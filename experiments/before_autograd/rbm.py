"""A restricted Boltzmann machine: contrastive divergence against the exact gradient.

    python -m experiments.before_autograd.rbm

    p(v) = exp(-F(v)) / Z,     F(v) = -v b - sum_j softplus(c + v W)_j

    dlog p(v)/dW = v sigmoid(c + v W)^T - E_model[v sigmoid(c + v W)^T]

The first term is easy. The second is an average over all states of the model, which is
why CD-1 takes one Gibbs step from the data in its place (Hinton 2002, Neural
Computation 14). Here are 3 x 3 pixels, bars and stripes, 512 states: everything can be
enumerated, the average CD-1 update too. It trains, if not as far as the gradient, and
it is the gradient of no loss: the Jacobian of a gradient is symmetric, and that of
CD-1's average update is not.
"""

import itertools
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree

SIDE, HIDDEN = 3, 6
VISIBLE = SIDE * SIDE
Params = dict[str, jax.Array]


def states(n: int) -> np.ndarray:
    """All binary vectors [2^n, n]."""
    return np.array(list(itertools.product((0.0, 1.0), repeat=n)))


def bars_and_stripes() -> np.ndarray:
    """The 14 pictures [14, 9] whose rows, or whose columns, are each all on or off."""
    rows = [np.repeat(s[:, None], SIDE, 1) for s in states(SIDE)]
    pictures = [p.ravel() for p in rows] + [p.T.ravel() for p in rows]
    return np.unique(np.array(pictures), axis=0)


def init(key: jax.Array) -> Params:
    W = 0.1 * jax.random.normal(key, (VISIBLE, HIDDEN))
    return {"W": W, "b": jnp.zeros(VISIBLE), "c": jnp.zeros(HIDDEN)}


def log_weights(params: Params, v: jax.Array) -> jax.Array:
    """-F(v), the logarithm of the unnormalised probability, [N]."""
    return v @ params["b"] + jax.nn.softplus(v @ params["W"] + params["c"]).sum(-1)


def log_likelihood(params: Params, v: jax.Array) -> jax.Array:
    """Mean log p(v) in nats, Z by enumeration."""
    log_z = jax.nn.logsumexp(log_weights(params, jnp.asarray(states(VISIBLE))))
    return log_weights(params, v).mean() - log_z


def phase(params: Params, v: jax.Array, weight: jax.Array) -> Params:
    """sum_n weight_n (v h^T, v, h) with h = sigmoid(c + v W): one side of an update."""
    h = jax.nn.sigmoid(v @ params["W"] + params["c"])
    return {"W": (weight[:, None] * v).T @ h, "b": weight @ v, "c": weight @ h}


def exact_gradient(params: Params, v: jax.Array) -> Params:
    """Of the log-likelihood: data minus model, derived above."""
    every = jnp.asarray(states(VISIBLE))
    p = jax.nn.softmax(log_weights(params, every))
    return _difference(params, v, every, p)


def average_cd1(params: Params, v: jax.Array) -> Params:
    """The expectation of the CD-1 update over its random numbers, by enumeration."""
    every = jnp.asarray(states(VISIBLE))
    hidden = jnp.asarray(states(HIDDEN))
    up = _bernoulli(jax.nn.sigmoid(v @ params["W"] + params["c"]), hidden)
    down = _bernoulli(jax.nn.sigmoid(hidden @ params["W"].T + params["b"]), every)
    return _difference(params, v, every, (up @ down).mean(0))


def sampled_cd1(key: jax.Array, params: Params, v: jax.Array) -> Params:
    """One CD-1 update: up, down, up; the last up as probabilities, as is the custom."""
    key_h, key_v = jax.random.split(key)
    h = jax.random.bernoulli(key_h, jax.nn.sigmoid(v @ params["W"] + params["c"]))
    p = jax.nn.sigmoid(h.astype(v.dtype) @ params["W"].T + params["b"])
    again = jax.random.bernoulli(key_v, p).astype(v.dtype)
    return _difference(params, v, again, jnp.full(len(v), 1 / len(v)))


def _difference(params, data, model, weight) -> Params:
    positive = phase(params, data, jnp.full(len(data), 1 / len(data)))
    negative = phase(params, model, weight)
    return jax.tree.map(jnp.subtract, positive, negative)


def _bernoulli(p: jax.Array, outcomes: jax.Array) -> jax.Array:
    """Probability [N, M] of each of M binary outcomes under each of N rows of p."""
    each = jnp.where(outcomes[None] == 1, p[:, None], 1 - p[:, None])
    return each.prod(-1)


def asymmetry(update, params: Params) -> float:
    """max |J - J^T| / max |J| of an update as a function of the parameters."""
    flat, unravel = ravel_pytree(params)
    jacobian = jax.jacfwd(lambda f: ravel_pytree(update(unravel(f)))[0])
    J = jax.jit(jacobian)(flat)
    return float(abs(J - J.T).max() / abs(J).max())


def cosine(a: Params, b: Params) -> float:
    """Of the angle between two updates."""
    x, y = ravel_pytree(a)[0], ravel_pytree(b)[0]
    return float(x @ y / jnp.linalg.norm(x) / jnp.linalg.norm(y))


@partial(jax.jit, static_argnums=(0, 4))
def train(update, params: Params, v, key, steps: int, lr: float = 0.2) -> Params:
    """Gradient ascent by `update(key, params, v)`."""

    def step(params, key):
        move = update(key, params, v)
        return jax.tree.map(lambda p, u: p + lr * u, params, move), None

    return jax.lax.scan(step, params, jax.random.split(key, steps))[0]


def by_exact(key, params, v):
    return exact_gradient(params, v)


def by_average(key, params, v):
    return average_cd1(params, v)


def compare(steps: int = 5_000) -> dict[str, float]:
    """Log-likelihood by each update; angle and asymmetry where CD-1 arrives."""
    with jax.enable_x64(True):
        v = jnp.asarray(bars_and_stripes())
        start, key = init(jax.random.key(0)), jax.random.key(1)
        ends = {
            "exact gradient": train(by_exact, start, v, key, steps),
            "CD-1, sampled": train(sampled_cd1, start, v, key, steps),
            "CD-1, average": train(by_average, start, v, key, steps),
        }
        found = {name: float(log_likelihood(p, v)) for name, p in ends.items()}
        middle = train(sampled_cd1, start, v, key, steps // 5)
        truth, cd1 = exact_gradient(middle, v), average_cd1(middle, v)
        found["cosine of CD-1 and the gradient"] = cosine(truth, cd1)
        for name, update in (("gradient", exact_gradient), ("CD-1", average_cd1)):
            skew = asymmetry(lambda p, u=update: u(p, v), middle)
            found[f"asymmetry of the Jacobian, {name}"] = skew
        found["the best there is, -log 14"] = -float(np.log(len(v)))
    return found


if __name__ == "__main__":
    print("| log-likelihood, and angles | |\n|---|---:|")
    for name, value in compare().items():
        print(f"| {name} | {value:.4g} |")

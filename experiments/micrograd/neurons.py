"""Neuron, layer, network as pure functions; 41 parameters learn four examples.

    python -m experiments.micrograd.neurons

A neuron is a weighted sum and a squashing function, a layer some neurons that see the
same inputs, a network some layers in a row. Parameters are plain lists of arrays, so a
step of gradient descent is one line, and the engine differentiates all of it.
"""

from collections.abc import Callable, Sequence
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from jaxninja.engine import value_and_grad

Layer = dict[str, jax.Array]  # w [inputs, neurons], b [neurons]


def neuron(x, w, b, squash=jnp.tanh):
    """squash(w . x + b): inputs x [D] to one number."""
    return squash(w @ x + b)


def layer(x, params: Layer, squash=jnp.tanh):
    """All neurons of a layer: [D] -> [H]. Each has its column of w."""
    each = jax.vmap(partial(neuron, squash=squash), in_axes=(None, 1, 0))
    return each(x, params["w"], params["b"])


def mlp(params: Sequence[Layer], x, squash=jnp.tanh, last=jnp.tanh):
    """A network: [D] -> the outputs of its last layer."""
    *hidden, output = params
    for one in hidden:
        x = layer(x, one, squash)
    return layer(x, output, last)


def init(seed: int, inputs: int, widths: Sequence[int], bias: bool) -> list[Layer]:
    """Weights uniform in (-1, 1); biases too, or zero."""
    rng = np.random.default_rng(seed)

    def one(fan_in, fan_out):
        w = rng.uniform(-1, 1, (fan_in, fan_out))
        b = rng.uniform(-1, 1, fan_out) * bias
        return {"w": jnp.asarray(w, jnp.float32), "b": jnp.asarray(b, jnp.float32)}

    return [one(*pair) for pair in zip([inputs, *widths], widths, strict=False)]


def count(params) -> int:
    return sum(p.size for p in jax.tree.leaves(params))


def descend(params, grads, rate):
    """One step of gradient descent."""
    return jax.tree.map(lambda p, g: p - rate * g, params, grads)


# ---- the lecture's four examples

X = np.array([[2, 3, -1], [3, -1, 0.5], [0.5, 1, 1], [1, 1, -1]], np.float32)
Y = np.array([1, -1, -1, 1], np.float32)


def predictions(params, x=X):
    return jax.vmap(partial(mlp, params))(x)[:, 0]


def loss(params):
    """Sum of squared errors."""
    return ((predictions(params) - Y) ** 2).sum()


def train(
    params, steps: int, rate: float, value_and_grad: Callable = value_and_grad
) -> tuple[list[Layer], list[float]]:
    """Plain gradient descent; the loss before each step."""
    step = jax.jit(value_and_grad(loss))
    losses = []
    for _ in range(steps):
        value, grads = step(params)
        params = descend(params, grads, rate)
        losses.append(float(value))
    return params, losses


def main() -> None:
    params = init(0, 3, [4, 4, 1], bias=True)
    print(f"{count(params)} parameters")
    params, losses = train(params, 20, 0.1)
    for k in (0, 4, 9, 19):
        print(f"step {k:2d}  loss {losses[k]:.6f}")
    for target, prediction in zip(Y, predictions(params), strict=True):
        print(f"target {target:4.1f}  prediction {prediction:7.4f}")


if __name__ == "__main__":
    main()

"""Two moons, told apart by a network of 337 parameters that the engine trains.

    python -m experiments.micrograd.moons [--seed 0] [--figure FILE]

micrograd's demo: the data are made here, the network is 2 -> 16 -> 16 -> 1 with relu,
the loss is a support vector machine's, and full-batch gradient descent takes 100 steps.
"""

import argparse
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from experiments.micrograd.neurons import count, descend, init, mlp
from jaxninja.engine import value_and_grad

FIGURE = Path(__file__).parent.parent / "figures" / "moons.png"


def moons(seed: int, n: int = 100, noise: float = 0.1) -> tuple[np.ndarray, np.ndarray]:
    """Two half circles that reach into each other.

    Returns: points [n, 2], labels [n]: -1 on the upper moon, 1 on the lower one.
    """
    rng = np.random.default_rng(seed)
    angle = np.linspace(0, np.pi, n // 2)
    upper = np.stack([np.cos(angle), np.sin(angle)], 1)
    lower = np.stack([1 - np.cos(angle), 0.5 - np.sin(angle)], 1)
    points = np.concatenate([upper, lower]) + rng.normal(0, noise, (2 * len(angle), 2))
    labels = np.repeat([-1.0, 1.0], len(angle))
    return points.astype(np.float32), labels.astype(np.float32)


def scores(params, x):
    """[N, 2] -> [N]: relu inside, and no squashing at the end."""
    network = partial(mlp, params, squash=jax.nn.relu, last=lambda score: score)
    return jax.vmap(network)(x)[:, 0]


def loss(params, x, y, decay: float = 1e-4):
    """Max margin, mean_n relu(1 - y s), plus decay times the sum of all squares.

    Returns: the loss, and the fraction of points on their right side.
    """
    s = scores(params, x)
    margin = jax.nn.relu(1 - y * s).mean()
    squares = sum((p**2).sum() for p in jax.tree.leaves(params))
    return margin + decay * squares, ((s > 0) == (y > 0)).mean()


def train(params, x, y, steps: int = 100) -> tuple[list, list[tuple[float, float]]]:
    """Full-batch gradient descent; loss and accuracy before each step."""

    @jax.jit
    def step(params, k):
        (value, accuracy), grads = value_and_grad(loss, has_aux=True)(params, x, y)
        return descend(params, grads, 1.0 - 0.9 * k / steps), (value, accuracy)

    history = []
    for k in range(steps):
        params, (value, accuracy) = step(params, k)
        history.append((float(value), float(accuracy)))
    return params, history


def plot(params, x, y, path: Path) -> None:
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    low, high = x.min(0) - 0.5, x.max(0) + 0.5
    a, b = np.meshgrid(*(np.linspace(low[k], high[k], 200) for k in (0, 1)))
    grid = jnp.asarray(np.stack([a.ravel(), b.ravel()], 1))
    s = np.asarray(scores(params, grid)).reshape(a.shape)
    figure, axes = plt.subplots(figsize=(6, 4.5), layout="constrained")
    axes.contourf(a, b, s, [-1e9, 0, 1e9], colors=["#f4c9b8", "#bcd3ea"])
    axes.contour(a, b, s, [-1, 0, 1], colors="k", linestyles=[":", "-", ":"])
    axes.scatter(*x.T, c=np.where(y > 0, "#1f5a94", "#b8431c"), s=22, edgecolors="w")
    axes.set(title="Decision boundary (solid) and margins (dotted)")
    axes.set(xlabel="x[0]", ylabel="x[1]")
    figure.savefig(path, dpi=110)
    plt.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(description="Train on two moons by the engine.")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--figure", type=Path, help="default: the page's, of seed 0")
    options = parser.parse_args()
    x, y = moons(options.seed)
    params = init(options.seed, 2, [16, 16, 1], bias=False)
    print(f"{count(params)} parameters, {len(x)} points")
    params, history = train(params, x, y)
    for k in (0, 1, 20, 40, 60, 80, 99):
        value, accuracy = history[k]
        print(f"step {k:2d}  loss {value:.6f}  accuracy {accuracy:.0%}")
    first = 1 + max((k for k, (_, a) in enumerate(history) if a < 1), default=-1)
    print(f"accuracy 100% from step {first} on; after the last: ", end="")
    print(f"{float(loss(params, x, y)[1]):.0%}")
    if figure := options.figure or (FIGURE if options.seed == 0 else None):
        plot(params, x, y, figure)
        print(f"figure: {figure}")


if __name__ == "__main__":
    main()

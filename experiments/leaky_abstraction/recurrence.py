"""An RNN's gradient over 50 steps, by the spectral radius of its recurrent matrix.

    h[t] = f(h[t-1] W),   so   dh[t-1] = (f'(h[t]) dh[t]) W^T

The same matrix multiplies the gradient at each step: its largest eigenvalue in
magnitude, to the 50th power, makes it explode or vanish. The forward pass of a tanh
hides this, since its values stay in [-1, 1].
"""

import jax
import jax.numpy as jnp

from experiments.leaky_abstraction.setup import Outcome
from jaxninja.intermediates.statistics import global_norm
from jaxninja.rules import manual

T, N, H = 50, 16, 32


def recurrent(key: jax.Array, radius: float) -> jax.Array:
    """[H, H] of this spectral radius: a random matrix, scaled by its own."""
    W = jax.random.normal(key, (H, H)) / H**0.5
    return W * (radius / abs(jnp.linalg.eigvals(W)).max())


def gradient_norms(W: jax.Array, key: jax.Array, start: float) -> jax.Array:
    """Norms of dh[0], ..., dh[T] for a random gradient of the last state."""
    key_h, key_dh = jax.random.split(key)
    h = start * jax.random.normal(key_h, (N, H))

    def forward(h, _):
        following = manual.tanh(h @ W)
        return following, following

    def backward(dh, h):
        before = ((1 - h) * (1 + h) * dh) @ W.T
        return before, before

    _, states = jax.lax.scan(forward, h, None, length=T)
    dh = jax.random.normal(key_dh, (N, H)) / N
    _, grads = jax.lax.scan(backward, dh, states, reverse=True)
    return jnp.append(jnp.sqrt((grads**2).sum((1, 2))), global_norm(dh))


def experiment(radius: float = 1.3) -> Outcome:
    """Small states, so that tanh is nearly linear, as it is where an RNN remembers."""
    key = jax.random.key(0)

    def measure(r: float) -> dict[str, float]:
        norms = gradient_norms(recurrent(key, r), jax.random.key(1), 1e-9)
        rate = float((norms[0] / norms[-1]) ** (1 / T))
        return {
            "norm of dh[0] / dh[50]": float(norms[0] / norms[-1]),
            "factor a step": rate,
            "norm of dh[0] clipped at 1": min(1.0, float(norms[0])),
        }

    wrong, fixed = measure(radius), measure(1.0)
    times = wrong["norm of dh[0] / dh[50]"]
    explodes = "explodes" if times > 1 else "vanishes"
    return Outcome(
        f"the gradient of an RNN {explodes} at spectral radius {radius:g}",
        wrong,
        fixed,
        "spectral radius 1; clipping bounds what is left, and cannot fix vanishing",
        f"watch: the gradient's norm changes {times:.2g} times over {T} steps",
    )

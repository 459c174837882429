"""Quantised and adapted layers."""

import jax
import jax.numpy as jnp

from experiments.checker_benchmark.strangers.record import (
    Stranger,
    Twin,
    collect,
    normal,
)

CASES: list[Stranger] = []
case = collect(CASES)


def started_at_fraction(shift):
    """As AdaRound starts: the soft rounding gives the weights back."""

    def args(rng):
        w, scale = normal(rng, 5, 4, std=0.3), jnp.full((1, 4), 0.08, jnp.float32)
        rest = w / scale - jnp.floor(w / scale)
        v = -jnp.log(1.2 / (rest + 0.1) - 1) + shift * normal(rng, 5, 4)
        return v, w, scale, 4, 20.0

    return args


@case(
    "adaptive rounding (AdaRound) in JAX quantisers, with its regulariser",
    "quantisation",
    started_at_fraction(0.0),
    Twin(
        "stretch",
        "factor|ratio|constant",
        "v",
        "The sigmoid's stretch is missing from the gradient.",
    ),
    Twin(
        "ends of the rounding",
        "mask|region|predicate|edge",
        "v",
        "Roundings that are settled, up or down, go on to be moved.",
        witness=started_at_fraction(4.0),
    ),
    Twin(
        "range of the integers",
        "mask|region|predicate|edge|option",
        "v",
        "Weights that are outside of the range of integers get a gradient.",
        witness=lambda rng: (*started_at_fraction(0.0)(rng)[:3], 3, 20.0),
    ),
    options=lambda plain: {"nondiff": ("w", "scale")},
    fixed=(0, 1, 2),
    narrow=False,
)
def adaround_weights(slip):
    def soft(v):
        stretched = 1.2 * jax.nn.sigmoid(v) - 0.1
        return stretched, jnp.clip(stretched, 0, 1)

    def plain(v, w, scale, bits, beta):
        _, h = soft(v)
        most = 2 ** (bits - 1) - 1
        q = scale * jnp.clip(jnp.floor(w / scale) + h, -most - 1, most)
        return q, (1 - jnp.abs(2 * h - 1) ** beta).sum()

    quantise = jax.custom_vjp(plain, nondiff_argnums=(3, 4))

    def fwd(v, w, scale, bits, beta):
        return plain(v, w, scale, bits, beta), (v, w, scale)

    def inside(x, low, high):
        """As clip is differentiated: a half where x is at an end."""
        at = 0.5 * ((x >= low) & (x <= high)) + 0.5 * ((x > low) & (x < high))
        return at.astype(x.dtype)

    def bwd(bits, beta, res, g):
        v, w, scale = res
        dq, dpenalty = g
        stretched, h = soft(v)
        most = 2 ** (bits - 1) - 1
        dh = scale * dq
        if slip != "range of the integers":
            dh = dh * inside(jnp.floor(w / scale) + h, -most - 1, most)
        side = 2 * h - 1
        power = beta * jnp.abs(side) ** (beta - 1)
        dh = dh - 2 * dpenalty * power * jnp.sign(side)
        if slip != "ends of the rounding":
            dh = dh * inside(stretched, 0, 1)
        p = jax.nn.sigmoid(v)
        slope = p * (1 - p) if slip == "stretch" else 1.2 * p * (1 - p)
        return dh * slope, jnp.zeros_like(w), jnp.zeros_like(scale)

    quantise.defvjp(fwd, bwd)
    return quantise, plain

"""Recurrent layers and attention without a softmax: writes, resets, masks."""

import jax
import jax.numpy as jnp
from jax import lax

from experiments.checker_benchmark.strangers.record import (
    Stranger,
    Twin,
    collect,
    normal,
    positive,
)

CASES: list[Stranger] = []
case = collect(CASES)


def episodes(rng):
    done = jnp.asarray([0, 0, 1, 0, 0, 0, 1, 0, 0], jnp.int32)
    return positive(rng, 9, 2, low=0.2, high=0.9), normal(rng, 9, 2), done


@case(
    "linear recurrent units with resets at episode ends (popjaxrl, S5)",
    "associative scan with resets",
    episodes,
    Twin(
        "not reset",
        "mask|path|region",
        "decay drive",
        "The gradient runs over the ends of episodes.",
    ),
    Twin(
        "state of now",
        "index|residual|operand",
        "decay",
        "The decay meets the state after the step.",
    ),
    Twin(
        "decay of now",
        "index|residual|operand",
        "decay drive",
        "The backward scan takes the decay of its own step instead of the next one's.",
    ),
)
def reset_linear_scan(slip):
    def combine(left, right):
        a1, b1 = left
        a2, b2 = right
        return a1 * a2, a2 * b1 + b2

    def gate(decay, done):
        return jnp.where(done[:, None] > 0, 0, decay)

    def plain(decay, drive, done):
        return lax.associative_scan(combine, (gate(decay, done), drive))[1]

    scan = jax.custom_vjp(plain)

    def fwd(decay, drive, done):
        h = plain(decay, drive, done)
        return h, (decay, done, h)

    def bwd(res, dh):
        decay, done, h = res
        a = decay if slip == "not reset" else gate(decay, done)
        if slip != "decay of now":
            a = jnp.concatenate([a[1:], jnp.zeros_like(a[:1])])
        lam = lax.associative_scan(combine, (a, dh), reverse=True)[1]
        prev = jnp.concatenate([jnp.zeros_like(h[:1]), h[:-1]])
        ddecay = lam * (h if slip == "state of now" else prev)
        if slip != "not reset":
            ddecay = gate(ddecay, done)
        return ddecay, lam, None

    scan.defvjp(fwd, bwd)
    return scan, plain

"""Sound: a reverberator of delay lines that feed each other."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from experiments.checker_benchmark.strangers.record import (
    Stranger,
    Twin,
    collect,
    normal,
)

CASES: list[Stranger] = []
case = collect(CASES)


def room(rng):
    turned = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    parameters = {
        "mix": jnp.asarray(0.9 * turned, jnp.float32),
        "inputs": jnp.ones(3),
        "outputs": jnp.full(3, 1 / 3),
    }
    return normal(rng, 16), parameters, (2, 3, 5)


@case(
    "feedback delay networks of differentiable reverberators in JAX, sample by sample",
    "audio",
    room,
    Twin(
        "lines not fed back",
        "term|path",
        "signal p",
        "What the lines hand to each other carries no gradient.",
    ),
    Twin(
        "mixed forwards",
        "transpose|swap",
        "p",
        "The cotangents of the lines are mixed with the matrix of the forward.",
    ),
    Twin(
        "a sample early",
        "index|residual",
        "signal p",
        "A cotangent leaves its line one sample too soon.",
    ),
    scales=(0.5, 1.0),
)
def reverb_feedback_delay_network(slip):
    def run(signal, p, delays):
        ends = np.array(delays) - 1
        lines = np.arange(len(delays))

        def step(buffer, x):
            late = buffer[lines, ends]
            fed = p["mix"] @ late + p["inputs"] * x
            new = jnp.concatenate([fed[:, None], buffer[:, :-1]], 1)
            return new, (p["outputs"] @ late, late)

        start = jnp.zeros((len(delays), max(delays)), signal.dtype)
        return lax.scan(step, start, signal)[1]

    def plain(signal, p, delays):
        return run(signal, p, delays)[0]

    reverb = jax.custom_vjp(plain, nondiff_argnums=(2,))

    def fwd(signal, p, delays):
        out, late = run(signal, p, delays)
        return out, (signal, p, late)

    def bwd(delays, res, g):
        signal, p, late = res
        ends = np.array(delays) - (2 if slip == "a sample early" else 1)
        lines = np.arange(len(delays))

        def back(carry, item):
            dbuffer, dmix, dinputs, doutputs = carry
            dy, x, late = item
            dfed = dbuffer[:, 0]
            dlate = p["outputs"] * dy
            mix = p["mix"] if slip == "mixed forwards" else p["mix"].T
            if slip != "lines not fed back":
                dlate = dlate + mix @ dfed
            new = jnp.pad(dbuffer[:, 1:], ((0, 0), (0, 1)))
            new = new.at[lines, ends].add(dlate)
            sums = dmix + jnp.outer(dfed, late), dinputs + dfed * x
            return (new, *sums, doutputs + dy * late), p["inputs"] @ dfed

        zero = jnp.zeros(len(delays), g.dtype)
        start = jnp.zeros((len(delays), max(delays)), g.dtype), jnp.zeros_like(p["mix"])
        items = g, signal, late
        out, dx = lax.scan(back, (*start, zero, zero), items, reverse=True)
        return dx, {"mix": out[1], "inputs": out[2], "outputs": out[3]}

    reverb.defvjp(fwd, bwd)
    return reverb, plain

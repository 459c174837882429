"""More of speech and audio."""

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


def mel_frames(rng):
    energy = jnp.exp(normal(rng, 9, 4))
    params = {
        "alpha": jnp.full(4, 0.96, jnp.float32),
        "delta": jnp.full(4, 2.0, jnp.float32),
        "root": jnp.full(4, 2.0, jnp.float32),
    }
    return energy, params, 0.04


@case(
    "trainable per-channel energy normalisation of LEAF and nnAudio, ported to JAX",
    "audio",
    mel_frames,
    Twin(
        "smoother held",
        "term|path",
        "energy",
        "The smoothed energy is taken for a constant.",
    ),
    Twin(
        "first frame",
        "edge|factor|index|term",
        "energy",
        "The first frame is smoothed from zero, though it starts the smoother.",
    ),
    Twin(
        "power of the offset",
        "term|path",
        "params",
        "The root is pulled back through the energies and not through the offset.",
    ),
    fixed=(1,),
    narrow=False,
)
def pcen(slip):
    floor = 1e-6

    def smoothed(energy, s):
        def step(m, e):
            new = (1 - s) * m + s * e
            return new, new

        return jax.lax.scan(step, energy[0], energy)[1]

    def parts(energy, params, s):
        log = jnp.log(floor + smoothed(energy, s))
        gained = energy * jnp.exp(-params["alpha"] * log)
        return log, gained

    def plain(energy, params, s):
        _, gained = parts(energy, params, s)
        delta, power = params["delta"], 1 / params["root"]
        return (gained + delta) ** power - delta**power

    layer = jax.custom_vjp(plain, nondiff_argnums=(2,))

    def fwd(energy, params, s):
        return plain(energy, params, s), (energy, params)

    def bwd(s, res, g):
        energy, params = res
        log, gained = parts(energy, params, s)
        alpha, delta, root = params["alpha"], params["delta"], params["root"]
        power, sum_ = 1 / root, gained + delta
        dsum = g * power * sum_ ** (power - 1)
        ddelta = dsum - g * power * delta ** (power - 1)
        dpower = g * jnp.log(sum_) * sum_**power
        if slip != "power of the offset":
            dpower = dpower - g * jnp.log(delta) * delta**power
        dlog = -alpha * gained * dsum
        dm = dlog * jnp.exp(-log)
        if slip == "smoother held":
            dm = jnp.zeros_like(dm)

        def back(later, now):
            dnew = later + now
            return (1 - s) * dnew, s * dnew

        start, dsmooth = jax.lax.scan(back, jnp.zeros_like(alpha), dm, reverse=True)
        denergy = dsum * jnp.exp(-alpha * log) + dsmooth
        if slip != "first frame":
            denergy = denergy.at[0].add(start)
        grads = {
            "alpha": -(dsum * gained * log).sum(0),
            "delta": ddelta.sum(0),
            "root": -(dpower.sum(0)) * power**2,
        }
        return denergy, grads

    layer.defvjp(fwd, bwd)
    return layer, plain

"""Imaging: a step of deconvolution, magnetisation under pulses."""

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


@case(
    "Richardson-Lucy deconvolution of microscopes in JAX (chromatix), a fixed kernel",
    "deconvolution",
    lambda rng: (positive(rng, 6, 7), positive(rng, 6, 7)),
    Twin(
        "correction held",
        "term|path",
        "image",
        "The correction that multiplies the image depends on it, too.",
    ),
    Twin(
        "kernel not turned",
        "transpose|swap",
        "image observed",
        "The way back through the adjoint blurs with the turned kernel again.",
    ),
    Twin(
        "borders",
        "factor|ratio|term|region",
        "image observed",
        "At the borders the kernel's sum is less than 1; it divides no gradient.",
    ),
)
def richardson_lucy_step(slip):
    kernel = ((0.05, 0.1, 0.02), (0.15, 0.3, 0.1), (0.08, 0.15, 0.05))
    floor = 1e-3

    def blurred(image, turned=False):
        padded, total = jnp.pad(image, 1), 0
        for i in range(3):
            for j in range(3):
                w = kernel[2 - i][2 - j] if turned else kernel[i][j]
                total = (
                    total + w * padded[i : i + len(image)][:, j : j + image.shape[1]]
                )
        return total

    def parts(image, observed):
        expected = blurred(image) + floor
        correction = blurred(observed / expected, turned=True)
        return expected, correction, blurred(jnp.ones_like(image), turned=True)

    def plain(image, observed):
        _, correction, weight = parts(image, observed)
        return image * correction / weight

    step = jax.custom_vjp(plain)

    def fwd(image, observed):
        return plain(image, observed), (image, observed)

    def bwd(res, g):
        image, observed = res
        expected, correction, weight = parts(image, observed)
        shared = g if slip == "borders" else g / weight
        dratio = blurred(shared * image, turned=slip == "kernel not turned")
        dexpected = -dratio * observed / expected**2
        dimage = shared * correction
        if slip != "correction held":
            dimage = dimage + blurred(dexpected, turned=True)
        return dimage, dratio / expected

    step.defvjp(fwd, bwd)
    return step, plain


def fingerprint(rng):
    rates = {"r1": positive(rng, 4, low=0.3), "r2": positive(rng, 4, low=1, high=4)}
    return normal(rng, 8, mean=0.6, std=0.2), normal(rng, 4), rates, 0.1


@case(
    "Bloch equations of magnetic resonance fingerprinting in JAX, pulse after pulse",
    "magnetic resonance",
    fingerprint,
    Twin(
        "states reversed",
        "residual|index|operand|swap",
        "flips offsets rates",
        "Time runs backwards, the saved states are read forwards.",
    ),
    Twin(
        "recovery held",
        "term|path",
        "rates",
        "The magnetisation that recovers towards 1 has a part with the rate, too.",
    ),
    Twin(
        "receiver",
        "cotangent|sign",
        "flips offsets rates",
        "The imaginary part of the signal is paired with the wrong sign.",
    ),
)
def bloch_rotation_step(slip):
    def pulse(flip, m):
        x, y, z = m
        c, s = jnp.cos(flip), jnp.sin(flip)
        return jnp.stack([x, c * y - s * z, s * y + c * z])

    def decays(offsets, rates, dt):
        e1, e2 = jnp.exp(-dt * rates["r1"]), jnp.exp(-dt * rates["r2"])
        return e1, e2 * jnp.cos(dt * offsets), e2 * jnp.sin(dt * offsets)

    def run(flips, offsets, rates, dt):
        e1, c, s = decays(offsets, rates, dt)

        def step(m, flip):
            x, y, z = tipped = pulse(flip, m)
            free = jnp.stack([c * x - s * y, s * x + c * y, e1 * z + 1 - e1])
            return free, (m, tipped)

        rest = jnp.zeros((3, *offsets.shape), offsets.dtype).at[2].set(1)
        return lax.scan(step, rest, flips)[1]

    def plain(flips, offsets, rates, dt):
        tipped = run(flips, offsets, rates, dt)[1]
        return tipped[:, 0], tipped[:, 1]

    signal = jax.custom_vjp(plain, nondiff_argnums=(3,))

    def fwd(flips, offsets, rates, dt):
        before, tipped = run(flips, offsets, rates, dt)
        out = tipped[:, 0], tipped[:, 1]
        return out, (flips, offsets, rates, before, tipped)

    def bwd(dt, res, g):
        flips, offsets, rates, before, tipped = res
        e1, c, s = decays(offsets, rates, dt)
        if slip == "states reversed":
            before, tipped = before[::-1], tipped[::-1]

        def back(carry, item):
            (dx, dy, dz), de1, dc, ds = carry
            flip, old, (x, y, z), gx, gy = item
            de1 = de1 + dz * (z if slip == "recovery held" else z - 1)
            dc, ds = dc + dx * x + dy * y, ds + dy * x - dx * y
            gy = -gy if slip == "receiver" else gy
            dx, dy, dz = c * dx + s * dy + gx, c * dy - s * dx + gy, e1 * dz
            cos, sin = jnp.cos(flip), jnp.sin(flip)
            turn = dy * (-sin * old[1] - cos * old[2])
            turn = turn + dz * (cos * old[1] - sin * old[2])
            dm = jnp.stack([dx, cos * dy + sin * dz, cos * dz - sin * dy])
            return (dm, de1, dc, ds), turn.sum()

        zero = jnp.zeros_like(offsets)
        start = jnp.zeros_like(before[0]), zero, zero, zero
        items = flips, before, tipped, *g
        (_, de1, dc, ds), dflips = lax.scan(back, start, items, reverse=True)
        dr2 = -dt * (dc * c + ds * s)
        return dflips, dt * (ds * c - dc * s), {"r1": -dt * e1 * de1, "r2": dr2}

    signal.defvjp(fwd, bwd)
    return signal, plain

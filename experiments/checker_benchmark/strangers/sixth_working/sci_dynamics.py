"""Dynamics and signals: implicit midpoints, currents of ions, smooth waveshapers."""

import math

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
    "diffrax.ImplicitMidpoint-like steps of pendulums, pulled back implicitly",
    "time stepping",
    lambda rng: (normal(rng, 2, 5), positive(rng, 5), 0.1, 8),
    Twin(
        "explicit",
        "term|path|factor",
        "state stiffness",
        "A step's end is in its own slope; the solve for that is left out.",
    ),
    Twin(
        "end of the step",
        "residual|operand",
        "state stiffness",
        "The Jacobian is taken at the end of a step, not in its middle.",
    ),
    Twin(
        "not transposed",
        "transpose|swap",
        "state stiffness",
        "The small systems are solved with as in the forward.",
    ),
)
def implicit_midpoint(slip):
    def slope(state, stiffness):
        angle, speed = state
        return jnp.stack([speed, -stiffness * jnp.sin(angle)])

    def run(state, stiffness, dt, steps):
        def step(x, _):
            def better(_, new):
                return x + dt * slope((x + new) / 2, stiffness)

            return lax.fori_loop(0, 25, better, x), x

        return lax.scan(step, state, length=steps)

    def plain(state, stiffness, dt, steps):
        return run(state, stiffness, dt, steps)[0]

    integrate = jax.custom_vjp(plain, nondiff_argnums=(2, 3))

    def fwd(state, stiffness, dt, steps):
        end, starts = run(state, stiffness, dt, steps)
        return end, (stiffness, jnp.concatenate([starts, end[None]]))

    def bwd(dt, steps, res, g):
        stiffness, states = res

        def back(carry, pair):
            (da, db), dstiffness = carry
            old, new = pair
            angle = (new if slip == "end of the step" else (old + new) / 2)[0]
            h, k = dt / 2, -dt / 2 * stiffness * jnp.cos(angle)
            if slip == "not transposed":
                h, k = k, h
            below = 1 - h * k
            left = (da + k * db) / below, (db + h * da) / below
            if slip == "explicit":
                left = da, db
            u, v = left
            dstiffness = dstiffness - dt * v * jnp.sin(angle)
            return (jnp.stack([u + k * v, v + h * u]), dstiffness), None

        start = g, jnp.zeros_like(stiffness)
        return lax.scan(back, start, (states[:-1], states[1:]), reverse=True)[0]

    integrate.defvjp(fwd, bwd)
    return integrate, plain


def membrane(rng):
    inside = jnp.array([1.4, 0.12, 0.1])
    outside = jnp.array([0.05, 1.45, 1.1])
    shares = jnp.array([1.0, 0.04, 0.45])
    return normal(rng, 7, std=2.0), inside, outside, shares, (1, 1, -1)


def without_voltage(rng):
    voltage, *rest = membrane(rng)
    return voltage.at[0].set(0), *rest


@case(
    "currents of ions by Goldman, Hodgkin and Katz, in jaxley-like models",
    "electrophysiology",
    membrane,
    Twin(
        "valence",
        "factor|ratio|sign",
        "voltage",
        "The reduced voltage has the valence in it; its slope loses it.",
    ),
    Twin(
        "flow inwards alone",
        "term|path",
        "voltage",
        "Of the two opposite flows only the one from inside moves with the voltage.",
    ),
    Twin(
        "no voltage",
        "edge|nan|finite",
        "voltage",
        "At a voltage of zero the slopes are zero over zero.",
        witness=without_voltage,
    ),
)
def goldman_hodgkin(slip):
    def bernoulli(u):
        """u / (exp(u) - 1) and its slope."""
        near = jnp.abs(u) < 0.3
        v, s = jnp.where(near, u, 0), jnp.where(near, 1, u)
        w = v * v
        even = w * (1 / 12 - w * (1 / 720 - w * (1 / 30240 - w / 1209600)))
        odd = v * (1 / 6 - w * (1 / 180 - w * (1 / 5040 - w / 151200)))
        far = s / jnp.expm1(s)
        value = jnp.where(near, 1 - v / 2 + even, far)
        if slip == "no voltage":
            return value, value * (1 - value - u) / u
        return value, jnp.where(near, odd - 0.5, far * (1 - far - s) / s)

    def flows(voltage, valences):
        z = jnp.array(valences, voltage.dtype)
        u = voltage[:, None] * z
        return z, bernoulli(-u), bernoulli(u)

    def plain(voltage, inside, outside, shares, valences):
        z, (leaving, _), (entering, _) = flows(voltage, valences)
        return (z * shares * (leaving * inside - entering * outside)).sum(-1)

    current = jax.custom_vjp(plain, nondiff_argnums=(4,))

    def fwd(voltage, inside, outside, shares, valences):
        given = voltage, inside, outside, shares
        return plain(*given, valences), given

    def bwd(valences, res, g):
        voltage, inside, outside, shares = res
        z, (leaving, out_slope), (entering, in_slope) = flows(voltage, valences)
        weight = g[:, None] * z
        bent = -out_slope * inside
        if slip != "flow inwards alone":
            bent = bent - in_slope * outside
        bent = bent * shares * (1 if slip == "valence" else z)
        dinside = (weight * shares * leaving).sum(0)
        doutside = -(weight * shares * entering).sum(0)
        dshares = (weight * (leaving * inside - entering * outside)).sum(0)
        return (weight * bent).sum(-1), dinside, doutside, dshares

    current.defvjp(fwd, bwd)
    return current, plain


def audio(rng):
    return normal(rng, 2, 9), normal(rng, 2), jnp.float32(1.5)


def held_note(rng):
    signal, last, drive = audio(rng)
    return signal.at[0, 3:6].set(0.3), last, drive


@case(
    "antiderivative anti-aliasing of a tanh waveshaper, for audio in JAX",
    "audio",
    audio,
    Twin(
        "sample before",
        "term|path|index",
        "signal last drive",
        "An output hears two samples; the one before gets nothing.",
    ),
    Twin(
        "where samples are close",
        "factor|ratio|constant",
        "signal last drive",
        "In the branch for close samples both ends have the slope of the whole.",
        witness=held_note,
    ),
    Twin(
        "equal samples",
        "edge|nan|finite",
        "signal drive",
        "The branch for close samples is not in the backward pass: zero over zero.",
        witness=held_note,
    ),
    scales=(0.1, 1.0),
    narrow=False,
)
def waveshaper_adaa(slip):
    nodes = -(0.6**0.5), 0.0, 0.6**0.5
    weights = 5 / 18, 8 / 18, 5 / 18

    def log_cosh(z):
        return jnp.logaddexp(z, -z) - math.log(2)

    def ends(signal, last, drive):
        now = drive * signal
        before = jnp.concatenate([drive * last[:, None], now[:, :-1]], 1)
        gap = now - before
        near = jnp.abs(gap) < 0.2
        return now, before, near, jnp.where(near, 1, gap)

    def between(now, before):
        for node, weight in zip(nodes, weights, strict=True):
            yield (1 + node) / 2, weight, (now + before + node * (now - before)) / 2

    def plain(signal, last, drive):
        now, before, near, gap = ends(signal, last, drive)
        close = sum(w * jnp.tanh(z) for _, w, z in between(now, before))
        return jnp.where(near, close, (log_cosh(now) - log_cosh(before)) / gap)

    shape = jax.custom_vjp(plain)

    def fwd(signal, last, drive):
        return plain(signal, last, drive), (signal, last, drive)

    def bwd(res, g):
        signal, last, drive = res
        now, before, near, gap = ends(signal, last, drive)
        value = plain(signal, last, drive)
        if slip == "equal samples":
            near, gap = jnp.zeros_like(near), now - before
        dnow, dbefore = (jnp.tanh(now) - value) / gap, (value - jnp.tanh(before)) / gap
        later, earlier = 0, 0
        for share, weight, z in between(now, before):
            slope = weight * (1 - jnp.tanh(z) ** 2)
            whole = slip == "where samples are close"
            later = later + slope * (1 if whole else share)
            earlier = earlier + slope * (1 if whole else 1 - share)
        dnow, dbefore = (
            g * jnp.where(near, later, dnow),
            g * jnp.where(near, earlier, dbefore),
        )
        if slip == "sample before":
            dbefore = jnp.zeros_like(dbefore)
        dz = dnow + jnp.pad(dbefore[:, 1:], ((0, 0), (0, 1)))
        ddrive = (dz * signal).sum() + (dbefore[:, 0] * last).sum()
        return drive * dz, drive * dbefore[:, 0], ddrive

    shape.defvjp(fwd, bwd)
    return shape, plain

"""Recurrences of signals and of nature: delays, reservoirs and synapses."""

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
    "modulated delay of a chorus with linear interpolation (torchaudio) in jax ports",
    "interpolation in a delay line",
    lambda rng: (normal(rng, 9, 2), positive(rng, 9, low=-0.5, high=5.0), 4, 0.7),
    Twin(
        "before the beginning",
        "index|mask|edge",
        "sound",
        "Reads from before the sound give their gradient to its end.",
    ),
    Twin(
        "reads overwritten",
        "duplicates|index|sum",
        "sound",
        "A sample that is read several times gets the last gradient.",
    ),
    Twin(
        "clamped delay",
        "mask|region",
        "delay",
        "Delays out of range have a gradient.",
        witness=lambda rng: (
            normal(rng, 9, 2),
            positive(rng, 9, low=3.2, high=5.0),
            3.5,
            0.7,
        ),
    ),
)
def delay_line_read(slip):
    def reads(sound, delay, longest):
        held = jnp.where(delay > 0, jnp.where(delay < longest, delay, longest), 0)
        whole = jnp.floor(held)
        near = jnp.arange(len(sound)) - whole.astype(jnp.int32)
        return near, (held - whole)[:, None]

    def sample(sound, at):
        return jnp.where((at >= 0)[:, None], sound[jnp.maximum(at, 0)], 0)

    def plain(sound, delay, longest, wet):
        near, part = reads(sound, delay, longest)
        late = (1 - part) * sample(sound, near) + part * sample(sound, near - 1)
        return sound + wet * late

    effect = jax.custom_vjp(plain, nondiff_argnums=(2, 3))

    def fwd(sound, delay, longest, wet):
        return plain(sound, delay, longest, wet), (sound, delay)

    def bwd(longest, wet, res, g):
        sound, delay = res
        near, part = reads(sound, delay, longest)
        dlate = wet * g
        dsound = g
        for at, share in ((near, 1 - part), (near - 1, part)):
            each = dlate * share
            if slip != "before the beginning":
                each = jnp.where((at >= 0)[:, None], each, 0)
                at = jnp.maximum(at, 0)
            if slip == "reads overwritten":
                dsound = dsound + jnp.zeros_like(g).at[at].set(each)
            else:
                dsound = dsound.at[at].add(each)
        ddelay = (dlate * (sample(sound, near - 1) - sample(sound, near))).sum(-1)
        if slip != "clamped delay":
            ddelay = jnp.where((delay > 0) & (delay < longest), ddelay, 0)
        return dsound, ddelay

    effect.defvjp(fwd, bwd)
    return effect, plain


@case(
    "Schroeder allpass of differentiable reverbs (FLAMO) in jax ports",
    "recursive filter in blocks",
    lambda rng: (normal(rng, 11, 2), normal(rng, 2, mean=0.5, std=0.2), 3),
    Twin(
        "delayed input",
        "term|path",
        "sound",
        "The input's second path, through the delay, is left out.",
    ),
    Twin(
        "feedback",
        "term|path|residual",
        "gain",
        "The gain's gradient lacks its place in the feedback.",
    ),
    Twin(
        "delayed output",
        "index|residual|operand",
        "gain",
        "The feedback's gradient takes the output where the delayed one belongs.",
    ),
    narrow=False,
)
def allpass_diffuser(slip):
    def blocks(a, delay):
        a = jnp.pad(a, ((0, -len(a) % delay), (0, 0)))
        return a.reshape(-1, delay, a.shape[-1])

    def plain(sound, gain, delay):
        def step(last, x):
            x_last, y_last = last
            y = x_last + gain * (y_last - x)
            return (x, y), y

        x = blocks(sound, delay)
        y = lax.scan(step, (jnp.zeros_like(x[0]),) * 2, x)[1]
        return y.reshape(-1, len(gain))[: len(sound)]

    effect = jax.custom_vjp(plain, nondiff_argnums=(2,))

    def fwd(sound, gain, delay):
        y = plain(sound, gain, delay)
        return y, (sound, gain, y)

    def bwd(delay, res, g):
        sound, gain, y = res
        x, y, gy = (blocks(a, delay) for a in (sound, y, g))
        before = jnp.concatenate([jnp.zeros_like(y[:1]), y[:-1]])

        def step(later, gy):
            adjoint = gy + gain * later
            dx = -gain * adjoint
            return adjoint, (adjoint, dx if slip == "delayed input" else dx + later)

        _, (adjoint, dx) = lax.scan(step, jnp.zeros_like(gy[0]), gy, reverse=True)
        back = y if slip == "delayed output" else before
        each = -x if slip == "feedback" else back - x
        dgain = (adjoint * each).sum((0, 1))
        return dx.reshape(-1, len(gain))[: len(sound)], dgain

    effect.defvjp(fwd, bwd)
    return effect, plain


@case(
    "cascade of linear reservoirs (Nash) of differentiable hydrology (HydroDL)",
    "recurrence with two outputs",
    lambda rng: (positive(rng, 7), positive(rng, 3), normal(rng, 3)),
    Twin(
        "storage after release",
        "residual|operand",
        "theta",
        "The storage that is saved is the one after the release.",
    ),
    Twin(
        "slope of the sigmoid",
        "factor|term|function",
        "theta",
        "The map from the parameter to the release is not differentiated.",
    ),
    Twin(
        "storage at the end",
        "term|path|zero",
        "inflow start theta",
        "The cotangent of the last storages is dropped.",
    ),
    narrow=False,
)
def linear_reservoirs(slip):
    def simulate(inflow, start, theta):
        share = jax.nn.sigmoid(theta)

        def step(stored, water):
            filled = []
            for n in range(len(theta)):
                filled.append(stored[n] + water)
                water = share[n] * filled[-1]
            filled = jnp.stack(filled)
            return (1 - share) * filled, (water, filled)

        end, (flow, filled) = lax.scan(step, start, inflow)
        return (flow, end), filled

    @jax.custom_vjp
    def cascade(inflow, start, theta):
        return simulate(inflow, start, theta)[0]

    def fwd(inflow, start, theta):
        out, filled = simulate(inflow, start, theta)
        if slip == "storage after release":
            filled = (1 - jax.nn.sigmoid(theta)) * filled
        return out, (filled, theta)

    def bwd(res, g):
        filled, theta = res
        gflow, gend = g
        if slip == "storage at the end":
            gend = jnp.zeros_like(gend)
        share, rest = jax.nn.sigmoid(theta), jax.nn.sigmoid(-theta)

        def step(carry, at):
            gstored, dshare = carry
            gwater, filled = at
            dfilled = [None] * len(theta)
            for n in reversed(range(len(theta))):
                dshare = dshare.at[n].add((gwater - gstored[n]) * filled[n])
                gwater = share[n] * gwater + rest[n] * gstored[n]
                dfilled[n] = gwater
            return (jnp.stack(dfilled), dshare), gwater

        carry = (gend, jnp.zeros_like(theta))
        (dstart, dshare), dinflow = lax.scan(step, carry, (gflow, filled), reverse=True)
        if slip != "slope of the sigmoid":
            dshare = dshare * share * rest
        return dinflow, dstart, dshare

    cascade.defvjp(fwd, bwd)
    return cascade, cascade.fun


def synapses(rng):
    state = {"u": positive(rng, 5, low=0.1, high=0.6), "x": positive(rng, 5, high=0.9)}
    rates = {"use": positive(rng, 5, low=0.2, high=0.6)}
    rates |= {"u": jnp.float32(1.5), "x": jnp.float32(4.0)}
    return state, positive(rng, 5, low=0.0, high=1.0), rates, 0.1


@case(
    "short-term plasticity (Tsodyks-Markram) in brainpy",
    "step of synapses with pytrees",
    synapses,
    Twin(
        "facilitated use",
        "residual|operand",
        "state spikes",
        "The release is pulled back with the use before the spike.",
    ),
    Twin(
        "resource spent",
        "term|path",
        "state spikes rates",
        "The release is not taken from the resource in the backward.",
    ),
    Twin(
        "baseline of use",
        "term|path",
        "rates",
        "The use that facilitation returns to has no gradient.",
    ),
)
def tsodyks_markram_step(slip):
    def pieces(state, spikes, rates):
        used = state["u"] + rates["use"] * (1 - state["u"]) * spikes
        release = used * state["x"] * spikes
        return used, release, state["x"] - release

    def plain(state, spikes, rates, dt):
        used, release, left = pieces(state, spikes, rates)
        u = rates["use"] + (used - rates["use"]) * jnp.exp(-dt * rates["u"])
        x = 1 - (1 - left) * jnp.exp(-dt * rates["x"])
        return {"u": u, "x": x}, release

    step = jax.custom_vjp(plain, nondiff_argnums=(3,))

    def fwd(state, spikes, rates, dt):
        return plain(state, spikes, rates, dt), (state, spikes, rates)

    def bwd(dt, res, g):
        state, spikes, rates = res
        gstate, grelease = g
        used, _, left = pieces(state, spikes, rates)
        fade, heal = jnp.exp(-dt * rates["u"]), jnp.exp(-dt * rates["x"])
        dleft = gstate["x"] * heal
        dheal = (gstate["x"] * (1 - left)).sum() * dt * heal
        dfade = -(gstate["u"] * (used - rates["use"])).sum() * dt * fade
        drelease = grelease if slip == "resource spent" else grelease - dleft
        dused = gstate["u"] * fade + drelease * state["x"] * spikes
        duse = dused * (1 - state["u"]) * spikes
        if slip != "baseline of use":
            duse = duse + gstate["u"] * (1 - fade)
        at = state["u"] if slip == "facilitated use" else used
        dx = dleft + drelease * at * spikes
        du = dused * (1 - rates["use"] * spikes)
        dspikes = dused * rates["use"] * (1 - state["u"])
        dspikes = dspikes + drelease * at * state["x"]
        return {"u": du, "x": dx}, dspikes, {"use": duse, "u": dfade, "x": dheal}

    step.defvjp(fwd, bwd)
    return step, plain

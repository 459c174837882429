"""Lattices, oscillators and spectra."""

import jax
import jax.numpy as jnp
from jax import lax

from experiments.checker_benchmark.strangers.record import (
    Stranger,
    Twin,
    collect,
    draw,
    normal,
    positive,
)

CASES: list[Stranger] = []
case = collect(CASES)


@case(
    "U(1) gauge action in flow-based samplers of lattice theories",
    "lattice",
    lambda rng: (normal(rng, 3, 2, 4, 5), jnp.float32(1.3)),
    Twin(
        "rolled the same way",
        "transpose|shift|index|direction",
        "links",
        "The shifted links are put back by the shift itself, not by its inverse.",
    ),
    Twin(
        "last side",
        "sign|ratio",
        "links",
        "A side of the plaquette that is run backwards gets the other sign.",
    ),
    Twin(
        "batch summed",
        "axis|sum|factor|ratio",
        "beta",
        "The coupling's gradient ignores the cotangents of the configurations.",
    ),
    narrow=False,
)
def plaquette_action(slip):
    def plaquettes(links):
        a, b = links[:, 0], links[:, 1]
        return a + jnp.roll(b, -1, 1) - jnp.roll(a, -1, 2) - b

    @jax.custom_vjp
    def action(links, beta):
        return beta * (1 - jnp.cos(plaquettes(links))).sum((1, 2))

    def fwd(links, beta):
        return action.fun(links, beta), (links, beta)

    def bwd(res, g):
        links, beta = res
        angle = plaquettes(links)
        d = g[:, None, None] * beta * jnp.sin(angle)
        back = -1 if slip == "rolled the same way" else 1
        da = d - jnp.roll(d, back, 2)
        db = jnp.roll(d, back, 1)
        db = db + d if slip == "last side" else db - d
        each = (1 - jnp.cos(angle)).sum((1, 2))
        if slip != "batch summed":
            each = g * each
        return jnp.stack([da, db], 1), each.sum()

    action.defvjp(fwd, bwd)
    return action, action.fun


@case(
    "scalar field action in normalising flows for lattice theories",
    "lattice",
    lambda rng: (normal(rng, 2, 4, 4), jnp.float32(-0.5), jnp.float32(1.2)),
    Twin(
        "one neighbour",
        "term|path|index",
        "field",
        "A site is its earlier neighbour's neighbour too; that part is forgotten.",
    ),
    Twin(
        "quartic",
        "factor|ratio",
        "field",
        "The fourth power is divided by 24; its derivative by 24 too, without the 4.",
    ),
    Twin(
        "batch averaged",
        "sum|ratio|factor",
        "mass",
        "The mass gets the mean over the configurations, not the sum.",
    ),
)
def phi4_lattice_action(slip):
    @jax.custom_vjp
    def action(field, mass, coupling):
        steps = [jnp.roll(field, -1, axis) - field for axis in (1, 2)]
        kinetic = 0.5 * sum(step**2 for step in steps)
        density = kinetic + 0.5 * mass * field**2 + coupling / 24 * field**4
        return density.sum((1, 2))

    def fwd(field, mass, coupling):
        return action.fun(field, mass, coupling), (field, mass, coupling)

    def bwd(res, g):
        field, mass, coupling = res
        below = 24 if slip == "quartic" else 6
        force = mass * field + coupling / below * field**3
        for axis in (1, 2):
            force = force + field - jnp.roll(field, -1, axis)
            if slip != "one neighbour":
                force = force + field - jnp.roll(field, 1, axis)
        dmass = 0.5 * g * (field**2).sum((1, 2))
        dmass = dmass.mean() if slip == "batch averaged" else dmass.sum()
        dcoupling = (g * (field**4).sum((1, 2))).sum() / 24
        return g[:, None, None] * force, dmass, dcoupling

    action.defvjp(fwd, bwd)
    return action, action.fun


@case(
    "Kuramoto oscillators in neural synchronisation layers",
    "coupled oscillators",
    lambda rng: (*draw(phase=(5,), frequency=(5,), coupling=(5, 5))(rng), 0.3),
    Twin(
        "own phase",
        "term|path",
        "phase",
        "An oscillator's own phase inside the sines is taken as a constant.",
    ),
    Twin(
        "coupling transposed",
        "transpose|swap",
        "phase",
        "The cotangent runs along the couplings, not against them.",
    ),
    Twin(
        "number of oscillators",
        "factor|ratio|sum",
        "coupling",
        "The sum over the others is divided by their number, not so in the backward.",
    ),
    fixed=(0,),
    narrow=False,
)
def kuramoto_step(slip):
    def plain(phase, frequency, coupling, dt):
        pull = coupling * jnp.sin(phase[None] - phase[:, None])
        return phase + dt * (frequency + pull.mean(1))

    step = jax.custom_vjp(plain, nondiff_argnums=(3,))

    def fwd(phase, frequency, coupling, dt):
        return plain(phase, frequency, coupling, dt), (phase, coupling)

    def bwd(dt, res, g):
        phase, coupling = res
        ahead = phase[None] - phase[:, None]
        share = dt * g / len(g)
        strength = coupling.T if slip == "coupling transposed" else coupling
        d = share[:, None] * strength * jnp.cos(ahead)
        dphase = g + d.sum(0)
        if slip != "own phase":
            dphase = dphase - d.sum(1)
        if slip == "number of oscillators":
            share = dt * g
        return dphase, dt * g, share[:, None] * jnp.sin(ahead)

    step.defvjp(fwd, bwd)
    return step, plain


@case(
    "viscous Burgers equation in differentiable solvers",
    "time stepping",
    lambda rng: (normal(rng, 8), positive(rng, low=0.1, high=0.4), 0.05, 4),
    Twin(
        "after the step",
        "residual|index|shift",
        "start viscosity",
        "The states after the steps are kept, the steps used those before.",
    ),
    Twin(
        "slope's transpose",
        "transpose|sign|direction",
        "start viscosity",
        "The central difference is its own transpose only up to the sign.",
    ),
    Twin(
        "velocity that carries",
        "term|path",
        "start viscosity",
        "The carrying velocity is taken as a constant.",
    ),
    fixed=(1,),
    narrow=False,
    scales=(0.1, 1.0),
)
def burgers_rollout(slip):
    def slope(u):
        return 0.5 * (jnp.roll(u, -1) - jnp.roll(u, 1))

    def bend(u):
        return jnp.roll(u, -1) - 2 * u + jnp.roll(u, 1)

    def roll(start, viscosity, dt, count):
        def step(u, _):
            new = u + dt * (viscosity * bend(u) - u * slope(u))
            return new, new if slip == "after the step" else u

        return lax.scan(step, start, length=count)

    def plain(start, viscosity, dt, count):
        return roll(start, viscosity, dt, count)[0]

    rollout = jax.custom_vjp(plain, nondiff_argnums=(2, 3))

    def fwd(start, viscosity, dt, count):
        last, states = roll(start, viscosity, dt, count)
        return last, (states, viscosity)

    def bwd(dt, count, res, g):
        states, viscosity = res

        def step(carry, u):
            a, dviscosity = carry
            turned = -1 if slip != "slope's transpose" else 1
            d = viscosity * bend(a) - turned * slope(u * a)
            if slip != "velocity that carries":
                d = d - slope(u) * a
            return (a + dt * d, dviscosity + dt * (a * bend(u)).sum()), None

        start = (g, jnp.zeros_like(viscosity))
        return lax.scan(step, start, states, reverse=True)[0]

    rollout.defvjp(fwd, bwd)
    return rollout, plain


@case(
    "spectral_centroid of librosa and torchaudio",
    "spectrum",
    lambda rng: (normal(rng, 3, 8), 16.0),
    Twin(
        "quotient",
        "term|path|affine",
        "x",
        "The sum of the magnitudes, by which is divided, is taken as a constant.",
    ),
    Twin(
        "inner bins twice",
        "factor|ratio",
        "x",
        "The one-sided spectrum is pulled back as if the mirrored bins counted too.",
    ),
    Twin(
        "conjugate",
        "sign|transpose|function",
        "x",
        "The spectrum's cotangent is turned back by the transform itself.",
    ),
    narrow=False,
)
def spectral_centroid(slip):
    def magnitudes(x, rate):
        spectrum = jnp.fft.rfft(x)
        size = jnp.sqrt(spectrum.real**2 + spectrum.imag**2 + 1e-2)
        return spectrum, size, jnp.fft.rfftfreq(x.shape[-1], 1 / rate).astype(x.dtype)

    def plain(x, rate):
        _, size, frequency = magnitudes(x, rate)
        return (size * frequency).sum(-1) / size.sum(-1)

    centroid = jax.custom_vjp(plain, nondiff_argnums=(1,))

    def fwd(x, rate):
        centre = plain(x, rate)
        return centre, (x, centre)

    def bwd(rate, res, g):
        x, centre = res
        spectrum, size, frequency = magnitudes(x, rate)
        off = frequency - centre[:, None]
        if slip == "quotient":
            off = jnp.broadcast_to(frequency, off.shape)
        d = (g / size.sum(-1))[:, None] * off / size * spectrum
        length = x.shape[-1]
        if slip == "inner bins twice":
            return (length * jnp.fft.irfft(d, length),)
        if slip == "conjugate":
            return (jnp.fft.fft(d, length).real,)
        return (length * jnp.fft.ifft(d, length).real,)

    centroid.defvjp(fwd, bwd)
    return centroid, plain

"""Tones, gases, dust and maps of the sky."""

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
    "Goertzel detectors of single tones",
    "recursive filter",
    lambda rng: (normal(rng, 7), positive(rng, 3, low=0.3, high=2.5)),
    Twin(
        "last formula",
        "term|path",
        "frequency",
        "The frequency is in the recursion and in the last formula; one is forgotten.",
    ),
    Twin(
        "two steps back",
        "sign|ratio",
        "x frequency",
        "The state of two steps ago is subtracted; its gradient is added.",
    ),
    Twin(
        "tones averaged",
        "sum|ratio|factor",
        "x",
        "The signal gets the mean over the tones, not the sum.",
    ),
    fixed=(1,),
    narrow=False,
)
def goertzel_power(slip):
    def run(x, frequency):
        c = 2 * jnp.cos(frequency)

        def step(state, x):
            one, two = state
            return (x + c * one - two, one), one

        zeros = jnp.zeros_like(frequency)
        return c, *lax.scan(step, (zeros, zeros), x)

    @jax.custom_vjp
    def power(x, frequency):
        c, (one, two), _ = run(x, frequency)
        return one**2 + two**2 - c * one * two

    def fwd(x, frequency):
        c, (one, two), states = run(x, frequency)
        return one**2 + two**2 - c * one * two, (frequency, c, one, two, states)

    def bwd(res, g):
        frequency, c, one, two, states = res
        done, dtwo = g * (2 * one - c * two), g * (2 * two - c * one)
        dc = 0 if slip == "last formula" else -g * one * two

        def step(carry, before):
            done, dtwo, dc = carry
            down = done if slip == "two steps back" else -done
            return (c * done + dtwo, down, dc + done * before), done

        start = (done, dtwo, dc + jnp.zeros_like(g))
        (_, _, dc), dx = lax.scan(step, start, states, reverse=True)
        dx = dx.mean(1) if slip == "tones averaged" else dx.sum(1)
        return dx, -2 * dc * jnp.sin(frequency)

    power.defvjp(fwd, bwd)
    return power, power.fun


@case(
    "competitive Langmuir isotherms in chromatography models",
    "adsorption",
    lambda rng: (positive(rng, 5, 3), positive(rng, 3), positive(rng, 3)),
    Twin(
        "other gases",
        "term|path|sum",
        "pressure affinity",
        "The others' competition for the sites is forgotten.",
    ),
    Twin(
        "pressure and affinity",
        "swap|operand",
        "pressure",
        "The pressure's gradient is multiplied by the pressure.",
    ),
    Twin(
        "states averaged",
        "sum|ratio|factor",
        "capacity",
        "The capacity gets the mean over the states, not the sum.",
    ),
)
def langmuir_competitive(slip):
    def occupancy(pressure, affinity):
        x = jax.nn.relu(pressure) * jax.nn.relu(affinity)
        return x / (1 + x.sum(-1, keepdims=True)), 1 + x.sum(-1, keepdims=True)

    @jax.custom_vjp
    def loading(pressure, affinity, capacity):
        return capacity * occupancy(pressure, affinity)[0]

    def fwd(pressure, affinity, capacity):
        return loading.fun(pressure, affinity, capacity), (pressure, affinity, capacity)

    def bwd(res, g):
        pressure, affinity, capacity = res
        share, free = occupancy(pressure, affinity)
        dshare = g * capacity
        dx = dshare / free
        if slip != "other gases":
            dx = dx - (dshare * share).sum(-1, keepdims=True) / free
        by = pressure if slip == "pressure and affinity" else affinity
        dp = jnp.where(pressure > 0, dx * jax.nn.relu(by), 0)
        da = jnp.where(affinity > 0, (dx * jax.nn.relu(pressure)).sum(0), 0)
        each = g * share
        dcapacity = each.mean(0) if slip == "states averaged" else each.sum(0)
        return dp, da, dcapacity

    loading.defvjp(fwd, bwd)
    return loading, loading.fun


def law_of(rng):
    curve = {"slope": positive(rng, 6), "offset": normal(rng, 6, std=0.3)}
    return {**curve, "total": jnp.float32(3.1)}


@case(
    "dust attenuation of spectra in prospector and dsps",
    "extinction",
    lambda rng: (positive(rng, 4, 6), positive(rng, 4, high=0.8), law_of(rng)),
    Twin(
        "natural logarithm",
        "factor|ratio",
        "reddening curve",
        "Magnitudes are powers of ten; the logarithm of ten is forgotten.",
    ),
    Twin(
        "brighter",
        "sign|ratio",
        "reddening curve",
        "The attenuation makes fainter, its gradient brighter.",
    ),
    Twin(
        "reddening summed",
        "axis|sum|affine",
        "reddening",
        "The gradient is summed over the galaxies too.",
    ),
)
def dust_reddening(slip):
    ten = 0.4 * 2.302585092994046

    def faded(reddening, curve):
        law = curve["slope"] * curve["total"] + curve["offset"]
        return law, jnp.exp(-ten * jax.nn.relu(reddening)[:, None] * law)

    @jax.custom_vjp
    def attenuate(flux, reddening, curve):
        return flux * faded(reddening, curve)[1]

    def fwd(flux, reddening, curve):
        return attenuate.fun(flux, reddening, curve), (flux, reddening, curve)

    def bwd(res, g):
        flux, reddening, curve = res
        law, left = faded(reddening, curve)
        scale = 0.4 if slip == "natural logarithm" else ten
        scale = scale if slip == "brighter" else -scale
        dboth = scale * g * flux * left
        dred = jnp.where(reddening > 0, (dboth * law).sum(1), 0)
        if slip == "reddening summed":
            dred = jnp.full_like(dred, dred.sum())
        dlaw = (dboth * jax.nn.relu(reddening)[:, None]).sum(0)
        dcurve = {
            "slope": dlaw * curve["total"],
            "total": (dlaw * curve["slope"]).sum(),
            "offset": dlaw,
        }
        return g * left, dred, dcurve

    attenuate.defvjp(fwd, bwd)
    return attenuate, attenuate.fun


def field(far):
    def args(rng):
        return normal(rng, 6, 2, std=0.3).at[0, 0].set(far), normal(rng, 2, std=0.2)

    return args


@case(
    "gnomonic projection of astropy's wcs in weak-lensing pipelines",
    "map projection",
    field(0.4),
    Twin(
        "denominator",
        "term|path",
        "sky centre",
        "The cosine of the distance by which all is divided is taken as a constant.",
    ),
    Twin(
        "centre's longitude",
        "sign|ratio",
        "centre",
        "Longitudes are relative to the centre's, whose gradient has the wrong sign.",
    ),
    Twin(
        "horizon",
        "mask|region|predicate",
        "sky centre",
        "Beyond the horizon the denominator is clamped, its gradient is not.",
        witness=field(2.2),
    ),
    narrow=False,
)
def gnomonic_projection(slip):
    least = 0.05

    def pieces(sky, centre):
        ahead = sky[:, 0] - centre[0]
        (s, c), (s0, c0) = ((jnp.sin(a), jnp.cos(a)) for a in (sky[:, 1], centre[1]))
        near = s0 * s + c0 * c * jnp.cos(ahead)
        bottom = jnp.maximum(near, least)
        up = c0 * s - s0 * c * jnp.cos(ahead)
        return ahead, s, c, s0, c0, near, bottom, c * jnp.sin(ahead), up

    @jax.custom_vjp
    def project(sky, centre):
        *_, bottom, right, up = pieces(sky, centre)
        return jnp.stack([right, up], 1) / bottom[:, None]

    def fwd(sky, centre):
        return project.fun(sky, centre), (sky, centre)

    def bwd(res, g):
        ahead, s, c, s0, c0, near, bottom, right, up = pieces(*res)
        dright, dup = (g / bottom[:, None]).T
        dnear = -(dright * right + dup * up) / bottom
        if slip == "denominator":
            dnear = jnp.zeros_like(dnear)
        if slip != "horizon":
            dnear = jnp.where(near > least, dnear, 0)
        cosine, sine = jnp.cos(ahead), jnp.sin(ahead)
        dahead = dright * c * cosine + dup * s0 * c * sine - dnear * c0 * c * sine
        dlat = dup * (c0 * c + s0 * s * cosine) - dright * s * sine
        dlat = dlat + dnear * (s0 * c - c0 * s * cosine)
        dlat0 = -(dup * near).sum() + (dnear * up).sum()
        dlon0 = dahead.sum() if slip == "centre's longitude" else -dahead.sum()
        return jnp.stack([dahead, dlat], 1), jnp.stack([dlon0, dlat0])

    project.defvjp(fwd, bwd)
    return project, project.fun

"""Earth and sound: thermal radiation, a compressor's knee, melting snow."""

import jax
import jax.numpy as jnp
import numpy as np
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


def channels(rng):
    return positive(rng, 7, low=4.0, high=15.0), positive(rng, 7, low=220, high=320)


def cold_and_short(rng):
    wavelengths, temperatures = channels(rng)
    return wavelengths.at[0].set(0.05), temperatures.at[0].set(3.0)


@case(
    "Planck's law for channels of satellites in JAX retrievals, in micrometres",
    "radiation",
    channels,
    Twin(
        "Wien's slope",
        "term|factor|function|ratio",
        "wavelengths temperatures",
        "The slope is that of an exponential; the 1 in the divisor is forgotten.",
    ),
    Twin(
        "fifth power",
        "term|path",
        "wavelengths",
        "The wavelength acts by the exponent alone, not by its fifth power.",
    ),
    Twin(
        "overflow",
        "edge|nan|finite",
        "wavelengths temperatures",
        "An exponential that is infinite is divided by another one.",
        witness=cold_and_short,
    ),
    scales=(0.5, 1.0, 2.0),
    narrow=False,
)
def planck_radiance(slip):
    front, second = 1.191042972e8, 14387.76877

    def plain(wavelengths, temperatures):
        x = second / (wavelengths * temperatures)
        return front / wavelengths**5 * jnp.exp(-x) / -jnp.expm1(-x)

    radiance = jax.custom_vjp(plain)

    def fwd(wavelengths, temperatures):
        out = plain(wavelengths, temperatures)
        return out, (wavelengths, temperatures, out)

    def bwd(res, g):
        wavelengths, temperatures, out = res
        x = second / (wavelengths * temperatures)
        if slip == "overflow":
            steep = x * jnp.exp(x) / jnp.expm1(x)
        elif slip == "Wien's slope":
            steep = x
        else:
            steep = x / -jnp.expm1(-x)
        power = 0 if slip == "fifth power" else 5
        dwavelengths = g * out * (steep - power) / wavelengths
        return dwavelengths, g * out * steep / temperatures

    radiance.defvjp(fwd, bwd)
    return radiance, plain


def track(rng):
    return normal(rng, 2, 12, std=0.3), jnp.float32(-15.0), jnp.float32(4.0), 12.0


def with_silence(rng):
    signal, *rest = track(rng)
    return signal.at[0, :3].set(0), *rest


@case(
    "gain computers with a soft knee of differentiable compressors (dasp) in JAX",
    "audio",
    track,
    Twin(
        "gain held",
        "term|path",
        "signal",
        "The gain that multiplies a sample follows from it.",
    ),
    Twin(
        "knee",
        "factor|ratio|constant|region",
        "signal threshold",
        "In the knee, which is a parabola, the slope lacks its 2.",
    ),
    Twin(
        "silence",
        "edge|nan|finite",
        "signal",
        "Samples of zero divide on the way through the decibels.",
        witness=with_silence,
    ),
    fixed=(1, 2),
)
def dynamic_range_compressor_knee(slip):
    decibels = 20 / float(np.log(10))

    def computer(signal, threshold, knee):
        """The level over the threshold by a knee, and the slope of that."""
        size = jnp.abs(signal)
        heard = size > 1e-6
        over = decibels * jnp.log(jnp.where(heard, size, 1)) - threshold
        inside = (over + knee / 2) ** 2 / (2 * knee)
        bent = jnp.where(over < knee / 2, inside, over)
        tangent = (over + knee / 2) / ((2 if slip == "knee" else 1) * knee)
        slope = jnp.where(over < knee / 2, tangent, 1)
        works = heard & (over > -knee / 2)
        return jnp.where(works, bent, 0), jnp.where(works, slope, 0)

    def plain(signal, threshold, ratio, knee):
        over, _ = computer(signal, threshold, knee)
        return signal * jnp.exp((1 / ratio - 1) * over / decibels)

    compress = jax.custom_vjp(plain, nondiff_argnums=(3,))

    def fwd(signal, threshold, ratio, knee):
        return plain(signal, threshold, ratio, knee), (signal, threshold, ratio)

    def bwd(knee, res, g):
        signal, threshold, ratio = res
        over, slope = computer(signal, threshold, knee)
        less = 1 / ratio - 1
        gain = jnp.exp(less * over / decibels)
        dgain = g * signal * gain / decibels
        dover = dgain * less * slope
        if slip == "gain held":
            dsignal = g * gain
        elif slip == "silence":
            dsignal = g * gain + dover * decibels / signal
        else:
            dsignal = g * gain * (1 + less * slope)
        return dsignal, -dover.sum(), -(dgain * over).sum() / ratio**2

    compress.defvjp(fwd, bwd)
    return compress, plain


def winter(rng):
    days = np.linspace(-6, 8, 14)
    temperature = jnp.asarray(days, jnp.float32) + normal(rng, 14, std=2.0)
    parameters = {"factor": jnp.float32(2.5), "onset": jnp.float32(0.5)}
    return temperature, positive(rng, 14, low=0.0, high=8.0), parameters, 1.0


@case(
    "degree-day models of snow in differentiable hydrology (HBV in JAX), day by day",
    "hydrology",
    winter,
    Twin(
        "all of it melts",
        "mask|region|predicate",
        "temperature p",
        "No more can melt than there is; where that binds, degrees still count.",
    ),
    Twin(
        "cold days",
        "mask|region|predicate",
        "temperature p",
        "Days below the onset have the slope of days that melt.",
    ),
    Twin(
        "snow of yesterday",
        "term|path",
        "temperature precipitation p",
        "The store that a day hands to the next carries no gradient.",
    ),
    scales=(0.5, 1.0, 2.0),
)
def snow_melt_degree_day(slip):
    def excess(warmth, p):
        over = warmth - p["onset"]
        return jnp.where(over > 0, over, 0)

    def run(temperature, precipitation, p, freezing):
        def day(store, weather):
            warmth, water = weather
            snows = warmth < freezing
            full = store + jnp.where(snows, water, 0)
            could = p["factor"] * excess(warmth, p)
            melt = jnp.where(could > full, full, could)
            return full - melt, (melt + jnp.where(snows, 0, water), full)

        zero = jnp.zeros((), temperature.dtype)
        return lax.scan(day, zero, (temperature, precipitation))

    def plain(temperature, precipitation, p, freezing):
        left, (runoff, _) = run(temperature, precipitation, p, freezing)
        return runoff, left

    snow = jax.custom_vjp(plain, nondiff_argnums=(3,))

    def fwd(temperature, precipitation, p, freezing):
        left, (runoff, full) = run(temperature, precipitation, p, freezing)
        return (runoff, left), (temperature, p, full)

    def bwd(freezing, res, g):
        temperature, p, full = res

        def back(carry, item):
            dstore, dfactor, donset = carry
            drunoff, warmth, full = item
            over = excess(warmth, p)
            limited = p["factor"] * over > full
            dmelt = drunoff - dstore
            dfull = dstore + jnp.where(limited, dmelt, 0)
            if slip != "all of it melts":
                dmelt = jnp.where(limited, 0, dmelt)
            dcould = dmelt if slip == "cold days" else jnp.where(over > 0, dmelt, 0)
            dfactor = dfactor + dcould * over
            donset = donset - p["factor"] * dcould
            dwater = jnp.where(warmth < freezing, dfull, drunoff)
            before = 0 * dfull if slip == "snow of yesterday" else dfull
            return (before, dfactor, donset), (p["factor"] * dcould, dwater)

        drunoff, dleft = g
        zero = jnp.zeros((), dleft.dtype)
        items = drunoff, temperature, full
        out, (dwarmth, dwater) = lax.scan(
            back, (dleft, zero, zero), items, reverse=True
        )
        return dwarmth, dwater, {"factor": out[1], "onset": out[2]}

    snow.defvjp(fwd, bwd)
    return snow, plain

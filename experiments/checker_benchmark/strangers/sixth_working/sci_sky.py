"""Sky and climate: lenses of dark matter, condensing vapour, a spectral solve."""

import jax
import jax.numpy as jnp
import numpy as np

from experiments.checker_benchmark.strangers.record import (
    Stranger,
    Twin,
    collect,
    normal,
    positive,
)

CASES: list[Stranger] = []
case = collect(CASES)


def lens(rng):
    return normal(rng, 8, 2), normal(rng, 2, std=0.1), jnp.float32(0.3), jnp.float32(1)


def on_the_scale_radius(rng):
    places, centre, strength, radius = lens(rng)
    return places.at[0].set(jnp.array([0.0, 1.0])), 0 * centre, strength, radius


@case(
    "JAXtronomy's NFW lens: deflections by a halo of dark matter",
    "gravitational lensing",
    lens,
    Twin(
        "profile held",
        "term|path",
        "places centre",
        "The deflection is taken for linear in the place; its profile does not move.",
    ),
    Twin(
        "centre's sign",
        "sign|ratio",
        "centre",
        "The centre has the gradient of the places.",
    ),
    Twin(
        "on the scale radius",
        "edge|nan|finite",
        "places radius centre",
        "Where the radius is the scale's, the profile's slope is zero over zero.",
        witness=on_the_scale_radius,
    ),
    narrow=False,
)
def nfw_deflection(slip):
    def profile(y):
        """Of the squared radius: h / y and the slope of it."""
        s = 1 - y
        near = jnp.abs(s) < 0.1
        inside = jnp.sqrt(jnp.where(s >= 0.1, s, 0.5))
        outside = jnp.sqrt(jnp.where(s <= -0.1, -s, 0.5))
        far = jnp.where(
            s > 0, jnp.arctanh(inside) / inside, jnp.arctan(outside) / outside
        )
        small, series, slope = jnp.where(near, s, 0), 0, 0
        for k in range(11, -1, -1):
            slope = slope * small + series
            series = series * small + 1 / (2 * k + 1)
        f = jnp.where(near, series, far)
        whole = s if slip == "on the scale radius" else jnp.where(near, 1, s)
        fs = (1 / y - f) / (2 * whole)
        if slip != "on the scale radius":
            fs = jnp.where(near, slope, fs)
        q = (jnp.log(y / 4) / 2 + f) / y
        return q, (1 / (2 * y) - fs - q) / y

    def parts(places, centre, radius):
        away = places - centre
        y = (away**2).sum(-1) / radius**2
        off = y > 0
        return away, off, jnp.where(off, y, 1)

    def plain(places, centre, strength, radius):
        away, off, y = parts(places, centre, radius)
        return jnp.where(off[:, None], 4 * strength * profile(y)[0][:, None] * away, 0)

    deflect = jax.custom_vjp(plain)

    def fwd(places, centre, strength, radius):
        given = places, centre, strength, radius
        return plain(*given), given

    def bwd(res, g):
        places, centre, strength, radius = res
        away, off, y = parts(places, centre, radius)
        q, slope = profile(y)
        g = jnp.where(off[:, None], g, 0)
        along = (away * g).sum(-1)
        bent = 4 * strength * slope * along
        dplaces = 4 * strength * q[:, None] * g
        if slip != "profile held":
            dplaces = dplaces + 2 * (bent / radius**2)[:, None] * away
        dcentre = dplaces.sum(0)
        dradius = -2 * (bent * y).sum() / radius
        dcentre = dcentre if slip == "centre's sign" else -dcentre
        return dplaces, dcentre, 4 * (along * q).sum(), dradius

    deflect.defvjp(fwd, bwd)
    return deflect, plain


def moist_column(rng):
    temperature = positive(rng, 8, low=275.0, high=300.0)
    vapour = positive(rng, 8, low=0.004, high=0.03)
    return temperature, vapour, positive(rng, 8, low=8e4, high=1e5)


@case(
    "saturation adjustment of moist physics in JAX climate models, by Newton's method",
    "moist physics",
    moist_column,
    Twin(
        "no feedback",
        "term|factor|ratio|path",
        "temperature vapour pressure",
        "Air that condenses warms and holds more; the divisor for that is lost.",
    ),
    Twin(
        "before it condensed",
        "residual|operand",
        "temperature vapour pressure",
        "The slope of saturation is taken at the temperature before.",
    ),
    Twin(
        "dry air",
        "mask|region|predicate",
        "temperature vapour pressure",
        "Air below saturation is pulled back as if it had condensed.",
    ),
    fixed=(0, 2),
    scales=(0.3, 1.0, 2.0),
    narrow=False,
)
def saturation_vapour_adjustment(slip):
    warming = 2.5e6 / 1004.0

    def saturation(temperature, pressure):
        above = temperature - 35.85
        es = 611.2 * jnp.exp(17.27 * (temperature - 273.15) / above)
        value = 0.622 * es / pressure
        return value, value * 17.27 * (273.15 - 35.85) / above**2

    def adjusted(temperature, vapour, pressure):
        moist = vapour > saturation(temperature, pressure)[0]
        t = temperature
        for _ in range(6):
            value, slope = saturation(t, pressure)
            off = t - temperature - warming * (vapour - value)
            t = t - off / (1 + warming * slope)
        return moist, t

    def plain(temperature, vapour, pressure):
        moist, t = adjusted(temperature, vapour, pressure)
        left = saturation(t, pressure)[0]
        return jnp.where(moist, t, temperature), jnp.where(moist, left, vapour)

    adjust = jax.custom_vjp(plain)

    def fwd(temperature, vapour, pressure):
        out = plain(temperature, vapour, pressure)
        return out, (temperature, vapour, pressure, out[0])

    def bwd(res, g):
        temperature, vapour, pressure, after = res
        moist = vapour > saturation(temperature, pressure)[0]
        if slip == "dry air":
            moist = True
        at = temperature if slip == "before it condensed" else after
        value, slope = saturation(at, pressure)
        dafter = g[0] + slope * g[1]
        if slip != "no feedback":
            dafter = dafter / (1 + warming * slope)
        dpressure = -value / pressure * (g[1] - warming * dafter)
        dtemperature = jnp.where(moist, dafter, g[0])
        dvapour = jnp.where(moist, warming * dafter, g[1])
        return dtemperature, dvapour, jnp.where(moist, dpressure, 0)

    adjust.defvjp(fwd, bwd)
    return adjust, plain


@case(
    "implicit diffusion in spectral space in JAX weather models, on a periodic plane",
    "solver",
    lambda rng: (normal(rng, 6, 8), jnp.float32(1.0), jnp.float32(0.3), 0.5),
    Twin(
        "before the solve",
        "cotangent|operand|residual",
        "shift diffusivity",
        "The parameters have the cotangent before it was solved for.",
    ),
    Twin(
        "sign of the Laplacian",
        "sign|ratio",
        "diffusivity",
        "Minus the squared wave numbers stand for the Laplacian; a minus is lost.",
    ),
    Twin(
        "right-hand side",
        "operand|residual",
        "shift diffusivity",
        "The parameters meet the right-hand side, not the solution.",
    ),
    narrow=False,
)
def helmholtz_spectral_solve(slip):
    def squared(shape, width):
        rows = 2 * np.pi * np.fft.fftfreq(shape[0], width)
        columns = 2 * np.pi * np.fft.rfftfreq(shape[1], width)
        return rows[:, None] ** 2 + columns**2

    def filtered(field, symbol):
        spectrum = jnp.fft.rfft2(field) * symbol.astype(field.dtype)
        return jnp.fft.irfft2(spectrum, field.shape)

    def plain(source, shift, diffusivity, width):
        k2 = jnp.asarray(squared(source.shape, width))
        return filtered(source, 1 / (shift + diffusivity * k2))

    solve = jax.custom_vjp(plain, nondiff_argnums=(3,))

    def fwd(source, shift, diffusivity, width):
        out = plain(source, shift, diffusivity, width)
        kept = source if slip == "right-hand side" else out
        return out, (kept, shift, diffusivity)

    def bwd(width, res, g):
        solution, shift, diffusivity = res
        pulled = plain(g, shift, diffusivity, width)
        left = g if slip == "before the solve" else pulled
        rough = filtered(solution, jnp.asarray(squared(g.shape, width)))
        ddiffusivity = -(left * rough).sum()
        if slip == "sign of the Laplacian":
            ddiffusivity = -ddiffusivity
        return pulled, -(left * solution).sum(), ddiffusivity

    solve.defvjp(fwd, bwd)
    return solve, plain

"""Earth, light and sound: distances on a globe, refraction, soils, a reverberator."""

import jax
import jax.numpy as jnp
import numpy as np

from experiments.checker_benchmark.strangers.record import (
    Stranger,
    Twin,
    collect,
    normal,
    positive,
    unit_rows,
)

CASES: list[Stranger] = []
case = collect(CASES)


def stations(rng):
    here = [positive(rng, 6, low=-70, high=70), positive(rng, 6, low=-180, high=180)]
    there = [positive(rng, 6, low=-70, high=70), positive(rng, 6, low=-180, high=180)]
    return jnp.stack(here, -1), jnp.stack(there, -1), 6371.0


def one_station_twice(rng):
    here, there, radius = stations(rng)
    return here, there.at[0].set(here[0]), radius


@case(
    "great-circle distances of stations in degrees, in kernels of weather models",
    "geodesy",
    stations,
    Twin(
        "degrees",
        "factor|ratio|constant",
        "here there",
        "The gradient is for radians, the coordinates are in degrees.",
    ),
    Twin(
        "latitudes' cosines held",
        "term|path",
        "here there",
        "Meridians converge: the cosines before the longitudes' part do not move.",
    ),
    Twin(
        "same place",
        "edge|nan|finite",
        "here there",
        "At a distance of zero the root divides by zero.",
        witness=one_station_twice,
    ),
    scales=(0.1, 1.0, 2.0),
    narrow=False,
)
def great_circle_distance(slip):
    degree = np.pi / 180

    def parts(here, there):
        lat1, lon1 = (here * degree).T
        lat2, lon2 = (there * degree).T
        up, along = (lat2 - lat1) / 2, (lon2 - lon1) / 2
        h = jnp.sin(up) ** 2 + jnp.cos(lat1) * jnp.cos(lat2) * jnp.sin(along) ** 2
        between = (h > 0) & (h < 1)
        return lat1, lat2, up, along, h, between, jnp.where(between, h, 0.5)

    def plain(here, there, radius):
        *_, h, between, safe = parts(here, there)
        angle = 2 * jnp.arctan2(jnp.sqrt(safe), jnp.sqrt(1 - safe))
        return radius * jnp.where(between, angle, jnp.where(h < 0.5, 0, jnp.pi))

    distance = jax.custom_vjp(plain, nondiff_argnums=(2,))

    def fwd(here, there, radius):
        return plain(here, there, radius), (here, there)

    def bwd(radius, res, g):
        lat1, lat2, up, along, h, between, safe = parts(*res)
        if slip == "same place":
            safe, between = h, True
        dh = jnp.where(between, radius * g / jnp.sqrt(safe * (1 - safe)), 0)
        dup = dh * jnp.sin(up) * jnp.cos(up)
        c1, c2, s = jnp.cos(lat1), jnp.cos(lat2), jnp.sin(along)
        dalong = dh * c1 * c2 * s * jnp.cos(along)
        dlat1, dlat2 = -dup, dup
        if slip != "latitudes' cosines held":
            dlat1 = dlat1 - dh * jnp.sin(lat1) * c2 * s**2
            dlat2 = dlat2 - dh * c1 * jnp.sin(lat2) * s**2
        unit = 1 if slip == "degrees" else degree
        dhere, dthere = jnp.stack([dlat1, -dalong], -1), jnp.stack([dlat2, dalong], -1)
        return unit * dhere, unit * dthere

    distance.defvjp(fwd, bwd)
    return distance, plain


def rays_in_glass(rng):
    rays, normals = unit_rows(rng, 20, 3), unit_rows(rng, 20, 3)
    facing = jnp.sign((rays * normals).sum(-1, keepdims=True))
    return rays, -facing * normals, jnp.float32(1.5)


@case(
    "refraction by Snell's law in mitsuba-like ray tracers in JAX, or total reflection",
    "optics",
    rays_in_glass,
    Twin(
        "total reflection",
        "mask|region|predicate|nan|edge",
        "rays normals ratio",
        "Rays that are reflected are pulled back as if they had been refracted.",
    ),
    Twin(
        "angle held",
        "term|path",
        "rays normals",
        "The cosines of both angles are constants.",
    ),
    Twin(
        "ratio under the root",
        "term|path",
        "ratio",
        "The ratio of the indices stands before the ray and under the root as well.",
    ),
    fixed=(0, 1),
    scales=(0.5, 1.0, 2.0),
)
def snell_refraction(slip):
    def parts(rays, normals, ratio):
        cos = -(rays * normals).sum(-1, keepdims=True)
        under = 1 - ratio**2 * (1 - cos**2)
        passes = under > 0
        return cos, passes, jnp.sqrt(jnp.where(passes, under, 1))

    def plain(rays, normals, ratio):
        cos, passes, root = parts(rays, normals, ratio)
        refracted = ratio * rays + (ratio * cos - root) * normals
        return jnp.where(passes, refracted, rays + 2 * cos * normals)

    refract = jax.custom_vjp(plain)

    def fwd(rays, normals, ratio):
        return plain(rays, normals, ratio), (rays, normals, ratio)

    def bwd(res, g):
        rays, normals, ratio = res
        cos, passes, root = parts(rays, normals, ratio)
        if slip == "total reflection":
            passes = True
        dweight = (g * normals).sum(-1, keepdims=True)
        bent = dweight * (ratio - ratio**2 * cos / root)
        dcos = jnp.where(passes, bent, 2 * dweight)
        if slip == "angle held":
            dcos = jnp.zeros_like(dcos)
        drays = jnp.where(passes, ratio, 1) * g - dcos * normals
        weight = jnp.where(passes, ratio * cos - root, 2 * cos)
        dratio = (g * rays).sum(-1, keepdims=True) + dweight * cos
        if slip != "ratio under the root":
            dratio = dratio + dweight * ratio * (1 - cos**2) / root
        return drays, weight * g - dcos * rays, jnp.where(passes, dratio, 0).sum()

    refract.defvjp(fwd, bwd)
    return refract, plain


def soil(rng):
    names = {"residual": 0.05, "saturated": 0.43, "inverse_entry": 1.8, "n": 1.9}
    parameters = {name: jnp.float32(value) for name, value in names.items()}
    return normal(rng, 8, mean=-0.5, std=1.0), parameters


def at_the_water_table(rng):
    heads, parameters = soil(rng)
    return heads.at[0].set(0), parameters


@case(
    "water in soils by van Genuchten's retention curve, in hydrological models in JAX",
    "hydrology",
    soil,
    Twin(
        "one exponent held",
        "term|path",
        "p",
        "The outer exponent is 1 - 1/n; it does not move with n.",
    ),
    Twin(
        "suction",
        "sign|ratio",
        "heads",
        "The curve is written for suctions, which are minus the heads.",
    ),
    Twin(
        "water table",
        "edge|nan|finite",
        "heads p",
        "At and below the water table a head of zero divides, and has a logarithm.",
        witness=at_the_water_table,
    ),
    fixed=(1,),
)
def van_genuchten_retention(slip):
    def curve(heads, p):
        dry = heads < 0
        suction = jnp.where(dry, -heads, 1) * p["inverse_entry"]
        u = suction ** p["n"]
        return dry, suction, u, (1 + u) ** (1 / p["n"] - 1)

    def plain(heads, p):
        dry, _, _, filled = curve(heads, p)
        partly = p["residual"] + (p["saturated"] - p["residual"]) * filled
        return jnp.where(dry, partly, p["saturated"])

    water = jax.custom_vjp(plain)

    def fwd(heads, p):
        return plain(heads, p), (heads, p)

    def bwd(res, g):
        heads, p = res
        dry, suction, u, filled = curve(heads, p)
        if slip == "water table":
            dry, suction = heads <= 0, -heads * p["inverse_entry"]
            u = suction ** p["n"]
        n, m = p["n"], 1 - 1 / p["n"]
        dfilled = jnp.where(dry, g, 0) * (p["saturated"] - p["residual"])
        du = -dfilled * m * filled / (1 + u)
        dsuction = du * n * u / suction
        dn = du * u * jnp.log(suction)
        if slip != "one exponent held":
            dn = dn - dfilled * filled * jnp.log1p(u) / n**2
        dheads = -dsuction * p["inverse_entry"]
        dheads = -dheads if slip == "suction" else dheads
        dresidual = jnp.where(dry, g * (1 - filled), 0).sum()
        dentry = (jnp.where(dry, dsuction * -heads, 0)).sum()
        rest = {"residual": dresidual, "saturated": g.sum() - dresidual}
        dn = jnp.where(dry, dn, 0).sum()
        return jnp.where(dry, dheads, 0), {**rest, "inverse_entry": dentry, "n": dn}

    water.defvjp(fwd, bwd)
    return water, plain

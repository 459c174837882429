"""Limited slopes, quantum states, stars and galaxies."""

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
    "generalised minmod reconstruction of finite volumes (JAX-Fluids, jaxhydro)",
    "limited slopes with two outputs",
    lambda rng: (normal(rng, 2, 9), 1.5),
    Twin(
        "extrema",
        "mask|region",
        "cells",
        "At extrema the slope is 0, its backward is that of the central one.",
    ),
    Twin(
        "sharpness",
        "option|factor|ratio",
        "cells",
        "The one-sided slopes' factor is not pulled back.",
    ),
    Twin(
        "other neighbour",
        "transpose|index|swap|sign",
        "cells",
        "The gradient of the backward difference is rolled the wrong way.",
    ),
)
def minmod_slopes(slip):
    def pieces(cells, sharp):
        left = sharp * (cells - jnp.roll(cells, 1, -1))
        right = sharp * (jnp.roll(cells, -1, -1) - cells)
        middle = (jnp.roll(cells, -1, -1) - jnp.roll(cells, 1, -1)) / 2
        three = jnp.stack([left, middle, right])
        monotone = (three > 0).all(0) | (three < 0).all(0)
        return three, jnp.abs(three).argmin(0), monotone

    def plain(cells, sharp):
        three, least, monotone = pieces(cells, sharp)
        slope = jnp.take_along_axis(three, least[None], 0)[0]
        slope = jnp.where(monotone, slope, 0)
        return cells - slope / 2, cells + slope / 2

    faces = jax.custom_vjp(plain, nondiff_argnums=(1,))

    def fwd(cells, sharp):
        _, least, monotone = pieces(cells, sharp)
        return plain(cells, sharp), (least, monotone)

    def bwd(sharp, res, g):
        least, monotone = res
        low, high = g
        dslope = (high - low) / 2
        if slip == "extrema":
            least = jnp.where(monotone, least, 1)
        else:
            dslope = jnp.where(monotone, dslope, 0)
        scale = 1.0 if slip == "sharpness" else sharp
        dleft = jnp.where(least == 0, scale * dslope, 0)
        dmiddle = jnp.where(least == 1, dslope / 2, 0)
        dright = jnp.where(least == 2, scale * dslope, 0)
        way = 1 if slip == "other neighbour" else -1
        dcells = low + high + dleft - jnp.roll(dleft, way, -1)
        dcells = dcells + jnp.roll(dmiddle, 1, -1) - jnp.roll(dmiddle, -1, -1)
        return (dcells + jnp.roll(dright, 1, -1) - dright,)

    faces.defvjp(fwd, bwd)
    return faces, plain


def amplitudes(rng, *shape):
    return lax.complex(normal(rng, *shape), normal(rng, *shape))


@case(
    "state infidelity of optimal control (dynamiqs, qutip-jax)",
    "loss of complex vectors",
    lambda rng: (amplitudes(rng, 3, 4), amplitudes(rng, 3, 4)),
    Twin(
        "conjugate",
        "sign|swap|transpose|function",
        "psi",
        "The state's cotangent is the conjugate of what JAX expects.",
    ),
    Twin(
        "norm of the state",
        "term|path|ratio",
        "psi",
        "The norm that the overlap is divided by is taken as a constant.",
    ),
    Twin(
        "summed over the batch",
        "factor|ratio|sum",
        "psi target",
        "The loss is a mean over the batch, its gradient that of the sum.",
    ),
    narrow=False,
)
def state_infidelity(slip):
    def pieces(psi, target):
        def square(a):
            return (a.real**2 + a.imag**2).sum(-1, keepdims=True) + 1e-12

        overlap = (target.conj() * psi).sum(-1, keepdims=True)
        one, two = square(psi), square(target)
        share = (overlap.real**2 + overlap.imag**2) / one / two
        return overlap, one, two, share

    @jax.custom_vjp
    def loss(psi, target):
        return 1 - pieces(psi, target)[3].mean()

    def fwd(psi, target):
        return loss.fun(psi, target), (psi, target)

    def bwd(res, g):
        psi, target = res
        overlap, one, two, share = pieces(psi, target)
        scale = -2 * g
        if slip != "summed over the batch":
            scale = scale / len(psi)
        dpsi = overlap.conj() / one * target.conj() / two
        if slip != "norm of the state":
            dpsi = dpsi - share * psi.conj() / one
        if slip == "conjugate":
            dpsi = dpsi.conj()
        dtarget = overlap / one * psi.conj() / two - share * target.conj() / two
        return scale * dpsi, scale * dtarget

    loss.defvjp(fwd, bwd)
    return loss, loss.fun


@case(
    "quadratic limb darkening of stellar discs in jaxoplanet and exoplanet",
    "light profile with a pytree",
    lambda rng: (
        positive(rng, 7, low=0.0, high=1.3),
        {"u1": jnp.float32(0.4), "u2": jnp.float32(0.25)},
        positive(rng, 7),
    ),
    Twin(
        "flux of the disc",
        "term|path|ratio",
        "law",
        "The disc's total flux that is divided by is taken as a constant.",
    ),
    Twin(
        "beyond the limb",
        "mask|region",
        "area",
        "Areas off the disc have a gradient.",
    ),
    Twin(
        "square of the darkening",
        "function|factor|operand",
        "law",
        "The second coefficient's gradient has the first power.",
    ),
    fixed=(0,),
    narrow=False,
)
def quadratic_limb_darkening(slip):
    def pieces(radius, law):
        on = radius < 1
        mu = jnp.sqrt(jnp.where(on, 1 - radius * radius, 1))
        dark = 1 - mu
        total = jnp.pi * (1 - law["u1"] / 3 - law["u2"] / 6)
        return on, mu, 1 - law["u1"] * dark - law["u2"] * dark * dark, total

    @jax.custom_vjp
    def brightness(radius, law, area):
        on, _, profile, total = pieces(radius, law)
        return jnp.where(on, profile, 0) * area / total

    def fwd(radius, law, area):
        return brightness.fun(radius, law, area), (radius, law, area)

    def bwd(res, g):
        radius, law, area = res
        on, mu, profile, total = pieces(radius, law)
        dark = 1 - mu
        seen = jnp.where(on, 1, 0)
        dprofile = g * seen * area / total
        dmu = dprofile * (law["u1"] + 2 * law["u2"] * dark)
        dradius = jnp.where(on, -dmu * radius / mu, 0)
        power = dark if slip == "square of the darkening" else dark * dark
        dlaw = {"u1": -(dprofile * dark).sum(), "u2": -(dprofile * power).sum()}
        if slip != "flux of the disc":
            back = jnp.pi * (dprofile * profile).sum() / total
            dlaw = {"u1": dlaw["u1"] + back / 3, "u2": dlaw["u2"] + back / 6}
        darea = g * profile / total
        return dradius, dlaw, darea if slip == "beyond the limb" else seen * darea

    brightness.defvjp(fwd, bwd)
    return brightness, brightness.fun


@case(
    "Plummer spheres of galaxies (gala, galax)",
    "acceleration in a potential with two outputs",
    lambda rng: (
        normal(rng, 6, 3),
        normal(rng, 2, 3),
        positive(rng, 2),
        positive(rng, 2, low=0.3, high=1.0),
    ),
    Twin(
        "cube of the distance",
        "term|path|ratio",
        "points centres",
        "The acceleration's distance is taken as a constant.",
    ),
    Twin(
        "squared core",
        "factor|function|operand",
        "core",
        "The core is inside as a square, its gradient is as of the core itself.",
    ),
    Twin(
        "potential's cotangent",
        "term|path",
        "points centres masses core",
        "The cotangent of the potential is dropped.",
    ),
    narrow=False,
)
def plummer_acceleration(slip):
    def pieces(points, centres, core):
        apart = points[:, None] - centres
        return apart, jax.lax.rsqrt((apart * apart).sum(-1) + core * core)

    @jax.custom_vjp
    def field(points, centres, masses, core):
        apart, w = pieces(points, centres, core)
        pull = -jnp.einsum("pc,pcd->pd", masses * w * w * w, apart)
        return pull, -(w @ masses)

    def fwd(points, centres, masses, core):
        out = field.fun(points, centres, masses, core)
        return out, (points, centres, masses, core)

    def bwd(res, g):
        points, centres, masses, core = res
        gpull, genergy = g
        if slip == "potential's cotangent":
            genergy = jnp.zeros_like(genergy)
        apart, w = pieces(points, centres, core)
        cube = w * w * w
        along = -jnp.einsum("pd,pcd->pc", gpull, apart)
        dmasses = (along * cube).sum(0) - genergy @ w
        # slope in half of the square under the root
        far = 3 * masses * along * w * w * cube
        near = -masses * genergy[:, None] * cube
        dhalf = -far - near
        turned = -near if slip == "cube of the distance" else dhalf
        dapart = turned[..., None] * apart
        dapart = dapart - (masses * cube)[..., None] * gpull[:, None]
        dcore = dhalf.sum(0)
        if slip != "squared core":
            dcore = dcore * core
        return dapart.sum(1), -dapart.sum(0), dmasses, dcore

    field.defvjp(fwd, bwd)
    return field, field.fun

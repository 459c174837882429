"""Flows: reconstruction at faces, eddy viscosity, implicit diffusion."""

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


@case(
    "JAX-Fluids: WENO5-JS reconstruction at the faces, on periodic lines",
    "reconstruction",
    lambda rng: (normal(rng, 3, 12), -1),
    Twin(
        "weights held",
        "term|path",
        "u",
        "The weights are taken for constants, as in linear schemes.",
    ),
    Twin(
        "exponent",
        "ratio|factor|constant",
        "u",
        "The weights go with the inverse square of the smoothness; its 2 is lost.",
    ),
    Twin(
        "rolled again",
        "index|transpose|swap",
        "u",
        "The stencil's cotangents are rolled in the direction of the forward.",
    ),
)
def weno_reconstruction(slip):
    eps = 1e-6
    bend = np.array([[1, -2, 1, 0, 0], [0, 1, -2, 1, 0], [0, 0, 1, -2, 1]])
    tilt = np.array([[1, -4, 3, 0, 0], [0, 1, 0, -1, 0], [0, 0, 3, -4, 1]])
    faces = np.array([[2, -7, 11, 0, 0], [0, -1, 5, 2, 0], [0, 0, 2, 5, -1]]) / 6
    linear = np.array([0.1, 0.6, 0.3])

    def along(matrix, stencil):
        return jnp.tensordot(jnp.asarray(matrix, stencil.dtype), stencil, 1)

    def parts(u, axis):
        s = jnp.stack([jnp.roll(u, k, axis) for k in (2, 1, 0, -1, -2)])
        bends, tilts = along(bend, s), along(tilt, s)
        smooth = 13 / 12 * bends**2 + tilts**2 / 4
        shape = (3,) + (1,) * u.ndim
        alpha = jnp.asarray(linear, u.dtype).reshape(shape) / (eps + smooth) ** 2
        return along(faces, s), alpha / alpha.sum(0), bends, tilts, smooth

    def plain(u, axis):
        value, weight, *_ = parts(u, axis)
        return (weight * value).sum(0)

    reconstruct = jax.custom_vjp(plain, nondiff_argnums=(1,))

    def fwd(u, axis):
        return plain(u, axis), u

    def bwd(axis, u, g):
        value, weight, bends, tilts, smooth = parts(u, axis)
        ds = along(faces.T, weight * g)
        if slip != "weights held":
            above = value - (weight * value).sum(0)
            power = 1 if slip == "exponent" else 2
            dsmooth = -power * weight * above * g / (eps + smooth)
            ds = ds + along(bend.T, 13 / 6 * bends * dsmooth)
            ds = ds + along(tilt.T, tilts * dsmooth / 2)
        back = (2, 1, 0, -1, -2) if slip == "rolled again" else (-2, -1, 0, 1, 2)
        rolled = [jnp.roll(d, k, axis) for d, k in zip(ds, back, strict=True)]
        return (sum(rolled),)

    reconstruct.defvjp(fwd, bwd)
    return reconstruct, plain


def gradients(rng):
    return normal(rng, 5, 3, 3), jnp.float32(0.17), 0.1


def at_rest(rng):
    slopes, constant, width = gradients(rng)
    return slopes.at[0].set(0), constant, width


@case(
    "jax_cfd.base.subgrid_models: the stress of Smagorinsky's eddy viscosity",
    "subgrid stress",
    gradients,
    Twin(
        "viscosity held",
        "term|path",
        "slopes",
        "The eddy viscosity does not move with the strain.",
    ),
    Twin(
        "strain of one side",
        "transpose|term|path|operand",
        "slopes",
        "The strain's gradient goes to the slopes without being symmetrised.",
    ),
    Twin(
        "fluid at rest",
        "edge|nan|finite",
        "slopes",
        "Zero over zero where nothing is strained.",
        witness=at_rest,
    ),
    fixed=(1,),
)
def smagorinsky_stress(slip):
    def strain(slopes):
        s = (slopes + jnp.swapaxes(slopes, -1, -2)) / 2
        squared = 2 * (s * s).sum((-2, -1), keepdims=True)
        moving = squared > 0
        size = jnp.where(moving, jnp.sqrt(jnp.where(moving, squared, 1)), 0)
        return s, size

    def plain(slopes, constant, width):
        s, size = strain(slopes)
        return -2 * (constant * width) ** 2 * size * s

    stress = jax.custom_vjp(plain, nondiff_argnums=(2,))

    def fwd(slopes, constant, width):
        return plain(slopes, constant, width), (slopes, constant)

    def bwd(width, res, g):
        slopes, constant = res
        s, size = strain(slopes)
        dconstant = -4 * constant * width**2 * (size * s * g).sum()
        ds = size * g
        if slip != "viscosity held":
            below = size if slip == "fluid at rest" else jnp.where(size > 0, size, 1)
            unit = s / below
            ds = ds + 2 * unit * (s * g).sum((-2, -1), keepdims=True)
        ds = -2 * (constant * width) ** 2 * ds
        if slip != "strain of one side":
            ds = (ds + jnp.swapaxes(ds, -1, -2)) / 2
        return ds, dconstant

    stress.defvjp(fwd, bwd)
    return stress, plain


@case(
    "implicit vertical diffusion in climate models in JAX: Crank-Nicolson steps",
    "time stepping",
    lambda rng: (normal(rng, 8), positive(rng, 7, low=0.2, high=1.0), 0.5, 4),
    Twin(
        "new state alone",
        "term|path|operand|residual",
        "kappa",
        "The explicit half of a step does not see the diffusivity.",
    ),
    Twin(
        "before the solve",
        "cotangent|operand|residual",
        "kappa",
        "The cotangent is taken before it has been solved for.",
    ),
    Twin(
        "order of the states",
        "index|residual|operand|swap",
        "kappa",
        "Backwards in time, but the saved states are read forwards.",
    ),
    narrow=False,
)
def crank_nicolson_diffusion(slip):
    def flux_divergence(kappa, u):
        flux = kappa * jnp.diff(u)
        return jnp.pad(flux, (0, 1)) - jnp.pad(flux, (1, 0))

    def solve(kappa, b, dt):
        low, high = jnp.pad(kappa, (1, 0)), jnp.pad(kappa, (0, 1))
        sides = -dt / 2 * low, 1 + dt / 2 * (low + high), -dt / 2 * high
        return lax.linalg.tridiagonal_solve(*sides, b[:, None])[:, 0]

    def half(kappa, u, dt):
        return u + dt / 2 * flux_divergence(kappa, u)

    def run(u, kappa, dt, steps):
        def step(u, _):
            return solve(kappa, half(kappa, u, dt), dt), u

        return lax.scan(step, u, length=steps)

    def plain(u, kappa, dt, steps):
        return run(u, kappa, dt, steps)[0]

    diffuse = jax.custom_vjp(plain, nondiff_argnums=(2, 3))

    def fwd(u, kappa, dt, steps):
        end, states = run(u, kappa, dt, steps)
        return end, (kappa, jnp.concatenate([states, end[None]]))

    def bwd(dt, steps, res, g):
        kappa, states = res
        before, after = states[:-1], states[1:]
        if slip == "order of the states":
            before, after = before[::-1], after[::-1]

        def back(carry, pair):
            du, dkappa = carry
            old, new = pair
            force = solve(kappa, du, dt)
            both = new if slip == "new state alone" else old + new
            left = du if slip == "before the solve" else force
            dkappa = dkappa - dt / 2 * jnp.diff(left) * jnp.diff(both)
            return (half(kappa, force, dt), dkappa), None

        start = g, jnp.zeros_like(kappa)
        return lax.scan(back, start, (before, after), reverse=True)[0]

    diffuse.defvjp(fwd, bwd)
    return diffuse, plain

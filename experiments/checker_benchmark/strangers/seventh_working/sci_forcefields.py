"""Bonds, pairs, gravity and scattering."""

import jax
import jax.numpy as jnp

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


def chain(rng):
    positions = normal(rng, 5, 3)
    bonds = jnp.asarray([[0, 1], [1, 2], [2, 3], [2, 4], [4, 0]], jnp.int32)
    kinds = jnp.asarray([0, 1, 1, 2, 0], jnp.int32)
    params = {"stiffness": positive(rng, 3), "rest": positive(rng, 3)}
    return positions, params, bonds, kinds


@case(
    "harmonic bonds with tables of kinds in jax-md, dmff",
    "energy of bonds",
    chain,
    Twin(
        "last bond wins",
        "duplicates|index|sum",
        "positions",
        "An atom in several bonds keeps the pull of one.",
    ),
    Twin(
        "half",
        "factor|ratio",
        "params",
        "The half is forgotten in the gradient of the stiffness.",
    ),
    Twin(
        "sign of the rest length",
        "sign|ratio",
        "params",
        "The rest length's gradient is that of the length.",
    ),
)
def harmonic_bond_energy(slip):
    def stretched(positions, params, bonds, kinds):
        d = positions[bonds[:, 1]] - positions[bonds[:, 0]]
        r = jnp.linalg.norm(d, axis=-1)
        return d, r, r - params["rest"][kinds]

    @jax.custom_vjp
    def energy(positions, params, bonds, kinds):
        _, _, stretch = stretched(positions, params, bonds, kinds)
        return (0.5 * params["stiffness"][kinds] * stretch**2).sum()

    plain = energy.fun

    def fwd(positions, params, bonds, kinds):
        d, r, stretch = stretched(positions, params, bonds, kinds)
        k = params["stiffness"][kinds]
        value = (0.5 * k * stretch**2).sum()
        return value, (positions, params, bonds, kinds, d / r[:, None], stretch)

    def bwd(res, g):
        positions, params, bonds, kinds, unit, stretch = res
        tension = g * params["stiffness"][kinds] * stretch
        pull = tension[:, None] * unit
        at = jnp.zeros_like(positions).at
        if slip == "last bond wins":
            dx = at[bonds[:, 1]].set(pull) - at[bonds[:, 0]].set(pull)
        else:
            dx = at[bonds[:, 1]].add(pull).at[bonds[:, 0]].add(-pull)
        half = 1.0 if slip == "half" else 0.5
        away = tension if slip == "sign of the rest length" else -tension
        table = jnp.zeros_like(params["rest"]).at[kinds]
        dparams = {
            "stiffness": table.add(half * g * stretch**2),
            "rest": table.add(away),
        }
        return dx, dparams, None, None

    energy.defvjp(fwd, bwd)
    return energy, plain


def liquid(rng):
    box = jnp.asarray([3.0, 4.0, 3.5], jnp.float32)
    params = tuple(jnp.asarray(a, jnp.float32) for a in (0.9, 1.3, 1.1))
    return jnp.asarray(rng.uniform(size=(6, 3)), jnp.float32) * box, box, params


@case(
    "Morse pairs in a periodic box in jax-md",
    "energies of particles in a box",
    liquid,
    Twin(
        "own energy only",
        "term|sum|cotangent|path",
        "positions",
        "Of a pair's two halves only the first atom's cotangent is read.",
    ),
    Twin(
        "constant box",
        "zero|term|path",
        "box",
        "The images' shifts grow with the box: its gradient is zero.",
    ),
    Twin(
        "square of the exponential",
        "term|factor|function",
        "positions params",
        "The derivative of the bracket's square lacks the bracket's exponential.",
    ),
    fixed=(0, 1),
)
def morse_minimum_image(slip):
    def pairs(positions, box):
        d = positions[:, None] - positions
        images = jnp.round(d / box)
        d = d - box * images
        other = ~jnp.eye(positions.shape[0], dtype=bool)
        r = jnp.sqrt(jnp.where(other, (d * d).sum(-1), 1))
        return d, images, other, r

    @jax.custom_vjp
    def energies(positions, box, params):
        depth, alpha, r0 = params
        _, _, other, r = pairs(positions, box)
        bracket = 1 - jnp.exp(-alpha * (r - r0))
        return 0.5 * depth * jnp.where(other, bracket**2 - 1, 0).sum(1)

    plain = energies.fun

    def bwd(res, g):
        positions, box, (depth, alpha, r0) = res
        d, images, other, r = pairs(positions, box)
        e = jnp.exp(-alpha * (r - r0))
        weight = jnp.where(other, 0.5 * g[:, None], 0)
        slope = depth * weight * 2 * (1 - e)
        if slip != "square of the exponential":
            slope = slope * e
        dd = (alpha * slope / r)[..., None] * d
        dx = dd.sum(1) - dd.sum(0)
        if slip == "own energy only":
            dx = 2 * dd.sum(1)
        dbox = -(dd * images).sum((0, 1))
        if slip == "constant box":
            dbox = jnp.zeros_like(box)
        ddepth = (weight * ((1 - e) ** 2 - 1)).sum()
        return dx, dbox, (ddepth, (slope * (r - r0)).sum(), -(slope * alpha).sum())

    energies.defvjp(lambda *args: (plain(*args), args), bwd)
    return energies, plain


def cluster(rng):
    return normal(rng, 5, 3), positive(rng, 5), positive(rng, 4, low=0.3, high=3.0)


@case(
    "scattering curves by Debye's formula in torchmd, jax-saxs ports",
    "sum over pairs",
    cluster,
    Twin(
        "each pair once",
        "factor|ratio|transpose|term",
        "factors",
        "Form factors get the first atom's share of a pair alone.",
    ),
    Twin(
        "sine over the square",
        "term|function",
        "positions q",
        "The second term of sin(x)/x is forgotten.",
    ),
    narrow=False,
    scales=(0.1, 1.0),
)
def debye_scattering_curve(slip):
    def pairs(positions):
        d = positions[:, None] - positions
        other = ~jnp.eye(positions.shape[0], dtype=bool)
        r = jnp.sqrt(jnp.where(other, (d * d).sum(-1), 1))
        return d, other, r

    def sinc(other, r, q):
        x = q[:, None, None] * r
        return x, jnp.where(other, jnp.sin(x) / x, 1)

    def plain(positions, factors, q):
        _, other, r = pairs(positions)
        _, s = sinc(other, r, q)
        return jnp.einsum("qij,i,j->q", s, factors, factors)

    curve = jax.custom_vjp(plain)

    def bwd(res, g):
        positions, factors, q = res
        d, other, r = pairs(positions)
        x, s = sinc(other, r, q)
        weighted = jnp.einsum("q,qij->ij", g, s)
        dfactors = (1 if slip == "each pair once" else 2) * weighted @ factors
        slope = jnp.cos(x) / x
        if slip != "sine over the square":
            slope = slope - jnp.sin(x) / x**2
        slope = jnp.where(other, slope, 0) * jnp.outer(factors, factors)
        dr = jnp.einsum("q,qij->ij", g * q, slope)
        dx = 2 * ((dr / r)[..., None] * d).sum(1)
        return dx, dfactors, g * (slope * r).sum((1, 2))

    curve.defvjp(lambda *args: (plain(*args), args), bwd)
    return curve, plain


def stars(rng):
    soft = jnp.asarray(0.3, jnp.float32)
    return draw(positions=(5, 3))(rng)[0], positive(rng, 5), soft, 0.7


@case(
    "softened accelerations of bodies in odisseo, jax ports of nbody",
    "acceleration of bodies",
    stars,
    Twin(
        "no reaction",
        "term|path",
        "positions",
        "The attracting body's position gets nothing.",
    ),
    Twin(
        "masses of the wrong end",
        "index|swap|transpose|operand",
        "positions",
        "A pair is weighted by the attracted body's mass.",
    ),
    Twin(
        "square of the softening",
        "factor|ratio|function",
        "softening",
        "The gradient is by the squared softening.",
    ),
)
def softened_gravity(slip):
    def pairs(positions, softening):
        d = positions[None] - positions[:, None]
        return d, (d * d).sum(-1) + softening**2

    def plain(positions, masses, softening, constant):
        d, r2 = pairs(positions, softening)
        return constant * jnp.einsum("j,ij,ijc->ic", masses, r2**-1.5, d)

    pull = jax.custom_vjp(plain, nondiff_argnums=(3,))

    def fwd(positions, masses, softening, constant):
        value = plain(positions, masses, softening, constant)
        return value, (positions, masses, softening)

    def bwd(constant, res, g):
        positions, masses, softening = res
        d, r2 = pairs(positions, softening)
        along = jnp.einsum("ic,ijc->ij", g, d)
        dmasses = constant * (along * r2**-1.5).sum(0)
        wrong = slip == "masses of the wrong end"
        m = masses[:, None] if wrong else masses[None]
        dr2 = -1.5 * constant * m * along * r2**-2.5
        dd = 2 * dr2[..., None] * d
        dd = dd + (constant * m * r2**-1.5)[..., None] * g[:, None]
        dx = -dd.sum(1)
        if slip != "no reaction":
            dx = dx + dd.sum(0)
        chain = 1 if slip == "square of the softening" else 2 * softening
        true = -1.5 * constant * masses[None] * along * r2**-2.5
        return dx, dmasses, chain * true.sum()

    pull.defvjp(fwd, bwd)
    return pull, plain

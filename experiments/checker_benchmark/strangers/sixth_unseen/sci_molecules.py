"""Molecules: angles of silicon, symmetry functions."""

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


def length(d):
    """Of vectors, with a gradient of 0 where they are 0."""
    squared = (d * d).sum(-1)
    return jnp.where(squared > 0, jnp.sqrt(jnp.where(squared > 0, squared, 1)), 0)


TETRAHEDRON = np.array([[0, 0, 0], [1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]])
ANGLES = [
    (1, 0, 2),
    (1, 0, 3),
    (1, 0, 4),
    (2, 0, 3),
    (2, 0, 4),
    (3, 0, 4),
    (-1, -1, -1),
]


def silicon(rng):
    places = normal(rng, 5, 3, std=0.05) + 0.6 * TETRAHEDRON.astype(np.float32)
    parameters = {"strength": jnp.float32(21.0), "decay": jnp.float32(1.2)}
    return places, parameters, jnp.asarray(ANGLES), 1.8


@case(
    "jax_md.energy.stillinger_weber: the angles' part, on a padded list of triples",
    "force field",
    silicon,
    Twin(
        "tail held",
        "term|path",
        "positions",
        "The factor that goes to zero at the cutoff does not move with the distances.",
    ),
    Twin(
        "slope of the tail",
        "ratio|factor|function",
        "positions",
        "The slope of an inverse has its square below; the square is lost.",
    ),
    Twin(
        "middle atom",
        "term|path|sum",
        "positions",
        "The middle atom has the reaction of the first arm alone.",
    ),
)
def stillinger_weber_angle(slip):
    def arms(positions, triples):
        real = (triples >= 0).all(-1)
        i, j, k = jnp.where(real[:, None], triples, 0).T
        u, v = positions[i] - positions[j], positions[k] - positions[j]
        ru, rv = length(u), length(v)
        return (i, j, k), real & (ru > 0) & (rv > 0), u, v, ru, rv

    def factors(parameters, near, u, v, ru, rv, cutoff):
        near = near & (ru < cutoff) & (rv < cutoff)
        au, av = jnp.where(near, ru, 1), jnp.where(near, rv, 1)
        cos = (u * v).sum(-1) / (au * av)
        bu, bv = (jnp.where(near, a - cutoff, -1) for a in (au, av))
        tail = jnp.exp(parameters["decay"] * (1 / bu + 1 / bv))
        return near, au, av, cos, bu, bv, jnp.where(near, tail, 0)

    def plain(positions, parameters, triples, cutoff):
        _, near, *rest = arms(positions, triples)
        _, _, _, cos, _, _, tail = factors(parameters, near, *rest, cutoff)
        return parameters["strength"] * (cos + 1 / 3) ** 2 * tail

    energies = jax.custom_vjp(plain, nondiff_argnums=(3,))

    def fwd(positions, parameters, triples, cutoff):
        given = positions, parameters, triples
        return plain(*given, cutoff), given

    def bwd(cutoff, res, g):
        positions, parameters, triples = res
        (i, j, k), near, u, v, ru, rv = arms(positions, triples)
        found = factors(parameters, near, u, v, ru, rv, cutoff)
        near, au, av, cos, bu, bv, tail = found
        strength, decay = parameters["strength"], parameters["decay"]
        bent = (cos + 1 / 3) ** 2 * tail
        dcos = 2 * g * strength * (cos + 1 / 3) * tail
        dtail = g * strength * bent
        power = 1 if slip == "slope of the tail" else 2
        dru, drv = -dtail * decay / bu**power, -dtail * decay / bv**power
        if slip == "tail held":
            dru, drv = jnp.zeros_like(dru), jnp.zeros_like(drv)
        nu, nv = u / au[:, None], v / av[:, None]
        du = (dcos / au)[:, None] * (nv - cos[:, None] * nu) + dru[:, None] * nu
        dv = (dcos / av)[:, None] * (nu - cos[:, None] * nv) + drv[:, None] * nv
        du, dv = (jnp.where(near[:, None], d, 0) for d in (du, dv))
        middle = -du if slip == "middle atom" else -du - dv
        dx = jnp.zeros_like(positions).at[i].add(du).at[k].add(dv).at[j].add(middle)
        ddecay = (dtail * (1 / bu + 1 / bv)).sum()
        return dx, {"strength": (g * bent).sum(), "decay": ddecay}, None

    energies.defvjp(fwd, bwd)
    return energies, plain


def atoms_in_a_box(rng):
    spread = positive(rng, 6, 3, low=0.0, high=4.0)
    return spread, jnp.array([0.5, 1.0, 2.0]), jnp.array([0.0, 1.0, 1.5]), 4.0, 1.9


@case(
    "jax_md.nn: radial symmetry functions of Behler and Parrinello in a periodic box",
    "descriptors",
    atoms_in_a_box,
    Twin(
        "centres alone",
        "term|path|transpose|sum",
        "positions",
        "An atom moves its own sums; that it is in its neighbours' sums is lost.",
    ),
    Twin(
        "cutoff held",
        "term|path",
        "positions",
        "The cosine cutoff is a constant.",
    ),
    Twin(
        "shift's sign",
        "sign|ratio",
        "shifts",
        "A longer distance and a larger shift go the same way.",
    ),
)
def behler_parrinello_symmetry(slip):
    def pairs(positions, box, cutoff):
        d = positions[:, None] - positions[None]
        d = d - box * jnp.round(d / box)
        r = length(d)
        near = (r > 0) & (r < cutoff)
        smooth = jnp.where(near, (jnp.cos(jnp.pi * r / cutoff) + 1) / 2, 0)
        return d, r, near, smooth

    def bells(r, etas, shifts):
        off = r[..., None] - shifts
        return off, jnp.exp(-etas * off**2)

    def plain(positions, etas, shifts, box, cutoff):
        _, r, _, smooth = pairs(positions, box, cutoff)
        return (bells(r, etas, shifts)[1] * smooth[..., None]).sum(1)

    symmetry = jax.custom_vjp(plain, nondiff_argnums=(3, 4))

    def fwd(positions, etas, shifts, box, cutoff):
        given = positions, etas, shifts
        return plain(*given, box, cutoff), given

    def bwd(box, cutoff, res, g):
        positions, etas, shifts = res
        d, r, near, smooth = pairs(positions, box, cutoff)
        off, bell = bells(r, etas, shifts)
        pulled = g[:, None] * bell
        doff = -2 * etas * off * pulled * smooth[..., None]
        dr = doff.sum(-1)
        if slip != "cutoff held":
            slope = -jnp.pi / (2 * cutoff) * jnp.sin(jnp.pi * r / cutoff)
            dr = dr + pulled.sum(-1) * slope
        dr = jnp.where(near, dr, 0)
        both = dr if slip == "centres alone" else dr + dr.T
        dx = (both[..., None] * d / jnp.where(near, r, 1)[..., None]).sum(1)
        deta = -(off**2 * pulled * smooth[..., None]).sum((0, 1))
        dshift = doff.sum((0, 1))
        return dx, deta, dshift if slip == "shift's sign" else -dshift

    symmetry.defvjp(fwd, bwd)
    return symmetry, plain

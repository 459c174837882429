"""Points and angles: distances, chains of joints, torsions, lists of neighbours."""

import jax
import jax.numpy as jnp
import numpy as np

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


def sharing_a_point(rng):
    """Two sets of points, of which one is in both."""
    x = normal(rng, 4, 3)
    return x, normal(rng, 5, 3).at[2].set(x[1])


@case(
    "pairwise distances in ott-jax and kernels of GPJax",
    "distance matrix",
    draw(x=(4, 3), y=(5, 3)),
    Twin("sign of y", "sign|ratio", "y", "Both sets are pulled the same way."),
    Twin("squared", "function|factor|operand", "x y", "Not divided by the distance."),
    Twin(
        "equal points",
        "edge|mask|predicate",
        "x y",
        "A pair of equal points is divided by zero.",
        witness=sharing_a_point,
    ),
)
def distance_matrix(slip):
    @jax.custom_vjp
    def distances(x, y):
        square = ((x[:, None] - y) ** 2).sum(-1)
        apart = square > 0
        return jnp.where(apart, jnp.sqrt(jnp.where(apart, square, 1)), 0)

    def fwd(x, y):
        d = distances.fun(x, y)
        return d, (x, y, d)

    def bwd(res, g):
        x, y, d = res
        pull = g / jnp.where(d > 0, d, 1)
        if slip == "equal points":
            pull = g / d
        if slip == "squared":
            pull = 2 * g
        moves = pull[..., None] * (x[:, None] - y)
        dy = moves.sum(0)
        return moves.sum(1), dy if slip == "sign of y" else -dy

    distances.defvjp(fwd, bwd)
    return distances, distances.fun


@case(
    "forward kinematics in brax and jaxsim",
    "kinematic chain",
    lambda rng: (normal(rng, 4), positive(rng, 4), jnp.zeros(2, jnp.float32)),
    Twin("own link only", "path|term|sum", "angles", "A joint turns its link alone."),
    Twin(
        "summed forwards", "index|operand|sum|axis", "angles lengths", "From base on."
    ),
    Twin("base from the tip", "sum|axis|path|term", "base", "Only the tip moves it."),
)
def planar_chain(slip):
    """Positions of the joints of an arm in the plane."""

    def heading(angles):
        phi = jnp.cumsum(angles)
        return jnp.stack([jnp.cos(phi), jnp.sin(phi)], -1)

    @jax.custom_vjp
    def joints(angles, lengths, base):
        return base + jnp.cumsum(lengths[:, None] * heading(angles), 0)

    def fwd(angles, lengths, base):
        return joints.fun(angles, lengths, base), (angles, lengths)

    def later(a):
        return jnp.cumsum(a[::-1], 0)[::-1]

    def bwd(res, g):
        angles, lengths = res
        along = heading(angles)
        across = jnp.stack([-along[:, 1], along[:, 0]], -1)
        dlinks = jnp.cumsum(g, 0) if slip == "summed forwards" else later(g)
        dphi = lengths * (dlinks * across).sum(-1)
        dangles = dphi if slip == "own link only" else later(dphi)
        dbase = g[-1] if slip == "base from the tip" else g.sum(0)
        return dangles, (dlinks * along).sum(-1), dbase

    joints.defvjp(fwd, bwd)
    return joints, joints.fun


def backbone(rng):
    """A chain of six atoms and the torsions of its bonds."""
    quads = np.arange(3)[:, None] + np.arange(4)
    return normal(rng, 6, 3), jnp.asarray(quads, jnp.int32)


@case(
    "torsions of force fields in jax-md and DMFF",
    "torsion angle",
    backbone,
    Twin("inner atoms", "term|path", "atoms", "The second atom lacks the far plane."),
    Twin("last atom's sign", "sign|ratio|index|term", "atoms", "It is turned back."),
    Twin("atoms overwritten", "duplicates|index", "atoms", "set in place of add."),
    narrow=False,
    scales=(1.0, 10.0),
)
def dihedral_angle(slip):
    @jax.custom_vjp
    def torsion(atoms, quads):
        p = atoms[quads]
        b1, b2, b3 = p[:, 1] - p[:, 0], p[:, 2] - p[:, 1], p[:, 3] - p[:, 2]
        m, n = jnp.cross(b1, b2), jnp.cross(b2, b3)
        length = jnp.sqrt((b2 * b2).sum(-1))
        return jnp.arctan2(length * (b1 * n).sum(-1), (m * n).sum(-1))

    def fwd(atoms, quads):
        return torsion.fun(atoms, quads), (atoms, quads)

    def bwd(res, g):
        atoms, quads = res
        p = atoms[quads]
        f, b, h = p[:, 0] - p[:, 1], p[:, 1] - p[:, 2], p[:, 3] - p[:, 2]
        m, n = jnp.cross(f, b), jnp.cross(h, b)
        length = jnp.sqrt((b * b).sum(-1, keepdims=True))
        m = m / (m * m).sum(-1, keepdims=True)
        n = n / (n * n).sum(-1, keepdims=True)
        near = (f * b).sum(-1, keepdims=True) / length * m
        far = (h * b).sum(-1, keepdims=True) / length * n
        first, last = -length * m, length * n
        second = near - far - first
        third = far - near - last
        if slip == "inner atoms":
            second = near - first
        if slip == "last atom's sign":
            last = -last
        each = g[:, None, None] * jnp.stack([first, second, third, last], 1)
        start = jnp.zeros_like(atoms)
        if slip == "atoms overwritten":
            return start.at[quads].set(each), None
        return start.at[quads].add(each), None

    torsion.defvjp(fwd, bwd)
    return torsion, torsion.fun


def particles(rng, side: float):
    """Positions in a box and lists of the others, padded with the number of all."""
    count = 6
    rows = [[j for j in range(count) if j != i] for i in range(count)]
    listed = [[*row[: count - 2], count] for row in rows]
    r = positive(rng, count, 2, low=0.0, high=side)
    return r, jnp.float32(1.3), jnp.asarray(listed, jnp.int32), side


@case(
    "jax_md.energy.soft_sphere_neighbor_list",
    "pair energy",
    lambda rng: particles(rng, 2.0),
    Twin("no reaction", "path|term|sum", "r", "The neighbour is not pushed back."),
    Twin("open box", "function|operand|path|residual", "r sigma", "No nearest image."),
    Twin(
        "padding counted",
        "mask|region|predicate|index",
        "r sigma",
        "Empty places of the lists are taken for the last particle.",
    ),
    fixed=(1,),
    narrow=False,
    scales=(1.0,),
)
def soft_sphere_neighbours(slip):
    """Half the sum over the lists of (1 - d / sigma)^2 / 2, in a periodic box."""

    def pairs(r, neighbours, side, wrap=True):
        listed = neighbours < r.shape[0]
        other = jnp.minimum(neighbours, r.shape[0] - 1)
        apart = r[:, None] - r[other]
        if wrap:
            apart = apart - side * jnp.round(apart / side)
        square = (apart * apart).sum(-1)
        d = jnp.sqrt(jnp.where(square > 0, square, 1))
        return apart, d, listed & (square > 0), other

    def energy(r, sigma, neighbours, side):
        _, d, listed, _ = pairs(r, neighbours, side)
        overlap = jnp.maximum(1 - d / sigma, 0)
        return 0.25 * jnp.where(listed, overlap**2, 0).sum()

    soft_sphere = jax.custom_vjp(energy, nondiff_argnums=(3,))

    def fwd(r, sigma, neighbours, side):
        return energy(r, sigma, neighbours, side), (r, sigma, neighbours)

    def bwd(side, res, g):
        r, sigma, neighbours = res
        apart, d, listed, other = pairs(r, neighbours, side, slip != "open box")
        if slip == "padding counted":
            listed = jnp.ones_like(listed)
        overlap = jnp.where(listed, jnp.maximum(1 - d / sigma, 0), 0)
        push = (-0.5 * g * overlap / (sigma * d))[..., None] * apart
        dr = push.sum(1)
        if slip != "no reaction":
            dr = dr.at[other].add(-push)
        dsigma = 0.5 * g * (overlap * d).sum() / sigma**2
        return dr, dsigma.astype(sigma.dtype), None

    soft_sphere.defvjp(fwd, bwd)
    return soft_sphere, energy

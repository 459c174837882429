"""Point clouds, charges and images of rays."""

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


def conformers(mirror):
    def args(rng):
        x = normal(rng, 6, 3)
        y = x * jnp.asarray([mirror, 1, 1], jnp.float32) + 0.3 * normal(rng, 6, 3)
        return x, y, jnp.ones(6)

    return args


@case(
    "RMSD after superposition of structures (jax-md, alphafold losses)",
    "alignment of points",
    conformers(1),
    Twin(
        "not turned back",
        "transpose|function|operand",
        "y",
        "The other structure's gradient stays in the frame of the first.",
    ),
    Twin(
        "weights not normalised",
        "term|path|affine",
        "weights",
        "That the weights' sum divides is left out of their gradient.",
    ),
    Twin(
        "mirror image",
        "mask|region|function|operand|edge|residual|predicate|sign",
        "x y",
        "The rotation of the backward pass may be a reflection.",
        witness=conformers(-1),
    ),
    narrow=False,
)
def kabsch_rmsd(slip):
    def centred(a, w):
        return a - (w[:, None] * a).sum(0) / w.sum()

    def rotation(x, y, w, proper=True):
        u, _, vt = jnp.linalg.svd((w[:, None] * x).T @ y)
        turned = jnp.sign(jnp.linalg.det(u @ vt))
        last = turned if proper else jnp.ones_like(turned)
        return (u * jnp.stack([jnp.ones_like(last), jnp.ones_like(last), last])) @ vt

    def deviation(x, y, w, proper=True):
        x, y = centred(x, w), centred(y, w)
        r = rotation(x, y, w, proper)
        return x - y @ r.T, r

    def root(square):
        return jnp.where(square > 0, jnp.sqrt(jnp.where(square > 0, square, 1)), 0)

    @jax.custom_vjp
    def rmsd(x, y, weights):
        d, _ = deviation(x, y, weights)
        return root((weights * (d**2).sum(-1)).sum() / weights.sum())

    def fwd(x, y, weights):
        return rmsd.fun(x, y, weights), (x, y, weights)

    def bwd(res, g):
        x, y, w = res
        d, r = deviation(x, y, w, slip != "mirror image")
        each, total = (d**2).sum(-1), w.sum()
        square = (w * each).sum() / total
        scale = g / (total * jnp.where(square > 0, root(square), 1))
        dx = scale * w[:, None] * d
        dy = -dx if slip == "not turned back" else -dx @ r
        dw = scale * each / 2
        if slip != "weights not normalised":
            dw = dw - scale * square / 2
        return dx, dy, dw

    rmsd.defvjp(fwd, bwd)
    return rmsd, rmsd.fun


def clouds(na, nb):
    def args(rng):
        kept = (jnp.arange(5) < na, jnp.arange(6) < nb)
        return normal(rng, 5, 3), normal(rng, 6, 3), *kept

    return args


@case(
    "pytorch3d.loss.chamfer_distance with padded clouds, as ported to JAX",
    "point clouds",
    clouds(5, 6),
    Twin(
        "nearest stays",
        "path|term|index",
        "a b",
        "The points that were nearest are not pulled.",
    ),
    Twin(
        "padding counted",
        "ratio|factor|constant|operand",
        "a b",
        "The mean of the backward pass is over the padded size.",
        witness=clouds(3, 4),
    ),
    Twin(
        "padding pulled",
        "mask|region|predicate",
        "a b",
        "Points that are padding look for their nearest as well.",
        witness=clouds(3, 4),
    ),
)
def chamfer_distance(slip):
    def nearest(a, b, kept):
        square = ((a[:, None] - b) ** 2).sum(-1)
        return jnp.argmin(jnp.where(kept, square, jnp.inf), 1)

    def one_way(a, b, kept_a, kept_b):
        j = nearest(a, b, kept_b)
        used = kept_a & kept_b.any()
        count = jnp.maximum(used.sum(), 1).astype(a.dtype)
        return a - b[j], j, used, count

    @jax.custom_vjp
    def chamfer(a, b, kept_a, kept_b):
        total = jnp.zeros((), a.dtype)
        for pair in ((a, b, kept_a, kept_b), (b, a, kept_b, kept_a)):
            d, _, used, count = one_way(*pair)
            total = total + jnp.where(used, (d**2).sum(-1), 0).sum() / count
        return total

    def fwd(a, b, kept_a, kept_b):
        return chamfer.fun(a, b, kept_a, kept_b), (a, b, kept_a, kept_b)

    def bwd(res, g):
        a, b, kept_a, kept_b = res
        grads = [jnp.zeros_like(a), jnp.zeros_like(b)]
        pairs = ((a, b, kept_a, kept_b), (b, a, kept_b, kept_a))
        for own, pair in enumerate(pairs):
            d, j, used, count = one_way(*pair)
            if slip == "padding counted":
                count = len(d)
            if slip == "padding pulled":
                used = jnp.ones_like(used)
            pull = 2 * g / count * jnp.where(used[:, None], d, 0)
            grads[own] = grads[own] + pull
            if slip != "nearest stays":
                grads[1 - own] = grads[1 - own].at[j].add(-pull)
        return *grads, None, None

    chamfer.defvjp(fwd, bwd)
    return chamfer, chamfer.fun


def ions(rng):
    grid = np.array([[0, 0, 0], [1.5, 0, 0], [0, 1.6, 0], [0, 0, 1.7], [2.4, 1.5, 0.3]])
    x = jnp.asarray(grid + 0.1 * rng.normal(size=grid.shape), jnp.float32)
    box = jnp.asarray([3.2, 3.3, 3.4], jnp.float32)
    return x, jnp.asarray([1, -1, 1, -1, 0.5], jnp.float32), box, 1.6


@case(
    "reaction-field electrostatics in a periodic box (DMFF, jax-md)",
    "energy of particles",
    ions,
    Twin(
        "images fixed",
        "path|zero|term",
        "box",
        "That an image moves with the box is left out.",
    ),
    Twin(
        "charges of one side",
        "ratio|factor|term|path",
        "charges",
        "A charge is pulled as the first of its pairs only.",
    ),
    Twin(
        "field of the reaction",
        "term|path|function",
        "positions box",
        "The quadratic term has no force.",
    ),
    narrow=False,
    fixed=(0, 2),
    scales=(0.1, 1.0, 10.0),
)
def reaction_field_coulomb(slip):
    def pairs(positions, box, cutoff):
        d = positions[:, None] - positions
        image = jnp.round(d / box)
        d = d - box * image
        square = (d**2).sum(-1)
        used = (square < cutoff**2) & ~jnp.eye(len(positions), dtype=bool)
        return d, image, jnp.sqrt(jnp.where(used, square, 1)), used

    def potential(r, used, cutoff):
        """1/r + r**2/2c**3 - 3/2c: within a conductor, without force at c."""
        shifted = (cutoff - r) ** 2 * (2 * cutoff + r) / (2 * r * cutoff**3)
        return jnp.where(used, shifted, 0)

    def plain(positions, charges, box, cutoff):
        _, _, r, used = pairs(positions, box, cutoff)
        return 0.5 * charges @ potential(r, used, cutoff) @ charges

    energy = jax.custom_vjp(plain, nondiff_argnums=(3,))

    def fwd(positions, charges, box, cutoff):
        return plain(positions, charges, box, cutoff), (positions, charges, box)

    def bwd(cutoff, res, g):
        positions, charges, box = res
        d, image, r, used = pairs(positions, box, cutoff)
        slope = (r - cutoff) * (cutoff**2 + cutoff * r + r**2) / (r**2 * cutoff**3)
        if slip == "field of the reaction":
            slope = -1 / r**2
        strength = g * charges[:, None] * charges * jnp.where(used, slope / r, 0)
        dd = strength[..., None] * d
        dbox = -0.5 * (dd * image).sum((0, 1))
        if slip == "images fixed":
            dbox = jnp.zeros_like(box)
        side = 0.5 if slip == "charges of one side" else 1.0
        dcharges = side * g * potential(r, used, cutoff) @ charges
        return dd.sum(1), dcharges, dbox

    energy.defvjp(fwd, bwd)
    return energy, plain


def phantom(rng):
    angles = jnp.asarray(np.linspace(0.1, 2.9, 4), jnp.float32)
    return positive(rng, 6, 6, low=0, high=1), angles


@case(
    "Radon transform of tomography in JAX, with angles that are calibrated",
    "tomography",
    phantom,
    Twin(
        "nearest pixel",
        "function|factor|region|operand",
        "image",
        "A ray is smeared back over the nearest pixels, not over four.",
    ),
    Twin(
        "beyond the border",
        "index|mask|region|elements",
        "image",
        "What lies outside of the image is put back on its border.",
    ),
    Twin(
        "turned the other way",
        "sign|function|swap",
        "angles",
        "The rays' points move as if the angle were reversed.",
    ),
    fixed=(1,),
    narrow=False,
)
def radon_transform(slip):
    def points(n, angles):
        """Where ray s of angle a is after t steps, and its speed in a."""
        line = jnp.arange(n, dtype=angles.dtype) - (n - 1) / 2
        s, t = line[:, None], line
        cos, sin = jnp.cos(angles)[:, None, None], jnp.sin(angles)[:, None, None]
        x, y = s * cos - t * sin, s * sin + t * cos
        return x + (n - 1) / 2, y + (n - 1) / 2, -y, x

    def corners(image, x, y):
        n = len(image)
        left, top = jnp.floor(x), jnp.floor(y)
        for i in (0, 1):
            for j in (0, 1):
                row, column = (top + i).astype(int), (left + j).astype(int)
                inside = (row >= 0) & (row < n) & (column >= 0) & (column < n)
                at = (jnp.clip(row, 0, n - 1), jnp.clip(column, 0, n - 1))
                fy, fx = y - top, x - left
                wy, wx = (fy if i else 1 - fy), (fx if j else 1 - fx)
                yield at, inside, wy, wx, 2 * i - 1, 2 * j - 1

    @jax.custom_vjp
    def radon(image, angles):
        x, y, _, _ = points(len(image), angles)
        total = 0
        for at, inside, wy, wx, _, _ in corners(image, x, y):
            total = total + jnp.where(inside, image[at], 0) * wy * wx
        return total.sum(-1)

    def fwd(image, angles):
        return radon.fun(image, angles), (image, angles)

    def bwd(res, g):
        image, angles = res
        x, y, vx, vy = points(len(image), angles)
        dimage, dx, dy = jnp.zeros_like(image), 0, 0
        for at, inside, wy, wx, up, right in corners(image, x, y):
            value = jnp.where(inside, image[at], 0)
            dx, dy = dx + value * wy * right, dy + value * wx * up
            w = wy * wx
            if slip == "nearest pixel":
                w = ((wy > 0.5) & (wx > 0.5)).astype(w.dtype)
            if slip != "beyond the border":
                w = jnp.where(inside, w, 0)
            dimage = dimage.at[at].add(w * g[..., None])
        if slip == "turned the other way":
            vx, vy = -vx, -vy
        dangles = (g[..., None] * (dx * vx + dy * vy)).sum((1, 2))
        return dimage, dangles

    radon.defvjp(fwd, bwd)
    return radon, radon.fun

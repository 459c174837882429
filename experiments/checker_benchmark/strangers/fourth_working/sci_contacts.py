"""Similarity of images, padded borders, contacts with the ground."""

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.signal import convolve2d

from experiments.checker_benchmark.strangers.record import (
    Stranger,
    Twin,
    collect,
    normal,
    positive,
)

CASES: list[Stranger] = []
case = collect(CASES)


def images(rng):
    return positive(rng, 9, 8, low=0, high=1), positive(rng, 9, 8, low=0, high=1), 1.0


@case(
    "dm_pix.ssim, with a Gaussian window",
    "loss of images",
    images,
    Twin(
        "means held in the variances",
        "term|path",
        "x y",
        "Variances and covariance do not see the local means.",
    ),
    Twin(
        "all pixels",
        "ratio|factor|constant|sum",
        "x y",
        "Divided by the number of pixels, where there are fewer windows.",
    ),
    Twin(
        "taken for symmetric",
        "swap|operand|residual",
        "y",
        "The second image's gradient has the means of the other image.",
    ),
    narrow=False,
)
def structural_similarity(slip):
    bell = np.exp(-0.5 * (np.arange(-2, 3) / 1.5) ** 2)
    window = np.outer(bell, bell) / bell.sum() ** 2

    def blur(a):
        return convolve2d(a, jnp.asarray(window, a.dtype), mode="valid")

    def blur_back(a):
        return convolve2d(a, jnp.asarray(window, a.dtype), mode="full")

    def terms(x, y, extent):
        c1, c2 = (0.01 * extent) ** 2, (0.03 * extent) ** 2
        mx, my = blur(x), blur(y)
        spread = blur(x * x) + blur(y * y) - mx * mx - my * my
        together = blur(x * y) - mx * my
        above = 2 * mx * my + c1, 2 * together + c2
        below = mx * mx + my * my + c1, spread + c2
        return mx, my, *above, *below

    def plain(x, y, extent):
        _, _, a1, a2, b1, b2 = terms(x, y, extent)
        return (a1 * a2 / (b1 * b2)).mean()

    ssim = jax.custom_vjp(plain, nondiff_argnums=(2,))

    def fwd(x, y, extent):
        return plain(x, y, extent), (x, y)

    def bwd(extent, res, g):
        x, y = res
        mx, my, a1, a2, b1, b2 = terms(x, y, extent)
        each = g / (x.size if slip == "all pixels" else mx.size)
        above1, above2 = each * a2 / (b1 * b2), each * a1 / (b1 * b2)
        total = each * a1 * a2 / (b1 * b2)
        below1, below2 = -total / b1, -total / b2
        da, db = above1 - above2, below1 - below2
        if slip == "means held in the variances":
            da, db = above1, below1

        def towards(x, y, mx, my):
            dmean = blur_back(2 * my * da + 2 * mx * db)
            return dmean + 2 * x * blur_back(below2) + 2 * y * blur_back(above2)

        swapped = (mx, my) if slip == "taken for symmetric" else (my, mx)
        return towards(x, y, mx, my), towards(y, x, *swapped)

    ssim.defvjp(fwd, bwd)
    return ssim, plain


def bordered(mode):
    def args(rng):
        return normal(rng, 3, 6), 2, mode

    return args


@case(
    "periodic and reflecting borders of convolutions in jax-cfd and flax models",
    "padding",
    bordered("reflect"),
    Twin(
        "borders not turned round",
        "index|operand|transpose|elements",
        "x",
        "Reflected borders are added in their own order.",
    ),
    Twin(
        "edge itself",
        "index|region|option|elements",
        "x",
        "Folded back as a reflection that repeats the outermost entry.",
    ),
    Twin(
        "sides",
        "swap|index|operand|option|elements",
        "x",
        "Of periodic borders each goes back to the side next to it.",
        witness=bordered("wrap"),
    ),
)
def padded_edges(slip):
    def plain(x, width, mode):
        return jnp.pad(x, ((0, 0), (width, width)), mode=mode)

    pad = jax.custom_vjp(plain, nondiff_argnums=(1, 2))

    def fwd(x, width, mode):
        return plain(x, width, mode), None

    def bwd(width, mode, _, g):
        n = g.shape[1] - 2 * width
        left, dx, right = jnp.split(g, [width, width + n], axis=1)
        if mode == "reflect":
            skip = 0 if slip == "edge itself" else 1
            if slip != "borders not turned round":
                left, right = left[:, ::-1], right[:, ::-1]
            dx = dx.at[:, skip : skip + width].add(left)
            return (dx.at[:, n - skip - width : n - skip].add(right),)
        if mode == "wrap":
            if slip == "sides":
                left, right = right, left
            return (dx.at[:, n - width :].add(left).at[:, :width].add(right),)
        dx = dx.at[:, 0].add(left.sum(1))  # mode "edge"
        return (dx.at[:, -1].add(right.sum(1)),)

    pad.defvjp(fwd, bwd)
    return pad, plain


def feet(rng):
    position, velocity = normal(rng, 6, 3, std=0.1), normal(rng, 6, 3)
    names = {"stiffness": 100.0, "damping": 0.5, "friction": 0.8}
    return position, velocity, jax.tree.map(jnp.float32, names)


def leaving(rng):
    position, velocity, parameters = feet(rng)
    rising = jnp.arange(6, dtype=jnp.float32) - 1.25
    return position.at[:, 2].set(-0.1), velocity.at[:, 2].set(rising), parameters


@case(
    "brax.spring: penalty contacts of points with the ground, with friction",
    "contact",
    feet,
    Twin(
        "load of the friction",
        "term|path",
        "position velocity parameters",
        "That friction grows with the normal force is left out.",
    ),
    Twin(
        "direction held",
        "term|path",
        "velocity",
        "The direction of slip is held while the velocity moves.",
    ),
    Twin(
        "adhesion",
        "mask|region|predicate",
        "position velocity parameters",
        "Points that leave fast, where the force is clipped, are pulled back.",
        witness=leaving,
    ),
    fixed=(2,),
    narrow=False,
)
def penalty_contact(slip):
    smoothing = 1e-2

    def load(position, velocity, p):
        depth = jnp.maximum(-position[:, 2], 0)
        damped = 1 - p["damping"] * velocity[:, 2]
        return depth, damped, jnp.maximum(p["stiffness"] * depth * damped, 0)

    def slide(velocity):
        sliding = velocity[:, :2]
        return sliding, jnp.sqrt((sliding**2).sum(-1) + smoothing**2)

    @jax.custom_vjp
    def force(position, velocity, parameters):
        _, _, normal_force = load(position, velocity, parameters)
        sliding, speed = slide(velocity)
        drag = parameters["friction"] * normal_force / speed
        return jnp.concatenate([-drag[:, None] * sliding, normal_force[:, None]], 1)

    def fwd(position, velocity, parameters):
        known = (position, velocity, parameters)
        return force.fun(*known), known

    def bwd(res, g):
        position, velocity, p = res
        depth, damped, normal_force = load(*res)
        sliding, speed = slide(velocity)
        along = (g[:, :2] * sliding).sum(-1) / speed
        dforce = g[:, 2]
        if slip != "load of the friction":
            dforce = dforce - p["friction"] * along
        touching = depth > 0
        if slip != "adhesion":
            touching = touching & (normal_force > 0)
        dforce = jnp.where(touching, dforce, 0)
        turned = g[:, :2]
        if slip != "direction held":
            turned = turned - (along / speed)[:, None] * sliding
        drag = p["friction"] * normal_force / speed
        dsliding = -drag[:, None] * turned
        drising = -p["stiffness"] * p["damping"] * depth * dforce
        dheight = -p["stiffness"] * damped * dforce
        dparameters = {
            "stiffness": (dforce * depth * damped).sum(),
            "damping": -(dforce * p["stiffness"] * depth * velocity[:, 2]).sum(),
            "friction": -(normal_force * along).sum(),
        }
        dposition = jnp.zeros_like(position).at[:, 2].set(dheight)
        return dposition, jnp.column_stack([dsliding, drising]), dparameters

    force.defvjp(fwd, bwd)
    return force, force.fun

"""Rotations, rigid motions, cameras and distance fields."""

import math

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


@case(
    "pytorch3d.transforms.rotation_6d_to_matrix, as ported to JAX",
    "rotation",
    draw(x=(4, 6)),
    Twin(
        "projection's part",
        "term|path",
        "x",
        "The first vector has no gradient through what is taken off the second.",
    ),
    Twin(
        "cross product the other way",
        "sign|swap|transpose",
        "x",
        "The third row is pulled back to the first two with its sign reversed.",
    ),
    Twin(
        "second not projected",
        "term|path|function",
        "x",
        "The second vector's gradient keeps its part along the first.",
    ),
)
def rotation_6d(slip):
    floor = 1e-12

    def dot(a, b):
        return (a * b).sum(-1, keepdims=True)

    def length(a):
        return jnp.sqrt(jnp.maximum(dot(a, a), floor))

    def basis(x):
        a, c = x[..., :3], x[..., 3:]
        first = a / length(a)
        rest = c - dot(first, c) * first
        return a, c, first, rest, rest / length(rest)

    @jax.custom_vjp
    def matrix(x):
        _, _, first, _, second = basis(x)
        return jnp.stack([first, second, jnp.cross(first, second)], -2)

    def pull_unit(a, unit, g):
        along = jnp.where(dot(a, a) > floor, unit * dot(unit, g), 0)
        return (g - along) / length(a)

    def bwd(x, g):
        a, c, first, rest, second = basis(x)
        g1, g2, g3 = g[..., 0, :], g[..., 1, :], g[..., 2, :]
        turn = -1 if slip == "cross product the other way" else 1
        d1 = g1 + turn * jnp.cross(second, g3)
        d2 = g2 + turn * jnp.cross(g3, first)
        drest = pull_unit(rest, second, d2)
        if slip != "projection's part":
            d1 = d1 - dot(first, drest) * c - dot(first, c) * drest
        dc = drest
        if slip != "second not projected":
            dc = dc - dot(first, drest) * first
        return (jnp.concatenate([pull_unit(a, first, d1), dc], -1),)

    matrix.defvjp(lambda x: (matrix.fun(x), x), bwd)
    return matrix, matrix.fun


@case(
    "jaxlie.SE3.exp: unit quaternion and translation of a twist",
    "rigid motion",
    draw(omega=(2, 3), upsilon=(2, 3)),
    Twin(
        "coefficients constant",
        "term|path",
        "omega",
        "The coefficients' dependence on the angle is left out.",
    ),
    Twin(
        "not transposed",
        "sign|transpose|swap",
        "upsilon",
        "The translation is pulled back with omega x where its transpose belongs.",
    ),
    Twin(
        "no series at rest",
        "edge|zero|mask|region",
        "omega",
        "The coefficients' slopes divide by the angle when there is no rotation.",
        witness=lambda rng: (jnp.zeros((2, 3)), normal(rng, 2, 3)),
    ),
    narrow=False,
    scales=(0.01, 0.1, 1.0, 2.0),
)
def se3_exponential(slip):
    powers = range(8)
    table = {
        "cosine": [(-1) ** k / (4**k * math.factorial(2 * k)) for k in powers],
        "half": [
            (-1) ** k / (2 ** (2 * k + 1) * math.factorial(2 * k + 1)) for k in powers
        ],
        "one": [(-1) ** k / math.factorial(2 * k + 2) for k in powers],
        "two": [(-1) ** k / math.factorial(2 * k + 3) for k in powers],
    }

    def series(t, name):
        return sum(c * t**k for k, c in enumerate(table[name]))

    def slope_series(t, name):
        return sum(k * c * t ** (k - 1) for k, c in enumerate(table[name]) if k)

    def coefficients(t):
        """cos r/2, sin(r/2)/r, (1 - cos r)/r**2, (r - sin r)/r**3 of t = r**2."""
        small = t < 1
        r = jnp.sqrt(jnp.where(small, 1, t))
        sin, cos = jnp.sin(r), jnp.cos(r)
        far = (jnp.cos(r / 2), jnp.sin(r / 2) / r, (1 - cos) / r**2, (r - sin) / r**3)
        near = jnp.where(small, t, 0)
        pairs = zip(table, far, strict=True)
        return [jnp.where(small, series(near, n), f) for n, f in pairs]

    def slopes(t):
        """The derivatives with respect to t, but for the cosine's."""
        small = (t < 1) & (slip != "no series at rest")
        r = jnp.sqrt(jnp.where(small, 1, t))
        sin, cos = jnp.sin(r), jnp.cos(r)
        far = (
            (r / 2 * jnp.cos(r / 2) - jnp.sin(r / 2)) / (2 * r**3),
            (r * sin - 2 * (1 - cos)) / (2 * r**4),
            (r * (1 - cos) - 3 * (r - sin)) / (2 * r**5),
        )
        near = jnp.where(small, t, 0)
        pairs = zip(("half", "one", "two"), far, strict=True)
        return [jnp.where(small, slope_series(near, n), f) for n, f in pairs]

    def dot(a, b):
        return (a * b).sum(-1, keepdims=True)

    @jax.custom_vjp
    def exponential(omega, upsilon):
        t = dot(omega, omega)
        w, s, b, c = coefficients(t)
        once = jnp.cross(omega, upsilon)
        moved = upsilon + b * once + c * jnp.cross(omega, once)
        return jnp.concatenate([w, s * omega], -1), moved

    def fwd(omega, upsilon):
        return exponential.fun(omega, upsilon), (omega, upsilon)

    def bwd(res, g):
        w, u = res
        gq, gp = g
        g0, gv = gq[..., :1], gq[..., 1:]
        t = dot(w, w)
        _, s, b, c = coefficients(t)
        once = jnp.cross(w, u)
        dt = -g0 * s / 4
        if slip != "coefficients constant":
            ds, db, dc = slopes(t)
            dt = dt + ds * dot(gv, w) + db * dot(gp, once)
            dt = dt + dc * dot(gp, jnp.cross(w, once))
        dw = 2 * w * dt + s * gv + b * jnp.cross(u, gp)
        dw = dw + c * (gp * dot(w, u) + u * dot(gp, w) - 2 * w * dot(gp, u))
        back = jnp.cross(gp, w)
        if slip == "not transposed":
            back = -back
        du = gp + b * back + c * (w * dot(w, gp) - t * gp)
        return dw, du

    exponential.defvjp(fwd, bwd)
    return exponential, exponential.fun


def camera(rng):
    points = normal(rng, 6, 3).at[:, 2].add(5.0)
    lens = {
        "focal": jnp.asarray([1.2, 1.1], jnp.float32),
        "centre": jnp.asarray([0.5, 0.4], jnp.float32),
        "radial": jnp.asarray([-0.28, 0.07, 0.01], jnp.float32),
    }
    return points, lens


@case(
    "kornia.geometry.camera: pinhole with radial distortion, as ported to JAX",
    "camera",
    camera,
    Twin(
        "radius constant",
        "term|path",
        "points",
        "The points move, but not the distortion at them.",
    ),
    Twin(
        "nearest depth ignored",
        "mask|region|predicate",
        "points",
        "Points that are held at the nearest depth have a gradient of the depth.",
        witness=lambda rng: (normal(rng, 6, 3), camera(rng)[1]),
    ),
    Twin(
        "focal without the lens",
        "factor|operand",
        "lens",
        "The focal length's gradient is of the undistorted coordinates.",
    ),
    narrow=False,
    scales=(0.5, 1.0, 2.0),
)
def distorted_projection(slip):
    near = 0.2

    def normalised(points):
        z = jnp.maximum(points[:, 2:], near)
        xy = points[:, :2] / z
        return z, xy, (xy**2).sum(-1, keepdims=True)

    def bent(radial, r):
        return 1 + r * (radial[0] + r * (radial[1] + r * radial[2]))

    @jax.custom_vjp
    def project(points, lens):
        _, xy, r = normalised(points)
        return lens["focal"] * bent(lens["radial"], r) * xy + lens["centre"]

    def fwd(points, lens):
        return project.fun(points, lens), (points, lens)

    def bwd(res, g):
        points, lens = res
        z, xy, r = normalised(points)
        k = lens["radial"]
        d = bent(k, r)
        dd = (g * lens["focal"] * xy).sum(-1, keepdims=True)
        dxy = g * lens["focal"] * d
        if slip != "radius constant":
            dxy = dxy + 2 * xy * dd * (k[0] + r * (2 * k[1] + 3 * r * k[2]))
        dz = -(dxy * xy).sum(-1, keepdims=True) / z
        if slip != "nearest depth ignored":
            depth = points[:, 2:]
            dz = dz * jnp.where(depth == near, 0.5, depth > near)
        seen = xy if slip == "focal without the lens" else d * xy
        grads = {
            "focal": (g * seen).sum(0),
            "centre": g.sum(0),
            "radial": jnp.stack([(dd * r**n).sum() for n in (1, 2, 3)]),
        }
        return jnp.concatenate([dxy / z, dz], -1), grads

    project.defvjp(fwd, bwd)
    return project, project.fun


@case(
    "distance fields of rounded boxes (jaxsdf, sphere tracers in JAX)",
    "distance field",
    lambda rng: (
        normal(rng, 8, 3),
        positive(rng, 3, low=0.6, high=1.2),
        jnp.float32(0.1),
    ),
    Twin(
        "inside forgotten",
        "path|term|region|mask",
        "points half",
        "Points within the box have no gradient.",
    ),
    Twin(
        "not unfolded",
        "sign|factor",
        "points",
        "The sign of the octant is not put back.",
    ),
    Twin(
        "every face",
        "mask|region|elements",
        "points half",
        "Within the box all axes are pulled, not that of the nearest face.",
    ),
    narrow=False,
)
def rounded_box_sdf(slip):
    def corner(q):
        """The length of what is outside, with gradient 0 where nothing is."""
        outside = jnp.maximum(q, 0)
        square = (outside**2).sum(-1)
        return jnp.where(square > 0, jnp.sqrt(jnp.where(square > 0, square, 1)), 0)

    @jax.custom_vjp
    def distance(points, half, radius):
        q = jnp.abs(points) - half
        return corner(q) + jnp.minimum(q.max(-1), 0) - radius

    def fwd(points, half, radius):
        return distance.fun(points, half, radius), (points, half)

    def bwd(res, g):
        points, half = res
        q = jnp.abs(points) - half
        length = corner(q)[:, None]
        dq = jnp.maximum(q, 0) / jnp.where(length > 0, length, 1)
        deepest = q.max(-1, keepdims=True)
        nearest = (q == deepest).astype(q.dtype)
        nearest = nearest / nearest.sum(-1, keepdims=True)
        if slip == "every face":
            nearest = jnp.ones_like(nearest)
        if slip != "inside forgotten":
            dq = dq + nearest * jnp.where(deepest == 0, 0.5, deepest < 0)
        dq = dq * g[:, None]
        dp = dq if slip == "not unfolded" else dq * jnp.sign(points)
        return dp, -dq.sum(0), -g.sum()

    distance.defvjp(fwd, bwd)
    return distance, distance.fun

"""Shapes: profiles of galaxies, and curves of control points."""

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


def galaxy(rng):
    names = {"amplitude": 1.5, "radius": 1.2, "index": 2.0, "ratio": 0.7, "angle": 0.4}
    params = jax.tree.map(jnp.float32, names | {"x": 0.1, "y": -0.2})
    line = np.linspace(-2, 2, 6)
    return params, jnp.asarray(np.stack(np.meshgrid(line, line), -1), jnp.float32)


@case(
    "JAXtronomy and galsim ports to JAX: images of galaxies by Sersic's profile",
    "light profile",
    galaxy,
    Twin(
        "concentration held",
        "term|path",
        "params",
        "The constant in the exponent depends on the index, too.",
    ),
    Twin(
        "one axis",
        "term|path",
        "params",
        "The ratio stretches one axis and shrinks the other, which is left out.",
    ),
    Twin(
        "turned the other way",
        "sign|ratio",
        "params",
        "The angle's gradient is that of the inverse rotation.",
    ),
    fixed=(0,),
    narrow=False,
)
def sersic_image(slip):
    softening = 0.01

    def ellipse(p, grid):
        x, y = grid[..., 0] - p["x"], grid[..., 1] - p["y"]
        cos, sin = jnp.cos(p["angle"]), jnp.sin(p["angle"])
        u, v = cos * x + sin * y, cos * y - sin * x
        squared = p["ratio"] * u**2 + v**2 / p["ratio"] + softening**2
        return u, v, cos, sin, squared

    def light(p, squared):
        n = p["index"]
        log = jnp.log(squared) / 2 - jnp.log(p["radius"])
        power = jnp.exp(log / n)
        b = 2 * n - 1 / 3 + 4 / (405 * n)
        return log, power, b, jnp.exp(-b * (power - 1))

    @jax.custom_vjp
    def image(params, grid):
        return params["amplitude"] * light(params, ellipse(params, grid)[-1])[-1]

    def fwd(params, grid):
        return image.fun(params, grid), (params, grid)

    def bwd(res, g):
        p, grid = res
        u, v, cos, sin, squared = ellipse(p, grid)
        n, q = p["index"], p["ratio"]
        log, power, b, shape = light(p, squared)
        dexponent = g * p["amplitude"] * shape
        dlog = -b * dexponent * power / n
        dindex = -(dlog * log).sum() / n
        if slip != "concentration held":
            db = -(dexponent * (power - 1)).sum()
            dindex = dindex + db * (2 - 4 / (405 * n**2))
        dsquared = dlog / (2 * squared)
        du, dv = 2 * q * u * dsquared, 2 * v / q * dsquared
        other = 0 if slip == "one axis" else (v / q) ** 2
        dangle = (du * v - dv * u).sum()
        dx, dy = cos * du - sin * dv, sin * du + cos * dv
        grads = {
            "amplitude": (g * shape).sum(),
            "radius": -dlog.sum() / p["radius"],
            "index": dindex,
            "ratio": (dsquared * (u**2 - other)).sum(),
            "angle": -dangle if slip == "turned the other way" else dangle,
            "x": -dx.sum(),
            "y": -dy.sum(),
        }
        return grads, jnp.stack([dx, dy], -1)

    image.defvjp(fwd, bwd)
    return image, image.fun


def track(closed):
    def args(rng):
        high = 7 if closed else 4
        return normal(rng, 7, 2), positive(rng, 8, low=0, high=high), closed

    return args


@case(
    "curves of uniform cubic B-splines in JAX path planners: position and velocity",
    "spline",
    track(False),
    Twin(
        "curvature",
        "term|path|cotangent",
        "t",
        "The velocity's cotangent does not reach the parameter.",
    ),
    Twin(
        "closed curves",
        "index|option|region|elements",
        "points",
        "Past the last point the gradient stays there, where the curve wraps.",
        witness=track(True),
    ),
    Twin(
        "points overwritten",
        "duplicates|index",
        "points",
        "Spans share their points; the last one's cotangent is kept.",
    ),
    fixed=(1,),
)
def bspline_curve(slip):
    cubic = np.array([[1, 4, 1, 0], [-3, 0, 3, 0], [3, -6, 3, 0], [-1, 3, -3, 1]]) / 6

    def basis(s, order):
        """The four weights of a span, or their derivatives."""
        powers = [jnp.ones_like(s), s, s**2, s**3]
        if order == 1:
            powers = [jnp.zeros_like(s), powers[0], 2 * s, 3 * powers[2]]
        if order == 2:
            powers = [jnp.zeros_like(s)] * 2 + [2 * powers[0], 6 * s]
        return jnp.stack(powers, -1) @ jnp.asarray(cubic, s.dtype)

    def spans(t, count, closed):
        last = count - 1 if closed else count - 4
        first = jnp.clip(jnp.floor(t), 0, last)
        nodes = first.astype(jnp.int32)[:, None] + jnp.arange(4)
        return nodes, t - first

    def plain(points, t, closed):
        nodes, s = spans(t, points.shape[0], closed)
        near = points[nodes % points.shape[0]]
        position = jnp.einsum("mk,mkd->md", basis(s, 0), near)
        return position, jnp.einsum("mk,mkd->md", basis(s, 1), near)

    curve = jax.custom_vjp(plain, nondiff_argnums=(2,))

    def fwd(points, t, closed):
        return plain(points, t, closed), (points, t)

    def bwd(closed, res, g):
        points, t = res
        count = points.shape[0]
        nodes, s = spans(t, count, closed)
        near = points[nodes % count]
        parts = basis(s, 0)[:, :, None] * g[0][:, None]
        parts = parts + basis(s, 1)[:, :, None] * g[1][:, None]
        dt = jnp.einsum("mk,mkd,md->m", basis(s, 1), near, g[0])
        if slip != "curvature":
            dt = dt + jnp.einsum("mk,mkd,md->m", basis(s, 2), near, g[1])
        if slip == "closed curves":
            target = jnp.minimum(nodes, count - 1)
        else:
            target = nodes % count
        into = jnp.zeros_like(points).at[target]
        keep = slip == "points overwritten"
        return into.set(parts) if keep else into.add(parts), dt

    curve.defvjp(fwd, bwd)
    return curve, plain

"""More bugs with their threads: splats, cells, poses, points, Bessel functions."""

import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.scipy import special

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
    "jax-ml/jax#40628",
    "special function",
    lambda rng: (normal(rng, 3, 4),),
    Twin(
        "as reported",
        "edge|function|term|elements",
        "x",
        "At zero the slopes of two absolute values, 1 and 0, do not cancel.",
        witness=lambda rng: (normal(rng, 3, 4).at[0, 0].set(0),),
    ),
    kind="bug",
    name="bessel_i0 jax#40628",
    scales=(0.1, 1.0, 3.0),
)
def bessel_i0(slip):
    @jax.custom_vjp
    def i0(x):
        return jnp.exp(jnp.abs(x)) * special.i0e(x)

    def fwd(x):
        return i0.fun(x), x

    def bwd(x, g):
        scale = jnp.exp(jnp.abs(x))
        slope = scale * special.i1e(x)
        if slip:
            side = jnp.where(x >= 0, 1, -1).astype(x.dtype)
            slope = slope + scale * special.i0e(x) * (side - jnp.sign(x))
        return (g * slope,)

    i0.defvjp(fwd, bwd)
    return i0, jnp.i0


def splats(rng):
    pixels = jnp.asarray(list(itertools.product(range(3), range(3))), jnp.float32)
    means = jnp.concatenate(
        [positive(rng, 5, 2, low=0, high=2), positive(rng, 5, 1)], 1
    )
    colours = positive(rng, 5, 3, low=0, high=1)
    return means, positive(rng, 5, low=0.3, high=0.8), colours, pixels


@case(
    "ashawkey/diff-gaussian-rasterization#7",
    "rendering",
    splats,
    Twin(
        "as reported",
        "term|path|zero",
        "means",
        "Depths move the means by their weights only, not by the depths themselves.",
    ),
    kind="bug",
    name="splat_depth diff-gaussian-rasterization#7",
    options=lambda plain: {"nondiff": ("pixels",)},
    fixed=(1, 3),
    narrow=False,
)
def splat_depth(slip):
    def weights(means, opacities, pixels):
        order = jnp.argsort(means[:, 2])
        gap = pixels[:, None] - means[order, :2]
        alpha = opacities[order] * jnp.exp(-(gap**2).sum(-1) / 2)
        before = jnp.cumprod(1 - alpha, 1)
        through = jnp.concatenate([jnp.ones_like(before[:, :1]), before[:, :-1]], 1)
        return order, gap, alpha, through

    @jax.custom_vjp
    def render(means, opacities, colours, pixels):
        order, _, alpha, through = weights(means, opacities, pixels)
        w = alpha * through
        return w @ colours[order], w @ means[order, 2]

    def fwd(*args):
        return render.fun(*args), args

    def bwd(args, g):
        means, opacities, colours, pixels = args
        order, gap, alpha, through = weights(means, opacities, pixels)
        w = alpha * through
        each = g[0] @ colours[order].T + g[1][:, None] * means[order, 2]
        behind = lax.cumsum(w * each, 1, reverse=True) - w * each
        dalpha = through * each - behind / (1 - alpha)
        dgap = -(dalpha * alpha)[:, :, None] * gap
        dmeans = jnp.zeros_like(means).at[order, :2].add(-dgap.sum(0))
        if not slip:
            dmeans = dmeans.at[order, 2].add(g[1] @ w)
        faint = (dalpha * alpha).sum(0) / opacities[order]
        dopacities = jnp.zeros_like(opacities).at[order].add(faint)
        dcolours = jnp.zeros_like(colours).at[order].add(w.T @ g[0])
        return dmeans, dopacities, dcolours, jnp.zeros_like(pixels)

    render.defvjp(fwd, bwd)
    return render, render.fun


def ions(rng):
    cell = 4 * np.eye(3) + 0.3 * rng.normal(size=(3, 3))
    cell = jnp.asarray(cell, jnp.float32)
    charges = jnp.asarray([1.0, -1.0, 0.7, -0.7], jnp.float32)
    return positive(rng, 4, 3, low=0, high=1) @ cell, charges, cell, 0.8


@case(
    "NVIDIA/nvalchemi-toolkit-ops#136",
    "energy of particles",
    ions,
    Twin(
        "as reported",
        "term|path",
        "cell",
        "The wave vectors, built once from the cell, are constants for its gradient.",
    ),
    kind="bug",
    name="ewald_cell nvalchemi-toolkit-ops#136",
    scales=(0.5, 1.0, 2.0),
    narrow=False,
)
def ewald_cell(slip):
    millers = [m for m in itertools.product(range(-2, 3), repeat=3) if m > (0, 0, 0)]

    def sums(positions, charges, cell, alpha):
        m = jnp.asarray(np.array(millers), cell.dtype)
        inverse = jnp.linalg.inv(cell)
        k = 2 * jnp.pi * m @ inverse.T
        squared = (k**2).sum(-1)
        volume = jnp.abs(jnp.linalg.det(cell))
        w = 4 * jnp.pi / volume * jnp.exp(-squared / (4 * alpha**2)) / squared
        phase = positions @ k.T
        return m, inverse, k, squared, volume, w, jnp.cos(phase), jnp.sin(phase)

    def plain(positions, charges, cell, alpha):
        *_, w, cos, sin = sums(positions, charges, cell, alpha)
        return (w * ((charges @ cos) ** 2 + (charges @ sin) ** 2)).sum()

    energy = jax.custom_vjp(plain, nondiff_argnums=(3,))

    def fwd(positions, charges, cell, alpha):
        return plain(positions, charges, cell, alpha), (positions, charges, cell)

    def bwd(alpha, res, g):
        positions, charges, cell = res
        found = sums(positions, charges, cell, alpha)
        m, inverse, k, squared, _, w, cos, sin = found
        real, imag = charges @ cos, charges @ sin
        power = g * w * (real**2 + imag**2)
        dcharges = 2 * g * (cos @ (w * real) + sin @ (w * imag))
        dphase = 2 * g * charges[:, None] * w * (imag * cos - real * sin)
        dcell = -power.sum() * inverse.T
        if not slip:
            fall = 2 * power * (1 / squared + 1 / (4 * alpha**2))
            dk = dphase.T @ positions - fall[:, None] * k
            dcell = dcell - inverse.T @ (2 * jnp.pi * dk.T @ m) @ inverse.T
        return dphase @ k, dcharges, dcell

    energy.defvjp(fwd, bwd)
    return energy, plain


@case(
    "pypose/pypose#395",
    "rigid motion",
    lambda rng: (normal(rng, 3, 6),),
    Twin(
        "as reported",
        "term|path|operand",
        "twist",
        "That the tangent turns the translation about the origin is left out.",
    ),
    kind="bug",
    name="translation_of_exp pypose#395",
    narrow=False,
)
def translation_of_exp(slip):
    def series(s, first, times=lambda n: 1):
        """The sum over n of times(n) (-s)^n / (first + 2n)!, near zero."""
        n = range(8)
        terms = [times(j) * (-1) ** j / math.factorial(first + 2 * j) for j in n]
        return jnp.polyval(jnp.asarray(terms[::-1], s.dtype), s)

    def hat(v):
        x, y, z = v
        o = jnp.zeros_like(x)
        rows = [[o, -z, y], [z, o, -x], [-y, x, o]]
        return jnp.stack([jnp.stack(row) for row in rows])

    def ratios(phi):
        s = phi @ phi
        near = s < 1
        t = jnp.sqrt(jnp.where(near, 1, s))
        s = jnp.where(near, s, 0)
        sin, cos = jnp.sin(t), jnp.cos(t)
        far = (
            (1 - cos) / t**2,
            (t - sin) / t**3,
            (t**2 / 2 + cos - 1) / t**4,
            (2 * t - 3 * sin + t * cos) / (2 * t**5),
        )
        close = [
            series(s, 2),
            series(s, 3),
            series(s, 4),
            series(s, 5, lambda n: n + 1),
        ]
        return [jnp.where(near, c, f) for c, f in zip(close, far, strict=True)]

    def left(phi):
        b, c, *_ = ratios(phi)
        p = hat(phi)
        return jnp.eye(3, dtype=phi.dtype) + b * p + c * p @ p

    @jax.custom_vjp
    def translation(twist):
        return jax.vmap(lambda v: left(v[3:]) @ v[:3])(twist)

    def fwd(twist):
        return translation.fun(twist), (twist, translation.fun(twist))

    def bwd(res, g):
        def one(twist, moved, g):
            r, p = hat(twist[:3]), hat(twist[3:])
            _, c, d, e = ratios(twist[3:])
            mixed = r / 2 + c * (p @ r + r @ p + p @ r @ p)
            mixed = mixed + d * (p @ p @ r + r @ p @ p - 3 * p @ r @ p)
            mixed = mixed + e * (p @ r @ p @ p + p @ p @ r @ p)
            jacobian = left(twist[3:])
            dphi = mixed.T @ g
            if not slip:
                dphi = dphi + jacobian.T @ jnp.cross(moved, g)
            return jnp.concatenate([jacobian.T @ g, dphi])

        return (jax.vmap(one)(*res, g),)

    translation.defvjp(fwd, bwd)
    return translation, translation.fun

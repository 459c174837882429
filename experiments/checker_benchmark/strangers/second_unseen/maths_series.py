"""Functions of one variable and columns of them: tables, Lambert's W, radiation."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from experiments.checker_benchmark.strangers.record import (
    Stranger,
    Twin,
    by_reference,
    collect,
    normal,
    positive,
)

CASES: list[Stranger] = []
case = collect(CASES)


def table(rng, low: float = 0.2, high: float = 3.8):
    """Places, uneven knots from about 0 to about 4, and values."""
    knots = jnp.asarray(np.arange(5) + rng.uniform(-0.15, 0.15, 5), jnp.float32)
    return positive(rng, 6, low=low, high=high), knots, normal(rng, 5)


@case(
    "diffrax.LinearInterpolation and jnp.interp",
    "interpolation",
    table,
    Twin("knots held", "path|zero|term", "knots", "They have no gradient."),
    Twin("knots' sides", "swap|operand|index", "knots", "The far knot has more."),
    Twin(
        "slope outside",
        "mask|region|predicate|edge",
        "x",
        "Beyond the ends, where the value is constant, there is a slope.",
        witness=lambda rng: table(rng, low=-2.0, high=6.0),
    ),
    narrow=False,
    scales=(1.0,),
)
def piecewise_linear(slip):
    """At x the line through (knots, values); the end values beyond the ends."""

    def place(x, knots):
        i = jnp.searchsorted(knots, x, side="right") - 1
        i = jnp.clip(i, 0, knots.size - 2)
        width = knots[i + 1] - knots[i]
        return i, width, (x - knots[i]) / width

    def plain(x, knots, values):
        i, _, w = place(x, knots)
        w = jnp.clip(w, 0, 1)
        return (1 - w) * values[i] + w * values[i + 1]

    @jax.custom_vjp
    def interpolate(x, knots, values):
        return plain(x, knots, values)

    def fwd(x, knots, values):
        return plain(x, knots, values), (x, knots, values)

    def bwd(res, g):
        x, knots, values = res
        i, width, w = place(x, knots)
        slope = g * (values[i + 1] - values[i]) / width
        inside = (w >= 0) & (w <= 1)
        moved = jnp.where(inside, slope, 0)
        near, far = (1 - w) * moved, w * moved
        if slip == "knots' sides":
            near, far = far, near
        dknots = jnp.zeros_like(knots).at[i].add(-near).at[i + 1].add(-far)
        w = jnp.clip(w, 0, 1)
        dvalues = jnp.zeros_like(values).at[i].add((1 - w) * g).at[i + 1].add(w * g)
        if slip == "knots held":
            dknots = jnp.zeros_like(knots)
        return slope if slip == "slope outside" else moved, dknots, dvalues

    interpolate.defvjp(fwd, bwd)
    return interpolate, plain


@case(
    "tfp.substrates.jax.math.lambertw",
    "special function",
    lambda rng: (positive(rng, 6, low=0.2, high=3.0),),
    Twin("z for W", "operand|residual|function", "z", "exp(-z) in place of exp(-W)."),
    Twin("inner slope", "factor|term|function", "z", "1 + W is left out."),
    Twin(
        "at zero",
        "edge|mask|predicate",
        "z",
        "W / (z (1 + W)) is 0 / 0 at zero.",
        witness=lambda rng: (positive(rng, 6).at[2].set(0),),
    ),
    options=by_reference,
)
def lambert_w(slip):
    """W of W exp(W) = z for z above -1/e, by Halley's steps."""

    def halley(w, z):
        e = jnp.exp(w)
        f = w * e - z
        return w - f / (e * (w + 1) - (w + 2) * f / (2 * w + 2))

    def plain(z):
        steps = lax.scan(lambda w, _: (halley(w, z), None), jnp.log1p(z), length=20)
        return steps[0]

    @jax.custom_vjp
    def lambert(z):
        tolerance = 4 * jnp.finfo(z.dtype).eps

        def going(state):
            w, before, count = state
            far = jnp.abs(w - before) > tolerance * (1 + jnp.abs(w))
            return (count < 20) & far.any()

        def step(state):
            w, _, count = state
            return halley(w, z), w, count + 1

        start = jnp.log1p(z)
        return lax.while_loop(going, step, (halley(start, z), start, 1))[0]

    def fwd(z):
        w = lambert.fun(z)
        return w, (z, w)

    def bwd(res, g):
        z, w = res
        slope = jnp.exp(-w) / (1 + w)
        if slip == "z for W":
            slope = jnp.exp(-z) / (1 + w)
        if slip == "inner slope":
            slope = jnp.exp(-w)
        if slip == "at zero":
            slope = w / (z * (1 + w))
        return (g * slope,)

    lambert.defvjp(fwd, bwd)
    return lambert, plain


@case(
    "exojax.spec.rtransfer: emission of an atmosphere that only absorbs",
    "radiative transfer",
    lambda rng: (
        positive(rng, 5, 3, low=0.1, high=0.8),
        positive(rng, 5, 3),
        positive(rng, 3),
    ),
    Twin("own layer shaded", "index|region|term", "depths", "From itself, not below."),
    Twin("ground", "term|path", "depths", "The ground's light is not absorbed."),
    Twin("next layer only", "path|sum|term|region", "depths", "Not all layers below."),
    scales=(0.1, 1.0),
)
def emission_transfer(slip):
    """Light at the top: sources of layers and the ground, each through those above."""

    def transmissions(depths):
        through = jnp.exp(-jnp.cumsum(depths, 0))
        return jnp.concatenate([jnp.ones_like(through[:1]), through])

    @jax.custom_vjp
    def flux(depths, sources, ground):
        t = transmissions(depths)
        return (sources * (t[:-1] - t[1:])).sum(0) + ground * t[-1]

    def fwd(depths, sources, ground):
        return flux.fun(depths, sources, ground), (depths, sources, ground)

    def bwd(res, g):
        depths, sources, ground = res
        t = transmissions(depths)
        below = jnp.concatenate([sources[1:], ground[None]])
        if slip == "ground":
            below = below.at[-1].set(0)
        shaded = g * (below - sources) * t[1:]
        total = jnp.cumsum(shaded[::-1], 0)[::-1]
        if slip == "next layer only":
            total = shaded
        if slip == "own layer shaded":
            total = total - shaded
        return -total, g * (t[:-1] - t[1:]), g * t[-1]

    flux.defvjp(fwd, bwd)
    return flux, flux.fun

"""Bugs with their threads: emission along rays, tables of complex numbers."""

import jax
import jax.numpy as jnp
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
    "mitsuba-renderer/mitsuba-tutorials#18",
    "rendering",
    lambda rng: (positive(rng, 4, 6), positive(rng, 4, 6, 3, low=0, high=1), 0.3),
    Twin(
        "as reported",
        "term|residual|index|operand",
        "density",
        "A segment's transmittance is credited with its own emission, too.",
    ),
    kind="bug",
    name="emission_march mitsuba-tutorials#18",
    scales=(0.1, 1.0, 5.0),
)
def emission_march(slip):
    def plain(density, emission, length):
        def step(carry, item):
            light, beta = carry
            sigma, e = item
            through = jnp.exp(-sigma * length)
            light = light + (beta * -jnp.expm1(-sigma * length))[:, None] * e
            return (light, beta * through), None

        start = jnp.zeros_like(emission[:, 0]), jnp.ones_like(density[:, 0])
        items = density.T, jnp.moveaxis(emission, 1, 0)
        return lax.scan(step, start, items)[0][0]

    march = jax.custom_vjp(plain, nondiff_argnums=(2,))

    def fwd(density, emission, length):
        return plain(density, emission, length), (density, emission)

    def bwd(length, res, g):
        density, emission = res
        depth = jnp.cumsum(density, 1) - density
        items = density.T, jnp.moveaxis(emission, 1, 0), depth.T

        def back(behind, item):
            sigma, e, depth = item
            beta, through = jnp.exp(-depth * length), jnp.exp(-sigma * length)
            opaque = -jnp.expm1(-sigma * length)
            here = opaque[:, None] * e + through[:, None] * behind
            seen = here / through[:, None] if slip else behind
            dthrough = beta * (g * (seen - e)).sum(-1)
            de = (beta * opaque)[:, None] * g
            return here, (-length * through * dthrough, de)

        start = jnp.zeros_like(g)
        ddensity, demission = lax.scan(back, start, items, reverse=True)[1]
        return ddensity.T, jnp.moveaxis(demission, 0, 1)

    march.defvjp(fwd, bwd)
    return march, plain


def response(rng):
    knots = jnp.linspace(0, 5, 6)
    values = lax.complex(normal(rng, 6), normal(rng, 6))
    return knots, values, positive(rng, 4, low=0.1, high=4.9)


@case(
    "ProjectTorreyPines/FastInterpolations.jl#62",
    "interpolation",
    response,
    Twin(
        "as reported",
        "cotangent|sign|function|term",
        "query",
        "The slope, which is complex, is paired with the cotangent's conjugate.",
    ),
    kind="bug",
    name="complex_interpolant FastInterpolations.jl#62",
    options=lambda plain: {"nondiff": ("knots",)},
    fixed=(0, 2),
    narrow=False,
)
def complex_interpolant(slip):
    def cell(knots, query):
        at = jnp.searchsorted(knots, query, side="right") - 1
        at = jnp.clip(at, 0, knots.size - 2)
        width = knots[at + 1] - knots[at]
        return at, width, (query - knots[at]) / width

    @jax.custom_vjp
    def interpolate(knots, values, query):
        at, _, s = cell(knots, query)
        return (1 - s) * values[at] + s * values[at + 1]

    def fwd(knots, values, query):
        return interpolate.fun(knots, values, query), (knots, values, query)

    def bwd(res, g):
        knots, values, query = res
        at, width, s = cell(knots, query)
        slope = (values[at + 1] - values[at]) / width
        paired = jnp.conj(g) if slip else g
        dvalues = jnp.zeros_like(values).at[at].add((1 - s) * g).at[at + 1].add(s * g)
        return jnp.zeros_like(knots), dvalues, (paired * slope).real

    interpolate.defvjp(fwd, bwd)
    return interpolate, interpolate.fun

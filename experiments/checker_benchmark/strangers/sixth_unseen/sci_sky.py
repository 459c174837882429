"""Sky and climate: masses painted on a mesh, long waves through layers."""

import jax
import jax.numpy as jnp
from jax import lax

from experiments.checker_benchmark.strangers.record import (
    Stranger,
    Twin,
    collect,
    positive,
)

CASES: list[Stranger] = []
case = collect(CASES)


@case(
    "jaxpm.painting.cic_paint: masses of particles shared among cells, periodic",
    "particles and meshes",
    lambda rng: (positive(rng, 9, 2, low=0, high=6), positive(rng, 9), 6),
    Twin(
        "mass forgotten",
        "factor|ratio|operand",
        "positions",
        "The slopes of the shares are not multiplied by the masses.",
    ),
    Twin(
        "axes exchanged",
        "swap|axis|transpose|index",
        "positions",
        "The slope along one axis takes the share along the same axis.",
    ),
    Twin(
        "not wrapped",
        "index|region|elements",
        "positions masses",
        "Cells past the last one are read from the last one, not from the first.",
    ),
)
def cloud_in_cell_paint(slip):
    def shares(positions):
        low = jnp.floor(positions)
        s = positions - low
        low = low.astype(jnp.int32)
        for i in (0, 1):
            for j in (0, 1):
                corner = jnp.array([i, j])
                side = jnp.where(corner == 1, s, 1 - s)
                yield low + corner, side, jnp.where(corner == 1, 1, -1).astype(s.dtype)

    def plain(positions, masses, cells):
        mesh = jnp.zeros((cells, cells), masses.dtype)
        for at, side, _ in shares(positions):
            x, y = (at % cells).T
            mesh = mesh.at[x, y].add(masses * side.prod(-1))
        return mesh

    paint = jax.custom_vjp(plain, nondiff_argnums=(2,))

    def fwd(positions, masses, cells):
        return plain(positions, masses, cells), (positions, masses)

    def bwd(cells, res, g):
        positions, masses = res
        dpositions, dmasses = jnp.zeros_like(positions), jnp.zeros_like(masses)
        for at, side, sign in shares(positions):
            upper = sign > 0
            clipped = jnp.minimum((at - upper) % cells + upper, cells - 1)
            x, y = (clipped if slip == "not wrapped" else at % cells).T
            read = g[x, y]
            dmasses = dmasses + read * side.prod(-1)
            other = side if slip == "axes exchanged" else side[:, ::-1]
            heavy = read if slip == "mass forgotten" else read * masses
            dpositions = dpositions + heavy[:, None] * sign * other
        return dpositions, dmasses

    paint.defvjp(fwd, bwd)
    return paint, plain


def grey_atmosphere(rng):
    depths = positive(rng, 6, low=0.05, high=0.5)
    sources = positive(rng, 6, low=0.6, high=1.2)
    return depths, sources, jnp.float32(1.3), jnp.float32(0.95)


@case(
    "long-wave fluxes of a grey atmosphere in climate models in JAX, a surface below",
    "radiation",
    grey_atmosphere,
    Twin(
        "nothing reflected",
        "term|path",
        "depths sources",
        "What the surface reflects came from above; that way back is lost.",
    ),
    Twin(
        "levels reversed",
        "residual|index|operand|swap",
        "depths",
        "The upward fluxes are read from the top for layers that go from the ground.",
    ),
    Twin(
        "diffusivity",
        "factor|ratio|constant",
        "depths",
        "The factor for slanted rays is in the transmission, not in its slope.",
    ),
    fixed=(3,),
)
def two_stream_radiation(slip):
    slant = 1.66

    def through(flux, layer):
        passed, source = layer
        new = flux * passed + source * (1 - passed)
        return new, new

    def run(depths, sources, ground, emissivity):
        """Fluxes at the levels from the top: downward, then upward."""
        passed = jnp.exp(-slant * depths)
        top = jnp.zeros_like(ground)
        bottom, down = lax.scan(through, top, (passed, sources))
        start = emissivity * ground + (1 - emissivity) * bottom
        _, up = lax.scan(through, start, (passed, sources), reverse=True)
        return passed, jnp.append(top, down), jnp.append(up, start)

    def plain(depths, sources, ground, emissivity):
        return run(depths, sources, ground, emissivity)[1:]

    fluxes = jax.custom_vjp(plain)

    def fwd(depths, sources, ground, emissivity):
        passed, down, up = run(depths, sources, ground, emissivity)
        return (down, up), (sources, ground, emissivity, passed, down, up)

    def bwd(res, g):
        sources, ground, emissivity, passed, down, up = res
        ddown, dup = g

        def back(dflux, item):
            t, source, flux, dhere = item
            dflux = dflux + dhere
            return dflux * t, (dflux * (flux - source), dflux * (1 - t))

        enter = up[1:][::-1] if slip == "levels reversed" else up[1:]
        zero = jnp.zeros_like(ground)
        upward = lax.scan(back, zero, (passed, sources, enter, dup[:-1]))
        dstart = upward[0] + dup[-1]
        dbottom = (1 - emissivity) * dstart
        if slip == "nothing reflected":
            dbottom = zero
        items = passed, sources, down[:-1], ddown[1:]
        downward = lax.scan(back, dbottom, items, reverse=True)
        dpassed = upward[1][0] + downward[1][0]
        rate = 1 if slip == "diffusivity" else slant
        demissivity = dstart * (ground - down[-1])
        dsources = upward[1][1] + downward[1][1]
        return -rate * passed * dpassed, dsources, emissivity * dstart, demissivity

    fluxes.defvjp(fwd, bwd)
    return fluxes, plain

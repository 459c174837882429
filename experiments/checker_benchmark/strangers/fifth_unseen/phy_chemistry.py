"""Chemistry: rates of reactions, and levels that are partly occupied."""

import jax
import jax.numpy as jnp
import numpy as np
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

REACTANTS = ((1, 1, 0, 0), (0, 0, 1, 0), (2, 0, 0, 1))
PRODUCTS = ((0, 0, 1, 0), (1, 1, 0, 0), (0, 1, 1, 0))


def reactor(rng):
    return positive(rng, 3, 4, low=0.1), positive(rng, 3), REACTANTS, PRODUCTS


def started(rng):
    concentrations, constants, *orders = reactor(rng)
    return concentrations.at[:, 2:].set(0), constants, *orders


@case(
    "reactors in diffrax: rates of change by the law of mass action",
    "reaction rates",
    reactor,
    Twin(
        "divided by the concentration",
        "edge|nan|finite",
        "concentrations",
        "The rate over the concentration, which is zero over zero at the start.",
        witness=started,
    ),
    Twin(
        "order of the reaction",
        "ratio|factor|constant",
        "concentrations",
        "Species that react in pairs are counted once.",
    ),
    Twin(
        "products",
        "term|path|operand",
        "concentrations constants",
        "What a reaction forms is left out, what it consumes is not.",
    ),
)
def mass_action_rates(slip):
    def powers(c, order, but=None):
        """The product of the powers of the concentrations, of all species but one."""
        value = jnp.ones_like(c[:, 0])
        for s, n in enumerate(order):
            value = value * c[:, s] ** (0 if s == but else n)
        return value

    def net(reactants, products, dtype):
        return jnp.asarray(np.array(products) - np.array(reactants), dtype)

    def plain(concentrations, constants, reactants, products):
        flows = jnp.stack([powers(concentrations, order) for order in reactants], 1)
        change = net(reactants, products, concentrations.dtype)
        return (constants * flows) @ change

    rates = jax.custom_vjp(plain, nondiff_argnums=(2, 3))

    def fwd(concentrations, constants, reactants, products):
        value = plain(concentrations, constants, reactants, products)
        return value, (concentrations, constants)

    def bwd(reactants, products, res, g):
        c, constants = res
        change = net(reactants, products, c.dtype)
        if slip == "products":
            change = jnp.minimum(change, 0)
        dflow = g @ change.T
        dc, dconstants = jnp.zeros_like(c), []
        for r, order in enumerate(reactants):
            flow = powers(c, order)
            dconstants.append((dflow[:, r] * flow).sum())
            for s, n in enumerate(order):
                if n == 0:
                    continue
                if slip == "divided by the concentration":
                    slope = n * flow / c[:, s]
                else:
                    times = 1 if slip == "order of the reaction" else n
                    slope = times * c[:, s] ** (n - 1) * powers(c, order, s)
                dc = dc.at[:, s].add(dflow[:, r] * constants[r] * slope)
        return dc, jnp.stack(dconstants)

    rates.defvjp(fwd, bwd)
    return rates, plain


@case(
    "density functionals in JAX: Fermi smearing, the chemical potential by bisection",
    "root",
    lambda rng: (normal(rng, 7), jnp.float32(6.0), 0.2),
    Twin(
        "potential held",
        "term|path",
        "levels electrons",
        "The occupations do not see that the potential moves.",
    ),
    Twin(
        "levels alike",
        "operand|function|factor|ratio|term",
        "levels",
        "The potential moves with the mean of the levels, not with those near it.",
    ),
    Twin(
        "two spins",
        "ratio|factor|constant",
        "electrons",
        "A level holds two electrons; for the number's gradient it holds one.",
    ),
    fixed=(1,),
    scales=(0.1, 1.0, 2.0),
    narrow=False,
)
def fermi_smearing(slip):
    def occupied(levels, potential, width):
        f = jax.nn.sigmoid((potential - levels) / width)
        g = jax.nn.sigmoid((levels - potential) / width)
        return 2 * f, 2 * f * g / width

    def bisect(levels, electrons, width):
        def halve(_, bracket):
            low, high = bracket
            middle = (low + high) / 2
            enough = occupied(levels, middle, width)[0].sum() > electrons
            return jnp.where(enough, low, middle), jnp.where(enough, middle, high)

        ends = levels.min() - 20 * width, levels.max() + 20 * width
        return sum(lax.fori_loop(0, 50, halve, ends)) / 2

    def plain(levels, electrons, width):
        known = lax.stop_gradient((levels, electrons))
        potential = lax.stop_gradient(bisect(*known, width))
        filled, slope = occupied(levels, potential, width)
        potential = potential + (electrons - filled.sum()) / slope.sum()
        return occupied(levels, potential, width)[0], potential

    fill = jax.custom_vjp(plain, nondiff_argnums=(2,))

    def fwd(levels, electrons, width):
        filled, potential = plain(levels, electrons, width)
        return (filled, potential), (levels, potential)

    def bwd(width, res, g):
        levels, potential = res
        dfilled, dpotential = g
        slope = occupied(levels, potential, width)[1]
        direct = slope * dfilled
        if slip != "potential held":
            dpotential = dpotential + direct.sum()
        share = slope / slope.sum()
        if slip == "levels alike":
            share = jnp.ones_like(levels) / levels.size
        delectrons = dpotential / slope.sum()
        if slip == "two spins":
            delectrons = 2 * delectrons
        return share * dpotential - direct, delectrons

    fill.defvjp(fwd, bwd)
    return fill, plain

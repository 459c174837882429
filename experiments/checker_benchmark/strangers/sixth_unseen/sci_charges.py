"""Charges that equilibrate, and integrals of Gaussians."""

import math

import jax
import jax.numpy as jnp

from experiments.checker_benchmark.strangers.record import (
    Stranger,
    Twin,
    collect,
    normal,
    positive,
)

CASES: list[Stranger] = []
case = collect(CASES)


def molecule(rng):
    places = normal(rng, 5, 3, std=1.2)
    hardness = positive(rng, 5, low=8.0, high=14.0)
    return places, positive(rng, 5, low=2.0, high=9.0), hardness, jnp.float32(0.0)


@case(
    "equilibrated charges (QEq) of reactive force fields in JAX, their sum prescribed",
    "solver",
    molecule,
    Twin(
        "sum forgotten",
        "operand|residual|term|cotangent",
        "positions electronegativity hardness total",
        "The cotangents are solved for without the constraint on the sum.",
    ),
    Twin(
        "one of a pair",
        "transpose|term|sum|path",
        "positions",
        "The matrix is symmetric, its gradient is not: one of its halves is doubled.",
    ),
    Twin(
        "energy through the charges",
        "term|path|factor|ratio",
        "positions electronegativity hardness",
        "The energy's own dependence on the interactions is lost.",
    ),
    fixed=(2,),
    narrow=False,
)
def charge_equilibration(slip):
    soft = 0.8

    def interactions(positions):
        d = positions[:, None] - positions[None]
        inverse = 1 / jnp.sqrt((d * d).sum(-1) + soft**2)
        return d, inverse * (1 - jnp.eye(len(positions), dtype=inverse.dtype))

    def bordered(positions, hardness):
        n = len(hardness)
        matrix = interactions(positions)[1] + jnp.diag(hardness)
        k = jnp.ones((n + 1, n + 1), matrix.dtype).at[n, n].set(0)
        return k.at[:n, :n].set(matrix)

    def plain(positions, electronegativity, hardness, total):
        k = bordered(positions, hardness)
        charges = jnp.linalg.solve(k, jnp.append(-electronegativity, total))[:-1]
        energy = electronegativity @ charges + charges @ k[:-1, :-1] @ charges / 2
        return charges, energy

    equilibrate = jax.custom_vjp(plain)

    def fwd(positions, electronegativity, hardness, total):
        out = plain(positions, electronegativity, hardness, total)
        return out, (positions, electronegativity, hardness, out[0])

    def bwd(res, g):
        positions, electronegativity, hardness, charges = res
        dcharges, denergy = g
        k = bordered(positions, hardness)
        matrix = k[:-1, :-1]
        seen = dcharges + denergy * (electronegativity + matrix @ charges)
        if slip == "sum forgotten":
            solved = jnp.append(jnp.linalg.solve(matrix, seen), 0)
        else:
            solved = jnp.linalg.solve(k, jnp.append(seen, 0))
        left, dtotal = solved[:-1], solved[-1]
        own = 0 if slip == "energy through the charges" else denergy
        dmatrix = jnp.outer(own * charges / 2 - left, charges)
        both = 2 * dmatrix if slip == "one of a pair" else dmatrix + dmatrix.T
        d, inverse = interactions(positions)
        dx = -((both * inverse**3)[..., None] * d).sum(1)
        return dx, own * charges - left, jnp.diagonal(dmatrix), dtotal

    equilibrate.defvjp(fwd, bwd)
    return equilibrate, plain


def with_a_zero(rng):
    x, order = exponents(rng)
    return x.at[0].set(0), order


def exponents(rng):
    return positive(rng, 7, low=0.05, high=12.0), 1


@case(
    "Boys functions of Gaussian integrals in pyscfad and MESS-like codes",
    "special function",
    exponents,
    Twin(
        "its own order",
        "function|operand|residual",
        "x",
        "The slope is minus the function of the next order; it has the same order.",
    ),
    Twin(
        "recurrence",
        "edge|nan|finite",
        "x",
        "The next order is found by an upward recurrence, which divides by x.",
        witness=with_a_zero,
    ),
    Twin(
        "sign",
        "sign|ratio",
        "x",
        "The functions fall; the slope says that they rise.",
    ),
)
def boys_function(slip):
    def plain(x, order):
        wide = jnp.promote_types(x.dtype, jnp.float32)
        z, a = x.astype(wide), order + 0.5
        low = z < 1
        near, term = jnp.zeros_like(z), jnp.ones_like(z)
        for n in range(14):
            near = near + term / (2 * (order + n) + 1)
            term = -term * jnp.where(low, z, 0) / (n + 1)
        far = jnp.where(low, 1, z)
        share = jax.scipy.special.gammainc(jnp.asarray(a, wide), far)
        far = math.gamma(a) * share / (2 * far**a)
        return jnp.where(low, near, far).astype(x.dtype)

    boys = jax.custom_vjp(plain, nondiff_argnums=(1,))

    def fwd(x, order):
        return plain(x, order), x

    def bwd(order, x, g):
        if slip == "recurrence":
            below = (2 * order + 1) * plain(x, order) - jnp.exp(-x)
            return (-g * below / (2 * x),)
        value = plain(x, order if slip == "its own order" else order + 1)
        return (g * value if slip == "sign" else -g * value,)

    boys.defvjp(fwd, bwd)
    return boys, plain

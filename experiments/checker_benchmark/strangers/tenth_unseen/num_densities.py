"""Densities and transport."""

import jax
import jax.numpy as jnp

from experiments.checker_benchmark.strangers.record import (
    Stranger,
    Twin,
    collect,
    positive,
)

CASES: list[Stranger] = []
case = collect(CASES)


@case(
    "Frank's copula (copulae, pyvinecopulib) in jax notebooks",
    "copula density",
    lambda rng: (
        positive(rng, 6, low=0.1, high=0.9),
        positive(rng, 6, low=0.1, high=0.9),
        jnp.asarray(2.5, jnp.float32),
    ),
    Twin(
        "product",
        "term|path|factor",
        "u",
        "The denominator's gradient is that of u alone, not of the product.",
    ),
    Twin(
        "square",
        "factor|power|ratio",
        "u v theta",
        "The denominator's power of 2 is lost.",
    ),
    Twin(
        "constant's derivative",
        "term|path",
        "theta",
        "The log of 1 - exp(-theta) is taken for a constant.",
    ),
    fixed=(0, 1),
    narrow=False,
    scales=(0.5, 1.0, 2.0),
)
def frank_copula_log_density(slip):
    def pieces(u, v, theta):
        a, b, c = (1 - jnp.exp(-theta * s) for s in (u, v, 1.0))
        return a, b, c, c - a * b

    def plain(u, v, theta):
        _, _, c, den = pieces(u, v, theta)
        return jnp.log(theta * c) - theta * (u + v) - 2 * jnp.log(den)

    logc = jax.custom_vjp(plain)

    def fwd(u, v, theta):
        return plain(u, v, theta), (u, v, theta)

    def bwd(res, g):
        u, v, theta = res
        a, b, c, den = pieces(u, v, theta)
        k = 1 if slip == "square" else 2
        dden = -k * g / den
        da, db = -dden * b, -dden * a
        if slip == "product":
            da = -dden
        dc = dden.sum() + (0 if slip == "constant's derivative" else (g / c).sum())
        du = -theta * g + da * theta * (1 - a)
        dv = -theta * g + db * theta * (1 - b)
        dtheta = (g / theta - g * (u + v)).sum() + dc * (1 - c)
        dtheta = dtheta + (-dden * b * u * (1 - a) - dden * a * v * (1 - b)).sum()
        return du, dv, dtheta

    logc.defvjp(fwd, bwd)
    return logc, plain

"""A score of ensembles and a special function."""

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import erf

from experiments.checker_benchmark.strangers.record import (
    Stranger,
    Twin,
    collect,
    draw,
    normal,
)

CASES: list[Stranger] = []
case = collect(CASES)


def forecasts(fair: bool):
    return lambda rng: (normal(rng, 3, 5), normal(rng, 3), fair)


def members_alike(rng):
    members = jnp.round(2 * normal(rng, 3, 5)) / 2
    return members.at[:, 1].set(members[:, 0]), normal(rng, 3), False


@case(
    "scores of ensembles in weather models: the continuous ranked probability score",
    "proper score",
    forecasts(False),
    Twin("pairs once", "ratio|factor", "members", "Half of the spread's gradient."),
    Twin(
        "ranks at ties",
        "edge|index|duplicates|elements|predicate",
        "members",
        "Equal members are ranked one after the other.",
        witness=members_alike,
    ),
    Twin(
        "fair form",
        "option|ratio|factor|constant",
        "members",
        "The pairs are divided by m^2 in the fair score too.",
        witness=forecasts(True),
    ),
)
def crps_ensemble(slip):
    def pairs(m, fair):
        return m * max(m - 1, 1) if fair else m * m

    def plain(members, observed, fair=False):
        m = members.shape[-1]
        error = jnp.abs(members - observed[..., None]).mean(-1)
        gaps = members[..., None] - members[..., None, :]
        return error - jnp.abs(gaps).sum((-2, -1)) / (2 * pairs(m, fair))

    crps = jax.custom_vjp(plain, nondiff_argnums=(2,))

    def fwd(members, observed, fair):
        m = members.shape[-1]
        error = jnp.abs(members - observed[..., None]).mean(-1)
        lead = 2 * jnp.arange(m, dtype=members.dtype) - (m - 1)
        spread = (lead * jnp.sort(members, -1)).sum(-1) / pairs(m, fair)
        return error - spread, (members, observed)

    def bwd(fair, res, g):
        members, observed = res
        m = members.shape[-1]
        ordered = jnp.sort(members, -1)

        def place(side):
            search = jnp.vectorize(
                lambda s, x: jnp.searchsorted(s, x, side=side), signature="(m),(m)->(m)"
            )
            return search(ordered, members)

        lead = place("left") + place("right") - m
        if slip == "ranks at ties":
            lead = 2 * jnp.argsort(jnp.argsort(members, -1), -1) - (m - 1)
        side = jnp.sign(members - observed[..., None]) / m
        count = pairs(m, False if slip == "fair form" else fair)
        share = lead.astype(members.dtype) / count
        if slip == "pairs once":
            share = share / 2
        g = g[..., None]
        return g * (side - share), -(g * side).sum(-1)

    crps.defvjp(fwd, bwd)
    return crps, plain


@case(
    "tfp.substrates.jax.math.owens_t",
    "special function",
    draw(h=(5,), a=(5,)),
    Twin("erf's argument", "function|factor|ratio", "h", "Not over root two."),
    Twin("exponent", "term|factor|function", "a", "exp(-h^2 / 2), without the slope."),
    Twin("h's sign", "sign|ratio", "h", "It grows with h."),
    narrow=False,
    scales=(0.1, 1.0),
)
def owens_t(slip):
    """Integral of exp(-h^2 (1 + x^2) / 2) / (1 + x^2) / 2 pi from 0 to a."""
    nodes, weights = np.polynomial.legendre.leggauss(48)

    @jax.custom_vjp
    def owens(h, a):
        x = a[..., None] * jnp.asarray((nodes + 1) / 2, a.dtype)
        ramp = 1 + x * x
        values = jnp.exp(-0.5 * h[..., None] ** 2 * ramp) / ramp
        return a * (values @ jnp.asarray(weights, a.dtype)) / (4 * jnp.pi)

    def fwd(h, a):
        return owens.fun(h, a), (h, a)

    def bwd(res, g):
        h, a = res
        inner = a * h if slip == "erf's argument" else a * h / 2**0.5
        dh = -jnp.exp(-0.5 * h * h) * erf(inner) / (8 * jnp.pi) ** 0.5
        ramp = 1 + a * a
        power = h * h if slip == "exponent" else h * h * ramp
        da = jnp.exp(-0.5 * power) / (2 * jnp.pi * ramp)
        return (-g * dh if slip == "h's sign" else g * dh), g * da

    owens.defvjp(fwd, bwd)
    return owens, owens.fun

"""More forms of attention and of what is read from memories."""

import jax
import jax.numpy as jnp

from experiments.checker_benchmark.strangers.record import (
    Stranger,
    Twin,
    collect,
    normal,
)

CASES: list[Stranger] = []
case = collect(CASES)


def shared_keys(rng):
    heads = {"q": jnp.ones(4), "qb": jnp.zeros(4), "k": jnp.ones(4), "kb": jnp.zeros(4)}
    heads = jax.tree.map(lambda a: a + normal(rng, 4, std=0.02), heads)
    return normal(rng, 6, 4), normal(rng, 6, 5), normal(rng, 6, 5), heads


@case(
    "gated attention units (FLASH) in flax: squared rectifiers on shared queries",
    "attention",
    shared_keys,
    Twin(
        "square",
        "factor|ratio|function|operand",
        "z heads",
        "The squared rectifier is pulled back as if the rectifier were not squared.",
    ),
    Twin(
        "keys of the shared rows",
        "term|path",
        "z",
        "The shared rows are reached through the queries and not through the keys.",
    ),
    Twin(
        "length within the square",
        "ratio|factor|constant",
        "z heads",
        "The scores' division by the length is left out on the way back.",
    ),
)
def gated_attention_unit(slip):
    def scores(z, heads):
        q = z * heads["q"] + heads["qb"]
        k = z * heads["k"] + heads["kb"]
        return q, k, jax.nn.relu(q @ k.T / z.shape[0])

    @jax.custom_vjp
    def unit(z, u, v, heads):
        return u * (scores(z, heads)[-1] ** 2 @ v)

    def fwd(z, u, v, heads):
        return unit.fun(z, u, v, heads), (z, u, v, heads)

    def bwd(res, g):
        z, u, v, heads = res
        q, k, r = scores(z, heads)
        dmixed = g * u
        da = dmixed @ v.T
        dr = da * (r > 0) if slip == "square" else 2 * da * r
        if slip != "length within the square":
            dr = dr / z.shape[0]
        dq, dk = dr @ k, dr.T @ q
        dz = dq * heads["q"]
        if slip != "keys of the shared rows":
            dz = dz + dk * heads["k"]
        grads = {
            "q": (dq * z).sum(0),
            "qb": dq.sum(0),
            "k": (dk * z).sum(0),
            "kb": dk.sum(0),
        }
        return dz, g * (r**2 @ v), (r**2).T @ dmixed, grads

    unit.defvjp(fwd, bwd)
    return unit, unit.fun

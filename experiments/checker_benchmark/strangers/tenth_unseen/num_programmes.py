"""Dynamic programs: alignments, segments, sums of coins."""

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
    "distribution of a sum of unequal coins (survey and sports models) in jax",
    "convolution of probabilities",
    lambda rng: (positive(rng, 5, low=0.2, high=0.8),),
    Twin(
        "shift",
        "index|edge|term|region|path",
        "p",
        "The outcome where the coin shows heads is not shifted.",
    ),
    Twin(
        "after",
        "residual|index|operand",
        "p",
        "The distribution after the coin is used in place of the one before it.",
    ),
    narrow=False,
    scales=(0.3, 1.0),
)
def poisson_binomial_pmf(slip):
    def toss(pmf, p):
        moved = jnp.concatenate([jnp.zeros_like(pmf[:1]), pmf[:-1]])
        return (1 - p) * pmf + p * moved, pmf

    def start(p):
        return jnp.zeros(len(p) + 1, p.dtype).at[0].set(1)

    def plain(p):
        return lax.scan(toss, start(p), p)[0]

    pmf = jax.custom_vjp(plain)

    def fwd(p):
        last, before = lax.scan(toss, start(p), p)
        after = jnp.concatenate([before[1:], last[None]])
        return last, (p, after if slip == "after" else before)

    def bwd(res, g):
        p, before = res

        def untoss(g, both):
            p_i, f = both
            back = jnp.concatenate([g[1:], jnp.zeros_like(g[:1])])
            moved = jnp.concatenate([jnp.zeros_like(f[:1]), f[:-1]])
            if slip == "shift":
                moved = jnp.zeros_like(f)
            return (1 - p_i) * g + p_i * back, (g * (moved - f)).sum()

        _, dp = lax.scan(untoss, g, (p, before), reverse=True)
        return (dp,)

    pmf.defvjp(fwd, bwd)
    return pmf, plain

"""A bug with its thread: coordinate descent of a relaxed choice."""

import jax
import jax.numpy as jnp
from jax import lax

from experiments.checker_benchmark.strangers.record import (
    Stranger,
    Twin,
    collect,
    normal,
)

CASES: list[Stranger] = []
case = collect(CASES)


@case(
    "lucidrains/CoLT5-attention#8",
    "relaxed choice of the largest",
    lambda rng: (normal(rng, 9), 10, 2.0, 1.0),
    Twin(
        "as reported",
        "term|path",
        "s",
        "The final scores depend on the last multiplier, whose cotangent starts at 0.",
    ),
    kind="bug",
    name="coordinate_descent CoLT5-attention#8",
    narrow=False,
)
def coordinate_descent(slip):
    def passes(s, rounds, k, eps):
        def step(carry, _):
            b, _ = carry
            a = eps * (jnp.log(k) - jax.nn.logsumexp((s + b) / eps))
            return (-jax.nn.relu(s + a), a), (b, a)

        start = (-s, jnp.zeros_like(s[0]))
        return lax.scan(step, start, None, length=rounds)

    def plain(s, rounds, k, eps):
        b, a = passes(s, rounds, k, eps)[0]
        return jnp.exp((s + a + b) / eps)

    choose = jax.custom_vjp(plain, nondiff_argnums=(1, 2, 3))

    def fwd(s, rounds, k, eps):
        (b, a), saved = passes(s, rounds, k, eps)
        y = jnp.exp((s + a + b) / eps)
        return y, (s, y, saved)

    def bwd(rounds, k, eps, res, g):
        s, y, saved = res
        d = g * y / eps

        def step(carry, now):
            ds, db, da = carry
            b, a = now
            cut = jnp.where(s + a > 0, -db, 0)
            da = da + cut.sum()
            db = -da * jax.nn.softmax((s + b) / eps)
            return (ds + cut + db, db, jnp.zeros_like(da)), None

        last = jnp.zeros_like(s[0]) if slip else d.sum()
        ds, db, _ = lax.scan(step, (d, d, last), saved, reverse=True)[0]
        return (ds - db,)

    choose.defvjp(fwd, bwd)
    return choose, plain

"""Motions, lines and energies of bodies."""

from typing import NamedTuple

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


class Lines(NamedTuple):
    direction: jax.Array
    moment: jax.Array


@case(
    "reciprocal product of lines in Pluecker form for line maps in jax",
    "distance of lines",
    lambda rng: (
        Lines(normal(rng, 4, 3), normal(rng, 4, 3)),
        Lines(normal(rng, 4, 3), normal(rng, 4, 3)),
    ),
    Twin(
        "cross of the directions",
        "term|path",
        "left right",
        "The sine of the angle has no gradient.",
    ),
    Twin(
        "order of the cross",
        "sign|swap|operand",
        "left",
        "The cross product goes back in the wrong order on the left.",
    ),
    Twin(
        "moments",
        "swap|operand|residual",
        "right",
        "The right line's direction gets its own moment.",
    ),
    narrow=False,
)
def plucker_line_distance(slip):
    soft = 1e-2

    def parts(l1, l2):
        mutual = (l1.direction * l2.moment).sum(-1) + (l1.moment * l2.direction).sum(-1)
        n = jnp.cross(l1.direction, l2.direction)
        return mutual, n, jnp.sqrt((n * n).sum(-1) + soft)

    def plain(left, right):
        mutual, _, length = parts(left, right)
        return mutual / length

    dist = jax.custom_vjp(plain)

    def fwd(left, right):
        mutual, n, length = parts(left, right)
        return mutual / length, (left, right, mutual, n, length)

    def bwd(res, g):
        l1, l2, mutual, n, length = res
        dm = (g / length)[:, None]
        dn = -(g * mutual / length**3)[:, None] * n
        if slip == "cross of the directions":
            dn = 0 * dn
        c1 = jnp.cross(l2.direction, dn)
        if slip == "order of the cross":
            c1 = -c1
        d1 = dm * l2.moment + c1
        own = l2.moment if slip == "moments" else l1.moment
        d2 = dm * own + jnp.cross(dn, l1.direction)
        return Lines(d1, dm * l2.direction), Lines(d2, dm * l1.direction)

    dist.defvjp(fwd, bwd)
    return dist, plain

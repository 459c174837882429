"""Hinge loss of scores against signs, mean over all entries.

    m = 1 - y s                  loss = sum max(m, 0) / n            (y is -1 or +1)

A score that has the right sign and a margin of 1 costs nothing; less costs linearly.
Perturb: m moves by -(y ds + s dy), and max(m, 0) with it where m > 0 ("on"):

    loss moves by  -sum on (y ds + s dy) / n

A diagonal of ones and zeros is its own transpose; with the cotangent dloss

    ds = -on y dloss / n         dy = -on s dloss / n

At the kink m = 0 any slope from 0 to 1 is a subgradient; 0 is taken, as in relu: what
has reached its margin is left alone.

Check: y s > 1 everywhere gives 0 and no gradient; s = 0 gives 1 and ds = -y / n.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Num

from jaxninja.rule import Case, Rule, expect, expect_floats, mean_cotangent
from jaxninja.rules.losses.arguments import pair


class Residuals(NamedTuple):
    scores: jax.Array  # [*shape], an argument: held anyway; m is computed again
    y: jax.Array  # [*shape], an argument too


@jax.custom_vjp
def hinge(scores: Float[Array, "*shape"], y: Num[Array, "*shape"]) -> Float[Array, ""]:
    """Mean hinge loss max(1 - y scores, 0); slope 0 at the kink y scores = 1.

    Args:
        scores: [*shape].
        y: [*shape] of -1 and +1, integers or floats; floats receive a gradient.

    Returns:
        Scalar, 0 or more.

    Raises:
        ValueError: the shapes differ, there is no entry (a mean of 0 / 0), or the types
            do not fit.

    Source: Cortes, Vapnik 1995, Support-Vector Networks; micrograd's moons.
    """
    return hinge_fwd(scores, y)[0]


def hinge_fwd(scores, y):
    pair("hinge", scores=scores, y=y)
    expect_floats("hinge", scores=scores)
    kinds = jnp.floating, jnp.signedinteger
    signed = any(jnp.issubdtype(y.dtype, kind) for kind in kinds)
    expect("hinge", "y", f"of type {y.dtype}", "floats or signed integers", signed)
    m = 1 - y.astype(scores.dtype) * scores
    return jnp.where(m > 0, m, 0).mean(), Residuals(scores, y)


def hinge_bwd(res, dloss):
    """Returns dscores [*shape], and dy [*shape] or, of integers, None."""
    scores, y = res
    sign = y.astype(scores.dtype)
    each = mean_cotangent(dloss, scores.size)
    pull = jnp.where(sign * scores < 1, -each, 0)
    is_float = jnp.issubdtype(y.dtype, jnp.floating)
    return pull * sign, (pull * scores).astype(y.dtype) if is_float else None


hinge.defvjp(hinge_fwd, hinge_bwd)


def hinge_jvp(primals, tangents):
    loss, (scores, y) = hinge_fwd(*primals)
    ds, dy = tangents
    sign = y.astype(scores.dtype)
    move = sign * ds
    if jnp.issubdtype(y.dtype, jnp.floating):
        move += scores * dy.astype(scores.dtype)
    return loss, -jnp.where(sign * scores < 1, move, 0).mean()


def example(key, N, D):
    key_scores, key_y = jax.random.split(key)
    scores = 1.5 * jax.random.normal(key_scores, (N, D))
    return scores, jax.random.rademacher(key_y, (N, D))


rule = Rule(
    op=hinge,
    fwd=hinge_fwd,
    bwd=hinge_bwd,
    jvp=hinge_jvp,
    example=example,
    cases=(Case({"N": 3, "D": 5}), Case({"N": 1, "D": 2}), Case({"N": 4, "D": 4})),
    bench=Case({"N": 4096, "D": 512}),
    source="Cortes, Vapnik 1995, Support-Vector Networks",
)

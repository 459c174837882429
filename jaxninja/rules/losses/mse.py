"""Mean squared error, over all entries.

    r = x - y                    loss = sum r^2 / n          (n: the number of entries)

Perturb both:

    r moves by dx - dy           loss moves by  sum 2 r (dx - dy) / n

A sum against a fixed array is its own transpose, so with the cotangent dloss

    dx = 2 r dloss / n           dy = -dx

The pull on x grows with its distance from y, without bound: one outlier at ten times
the usual distance pulls like ten others. That is what huber fixes.

Check: x = y gives 0 and no gradient; n = 1 gives r^2 and 2 r; a common shift of x and y
leaves r, hence the loss, so dx + dy = 0.
"""

from typing import NamedTuple

import jax
from jaxtyping import Array, Float

from jaxninja.rule import Case, Rule
from jaxninja.rules.losses.arguments import pair_of_floats


class Residuals(NamedTuple):
    r: jax.Array  # [*shape] x - y; neither x nor y is kept


@jax.custom_vjp
def mse(x: Float[Array, "*shape"], y: Float[Array, "*shape"]) -> Float[Array, ""]:
    """Mean squared error: loss = mean (x - y)^2, smooth everywhere.

    Args:
        x: [*shape] predictions.
        y: [*shape] targets; they receive a gradient too.

    Returns:
        Scalar, 0 or more.

    Raises:
        ValueError: the shapes differ, there is no entry (a mean of 0 / 0), or an array
            is not of floats.

    Source: Legendre 1805, Nouvelles methodes pour la determination des orbites.
    """
    return mse_fwd(x, y)[0]


def mse_fwd(x, y):
    pair_of_floats("mse", x=x, y=y)
    r = x - y
    return (r * r).mean(), Residuals(r)


def mse_bwd(res, dloss):
    """Returns dx and dy, [*shape] each."""
    dx = res.r * (2 / res.r.size * dloss)
    return dx, -dx


mse.defvjp(mse_fwd, mse_bwd)


def mse_jvp(primals, tangents):
    loss, (r,) = mse_fwd(*primals)
    dx, dy = tangents
    return loss, 2 * (r * (dx - dy)).mean()


def example(key, N, D):
    key_x, key_y = jax.random.split(key)
    return jax.random.normal(key_x, (N, D)), 0.3 + jax.random.normal(key_y, (N, D))


rule = Rule(
    op=mse,
    fwd=mse_fwd,
    bwd=mse_bwd,
    jvp=mse_jvp,
    example=example,
    cases=(Case({"N": 3, "D": 5}), Case({"N": 1, "D": 1}), Case({"N": 4, "D": 4})),
    bench=Case({"N": 4096, "D": 512}),
    source="Legendre 1805",
)

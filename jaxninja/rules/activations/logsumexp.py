"""Logarithm of a sum of exponentials along an axis: a smooth maximum.

    y = log sum_i e^x[i]

Perturb x. The sum moves by sum_i e^x[i] dx[i], its logarithm by that over the sum:

    y moves by  sum_i p[i] dx[i],   p[i] = e^x[i] / sum_j e^x[j]      (softmax.py)

One number reads all the x's, with weights p. Transpose: each receives its share,

    dx[i] = p[i] dy

The maximum m is subtracted before exp and added again: y = m + log sum_i e^(x - m). It
is only a shift, which cancels in p, so no gradient flows through it. p is kept rather
than computed anew as e^(x - y), which would lose the digits of a large y.

A slice all of -inf, an empty sum, gives y = -inf and is decided to send no gradient.

Check: a slice of one gives y = x, dx = dy; n equal scores y = x + log n, dx = dy / n;
sum_i dx[i] = dy always: adding a constant to x adds it to y.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxninja.rule import Case, Rule, expect_axis, expect_floats
from jaxninja.rules.activations.softmax import example, finite_max


class Residuals(NamedTuple):
    p: jax.Array  # [*shape]; x is not kept


@partial(jax.custom_vjp, nondiff_argnums=(1,))
def logsumexp(x: Float[Array, "*shape"], axis: int = -1) -> Float[Array, "*rest"]:
    """y = log(sum(e^x)) along an axis, which goes; smooth.

    Args:
        x: [*shape], of any size: the maximum is subtracted first. -inf adds nothing and
            receives nothing, in a slice all of -inf too, where y is -inf. With +inf
            y is inf; its gradient is NaN (inf / inf) there, as JAX's, and else 0.
        axis: over which to sum.

    Returns:
        [*rest], the shape of x without that axis; the maximum or more.

    Raises:
        ValueError: x is not of a floating-point type, or has no such axis, or none of
            its entries are along it.

    Source: Boyd, Vandenberghe 2004, Convex optimization, 3.1.5.
    """
    return logsumexp_fwd(x, axis)[0]


def logsumexp_fwd(x, axis):
    expect_floats("logsumexp", x=x)
    expect_axis("logsumexp", x, axis)
    top = finite_max(x, axis)
    top = jnp.where(top == jnp.inf, 0, top)  # else inf - inf
    counts = jnp.exp(x - top)
    total = counts.sum(axis, keepdims=True)
    p = counts * (1 / jnp.where(total == 0, 1, total))
    return (top + jnp.log(total)).squeeze(axis), Residuals(p)


def logsumexp_bwd(axis, res, dy):
    """Returns dx [*shape], in a one-tuple."""
    return (res.p * jnp.expand_dims(dy, axis),)


logsumexp.defvjp(logsumexp_fwd, logsumexp_bwd)


def logsumexp_jvp(axis, primals, tangents):
    """Returns y and its move dy [*rest] for a move dx of x."""
    (x,), (dx,) = primals, tangents
    y, (p,) = logsumexp_fwd(x, axis)
    return y, (p * dx).sum(axis)


rule = Rule(
    op=logsumexp,
    fwd=logsumexp_fwd,
    bwd=logsumexp_bwd,
    jvp=logsumexp_jvp,
    example=example,
    cases=(
        Case({"N": 3, "D": 5}, (-1,)),
        Case({"N": 5, "D": 3}, (0,)),
        Case({"N": 4, "D": 4}, (1,)),
        Case({"N": 1, "D": 1}, (-1,)),
        Case({"N": 2, "D": 31}, (-1,)),
    ),
    bench=Case({"N": 4096, "D": 512}, (-1,)),
    source="Boyd, Vandenberghe 2004, Convex optimization, 3.1.5",
)

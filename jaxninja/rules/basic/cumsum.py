"""Running sum along an axis.

    y[i] = sum_{j <= i} x[j]

Linear, so a move of x moves y by its own running sum: y = L x with L lower triangular,
all ones. The transpose L.T is upper triangular: entry j reached every y[i] from j on,

    dx[j] = sum_{i >= j} dy[i]

a running sum from the far end. Nothing is kept.

Check: along an axis of one entry dx = dy; a cotangent at the last entry only reaches
all of x alike, one at the first entry only the first.
"""

from functools import partial
from numbers import Integral

import jax
from jax import lax
from jaxtyping import Array, Float

from jaxninja.rule import Case, Rule, expect, expect_floats


@partial(jax.custom_vjp, nondiff_argnums=(1,))
def cumsum(x: Float[Array, "*shape"], axis: int) -> Float[Array, "*shape"]:
    """Running sum: y[i] = x[0] + ... + x[i] along an axis; linear.

    Args:
        x: [*shape].
        axis: along which, negative from the end.

    Returns:
        [*shape].

    Raises:
        ValueError: x is not of floats, or has no such axis.

    Source: Iverson 1962, A Programming Language (the scan of a sum).
    """
    return cumsum_fwd(x, axis)[0]


def cumsum_fwd(x, axis):
    _check_arguments(x, axis)
    return lax.cumsum(x, axis % x.ndim), ()


def cumsum_bwd(axis, res, dy):
    """Returns dx [*shape], in a one-tuple."""
    return (lax.cumsum(dy, axis % dy.ndim, reverse=True),)


cumsum.defvjp(cumsum_fwd, cumsum_bwd)


def cumsum_jvp(axis, primals, tangents):
    (x,), (dx,) = primals, tangents
    return cumsum_fwd(x, axis)[0], cumsum_fwd(dx, axis)[0]


def _check_arguments(x, axis):
    expect_floats("cumsum", x=x)
    expected = f"an axis of x, which has shape {x.shape}"
    fits = isinstance(axis, Integral) and -x.ndim <= axis < x.ndim
    expect("cumsum", "axis", repr(axis), expected, fits)


def example(key, N, D):
    return (jax.random.normal(key, (N, D)),)


rule = Rule(
    op=cumsum,
    fwd=cumsum_fwd,
    bwd=cumsum_bwd,
    jvp=cumsum_jvp,
    example=example,
    cases=(
        Case({"N": 3, "D": 5}, (-1,)),
        Case({"N": 7, "D": 2}, (0,)),
        Case({"N": 4, "D": 1}, (1,)),
    ),
    bench=Case({"N": 4096, "D": 512}, (-1,)),
    source="Iverson 1962, A Programming Language",
)

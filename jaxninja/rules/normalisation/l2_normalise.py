"""To unit length: x divided by its Euclidean norm along an axis, or by eps if larger.

    r = 1 / max(|x|, eps)                    y = x r

Perturb x. |x| moves by y . dx, so r moves by -r^2 (y . dx) where |x| > eps, and else
not at all; y moves by

    J dx = r (dx - y (y . dx))               or r dx, where |x| <= eps

J is symmetric, its own transpose: dx = J dy.

Check: y does not know the length of x, so x . dx = 0. One entry along the axis gives
y = +-1, dx = 0. At x = 0, y = 0 and dx = dy / eps: the slope of x / eps, and large.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from jaxninja.rule import Case, Rule, expect, wide
from jaxninja.rules.normalisation.arguments import check_number


class Residuals(NamedTuple):
    x: jax.Array  # [*shape]; y, which is rounded to the type of x, is made again
    r: jax.Array  # [*shape] but 1 along the axis


@partial(jax.custom_vjp, nondiff_argnums=(1, 2))
def l2_normalise(
    x: Float[Array, "*shape"], axis: int = -1, eps: float = 1e-12
) -> Float[Array, "*shape"]:
    """y = x / max(|x|, eps), |x| the Euclidean norm along an axis.

    Args:
        x: [*shape], of at least one axis.
        axis: along which lengths become 1.
        eps: least length to divide by, above 0. At |x| = eps, a kink, the slope is that
            of shorter x: 1 / eps. Half of it, JAX's choice for a maximum, is neither's.

    Returns:
        [*shape] in the type of x; computed in float32 or better.

    Raises:
        ValueError: x has no such axis, is empty or not of a float type, or eps is not
            above 0.

    Source: textbook; with eps as torch.nn.functional.normalize has it.
    """
    return l2_normalise_fwd(x, axis, eps)[0]


def l2_normalise_fwd(x, axis, eps):
    _check_arguments(x, axis, eps)
    squares = (wide(x) ** 2).sum(axis, keepdims=True)
    longer = squares > eps**2
    r = jnp.where(longer, lax.rsqrt(jnp.where(longer, squares, 1)), 1 / eps)
    return (wide(x) * r).astype(x.dtype), Residuals(x, r)


def l2_normalise_bwd(axis, eps, res, dy):
    """Returns dx [*shape], in a one-tuple."""
    return (_jacobian_product(axis, eps, res, dy),)


l2_normalise.defvjp(l2_normalise_fwd, l2_normalise_bwd)


def l2_normalise_jvp(axis, eps, primals, tangents):
    """Returns y and its move dy [*shape] for a move of x."""
    (x,) = primals
    y, res = l2_normalise_fwd(x, axis, eps)
    return y, _jacobian_product(axis, eps, res, *tangents)


def _jacobian_product(axis, eps, res, dx):
    """J dx, and as J is symmetric J^T dy too."""
    x, r = res
    y, dx = wide(x) * r, wide(dx)
    along = jnp.where(r < 1 / eps, (y * dx).sum(axis, keepdims=True), 0)
    return (r * (dx - y * along)).astype(x.dtype)


def _check_arguments(x, axis, eps):
    def check(argument, given, expected, holds):
        expect("l2_normalise", argument, given, expected, holds)

    check("x", f"of shape {x.shape}", "[..., D], not empty", x.ndim > 0 and x.size > 0)
    is_float = jnp.issubdtype(x.dtype, jnp.floating)
    check("x", f"of type {x.dtype}", "a float type", is_float)
    fits = isinstance(axis, int) and -x.ndim <= axis < x.ndim
    check("axis", repr(axis), f"one of the axes of x, which is {x.shape}", fits)
    check_number("l2_normalise", "eps", eps, 0, open_end=True)


def example(key, N, D):
    return (0.3 + jax.random.normal(key, (N, D)),)


rule = Rule(
    op=l2_normalise,
    fwd=l2_normalise_fwd,
    bwd=l2_normalise_bwd,
    jvp=l2_normalise_jvp,
    example=example,
    cases=(
        Case({"N": 7, "D": 5}, (-1, 1e-12)),
        Case({"N": 5, "D": 3}, (0, 1.5)),
        Case({"N": 1, "D": 3}, (1, 1e-12)),
        Case({"N": 4, "D": 4}, (-2, 1e-3)),
    ),
    bench=Case({"N": 4096, "D": 768}, (-1, 1e-12)),
    source="textbook",
)

"""Gaussian error linear unit, elementwise, in its two forms.

    erf form    y = x P,  P = erfc(-x / sqrt 2) / 2, normal distribution function
    tanh form   y = x s,  s = sigmoid(2 u),  u = k (x + c x^3),  k = sqrt(2 / pi)

(s is the usual (1 + tanh u) / 2, without its cancellation for negative u.) The product
rule; P' is the normal density, and s' = 2 s (1 - s) u' with u' = k (1 + 3 c x^2):

    erf form    dy/dx = P + x e^(-x^2 / 2) / sqrt(2 pi)
    tanh form   dy/dx = s + 2 x s (1 - s) u'

Elementwise, so the Jacobian is diagonal and its own transpose: dx = (dy/dx) dy. Unlike
tanh's, the slope cannot be read off y, since y is not monotone (its least value is
-0.17, at x = -0.75): x is what is kept, and the rest is computed anew.

Check: at x = 0 either slope is 1/2; for x -> inf it is 1, for x -> -inf 0. Far out
s (1 - s) is 0 and u' may overflow: 0 times inf, which autodiff meets at |x| = 2e19.
"""

import math
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxninja.rule import Case, Rule, expect, expect_floats

K, C = math.sqrt(2 / math.pi), 0.044715


class Residuals(NamedTuple):
    x: jax.Array  # [*shape]; P or s are computed anew


@partial(jax.custom_vjp, nondiff_argnums=(1,))
def gelu(
    x: Float[Array, "*shape"], approximate: bool = False
) -> Float[Array, "*shape"]:
    """Gaussian error linear unit: y = x P(X <= x) for X standard normal; smooth.

    Args:
        x: [*shape]; at -inf y is NaN.
        approximate: the tanh form, with P = (1 + tanh(k (x + c x^3))) / 2, which is
            within 5e-4 of the erf form.

    Returns:
        [*shape], -0.17 or more.

    Raises:
        ValueError: x is not of a floating-point type, or approximate no bool.

    Source: Hendrycks, Gimpel 2016, arXiv:1606.08415.
    """
    return gelu_fwd(x, approximate)[0]


def gelu_fwd(x, approximate):
    expect_floats("gelu", x=x)
    check_form("gelu", approximate)
    return value(x, approximate), Residuals(x)


def gelu_bwd(approximate, res, dy):
    """Returns dx [*shape], in a one-tuple."""
    return (value_and_slope(res.x, approximate)[1] * dy,)


gelu.defvjp(gelu_fwd, gelu_bwd)


def gelu_jvp(approximate, primals, tangents):
    """Returns y and its move dy [*shape] for a move dx of x."""
    (x,), (dx,) = primals, tangents
    y, slope = value_and_slope(x, approximate)
    return y, slope * dx


def check_form(op, approximate):
    """PyTorch's names of the two forms, 'none' and 'tanh', are both true."""
    fits = isinstance(approximate, bool)
    expect(op, "approximate", repr(approximate), "True or False", fits)


def value(x, approximate):
    return x * (_tanh_weight(x) if approximate else _erf_weight(x))


def value_and_slope(x, approximate):
    """y and dy/dx, as derived above; geglu is made of them too."""
    if approximate:
        z = jnp.clip(x, -30, 30)  # beyond, s is exactly 0 or 1, in float64 too
        s = _tanh_weight(z)
        return x * s, s + 2 * z * s * (1 - s) * K * (1 + 3 * C * z * z)
    z = -x * math.sqrt(0.5)  # as in erfc, whose e^(-z^2) XLA then shares
    P, density = _erf_weight(x), jnp.exp(-(z * z)) / math.sqrt(2 * math.pi)
    return x * P, P + x * density


def _erf_weight(x):
    """P(X <= x): by erfc, which keeps its digits in the left tail, as erf does not."""
    return jax.lax.erfc(-x * math.sqrt(0.5)) / 2


def _tanh_weight(x):
    return jax.lax.logistic(2 * K * (x + C * x * x * x))


def example(key, N, D):
    return (1.5 * jax.random.normal(key, (N, D)),)


rule = Rule(
    op=gelu,
    fwd=gelu_fwd,
    bwd=gelu_bwd,
    jvp=gelu_jvp,
    example=example,
    cases=(
        Case({"N": 3, "D": 5}, (False,)),
        Case({"N": 3, "D": 5}, (True,)),
        Case({"N": 1, "D": 1}, (False,)),
        Case({"N": 4, "D": 4}, (True,)),
    ),
    bench=Case({"N": 4096, "D": 512}, (False,)),
    source="Hendrycks, Gimpel 2016, arXiv:1606.08415",
)

"""Layer normalisation: each row to mean 0 and variance 1 over its D features.

    mean = sum_d x / D                       var = sum_d (x - mean)^2 / D
    rstd = (var + eps)^(-1/2)                xhat = (x - mean) rstd
    y = gamma xhat + beta

What standardising does to a move of x was derived in batchnorm.py, along another axis:
xhat moves by J dx with the symmetric matrix, one a row now,

    J dx = rstd (dx - mean(dx) - xhat mean(xhat dx))

But gamma varies along the axis here, where in batchnorm it is one number. It does not
pass through J, and the cotangent of xhat, gamma dy, has sums of its own:

    dx = J (gamma dy)
    dgamma = sum_rows dy xhat                dbeta = sum_rows dy

The sums for dx go along rows, those for dgamma and dbeta across them. So a large batch
is taken some rows at a time, which are then read once, from the cache (rows.py).

Check: a constant added to a row leaves y alone, so sum_d dx = 0. D = 1 gives xhat = 0
and dx = 0.
"""

from functools import partial
from typing import NamedTuple

import jax
from jax import lax
from jaxtyping import Array, Float

from jaxninja.rule import Case, Rule, in_one_program, on_auto_axes, sharding, wide
from jaxninja.rules import blocking
from jaxninja.rules.normalisation.arguments import check_input, check_number, like
from jaxninja.rules.normalisation.batchnorm import jacobian_product, moments
from jaxninja.rules.normalisation.rows import over_rows


class Residuals(NamedTuple):
    x: jax.Array  # [*batch, D], an argument that others hold too: xhat is made again
    mean: jax.Array  # [*batch, 1]
    rstd: jax.Array  # [*batch, 1]
    gamma: jax.Array  # [D]


@partial(jax.custom_vjp, nondiff_argnums=(3,))
def layernorm(
    x: Float[Array, "*batch D"],
    gamma: Float[Array, "D"],
    beta: Float[Array, "D"],
    eps: float = 1e-5,
) -> Float[Array, "*batch D"]:
    """Normalise each row: y = gamma (x - mean) / sqrt(var + eps) + beta.

    Args:
        x: [*batch, D]; mean and var [*batch] are over the last axis, var divided by D.
        gamma: [D] gain.
        beta: [D] bias.
        eps: added to the variance, 0 or more; if above, a constant row gives y = beta.

    Returns:
        [*batch, D] in the type of x; computed in float32 or better. Smooth for eps > 0.

    Raises:
        ValueError: shapes or types do not fit, or eps is below 0.

    Source: Ba, Kiros, Hinton 2016, arXiv:1607.06450.
    """
    return layernorm_fwd(x, gamma, beta, eps)[0]


def layernorm_fwd(x, gamma, beta, eps):
    check_input("layernorm", x, {"gamma": gamma, "beta": beta})
    check_number("layernorm", "eps", eps, 0)
    mean, var = moments(wide(x), (-1,))
    rstd = lax.rsqrt(var + eps)
    xhat = (wide(x) - mean) * rstd
    y = like(x, gamma) * xhat + like(x, beta)
    return y.astype(x.dtype), Residuals(x, mean, rstd, gamma)


def layernorm_bwd(eps, res, dy):
    """Returns dx [*batch, D], dgamma [D], dbeta [D]."""
    D = dy.shape[-1]
    size = blocking.rows(dy.size // D, D, dy.dtype.itemsize)
    weight = sharding(res.gamma)
    where = sharding(res.x), weight, weight
    return on_auto_axes(_in_rows, where, res, dy, size=size)


@in_one_program("size")
def _in_rows(res, dy, size):
    *rows, gamma = res

    def pull(x, mean, rstd, dy):
        xhat, dy = (wide(x) - mean) * rstd, wide(dy)
        dx = jacobian_product(xhat, rstd, like(x, gamma) * dy, (-1,))
        return dx.astype(x.dtype), ((dy * xhat).sum(0), dy.sum(0))

    matrices = tuple(a.reshape(-1, a.shape[-1]) for a in (*rows, dy))
    dx, (dgamma, dbeta) = over_rows(pull, matrices, size)
    typed = dgamma.astype(gamma.dtype), dbeta.astype(gamma.dtype)
    return dx.reshape(dy.shape), *typed


layernorm.defvjp(layernorm_fwd, layernorm_bwd)


def layernorm_jvp(eps, primals, tangents):
    """Returns y and its move dy [*batch, D] for moves of x, gamma and beta."""
    dx, dgamma, dbeta = tangents
    x, gamma, beta = primals
    y, (_, mean, rstd, _) = layernorm_fwd(x, gamma, beta, eps)
    xhat = (wide(x) - mean) * rstd
    dxhat = jacobian_product(xhat, rstd, wide(dx), (-1,))
    dy = like(x, gamma) * dxhat + like(x, dgamma) * xhat + like(x, dbeta)
    return y, dy.astype(y.dtype)


def example(key, N, D):
    key_x, key_gamma, key_beta = jax.random.split(key, 3)
    x = 0.5 + 2 * jax.random.normal(key_x, (N, D))
    gamma = 1.5 + 0.3 * jax.random.normal(key_gamma, (D,))
    return x, gamma, jax.random.normal(key_beta, (D,))


rule = Rule(
    op=layernorm,
    fwd=layernorm_fwd,
    bwd=layernorm_bwd,
    jvp=layernorm_jvp,
    example=example,
    cases=(
        Case({"N": 7, "D": 5}, (1e-5,)),
        Case({"N": 4, "D": 4}, (1e-2,)),
        Case({"N": 1, "D": 3}, (1e-5,)),
        Case({"N": 3, "D": 2}, (1e-1,)),
    ),
    bench=Case({"N": 4096, "D": 768}, (1e-5,)),
    source="Ba, Kiros, Hinton 2016, arXiv:1607.06450",
)

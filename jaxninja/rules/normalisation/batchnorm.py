"""Batch normalisation: each feature to mean 0 and variance 1 over the batch.

    mean = sum_n x / n                       var = sum_n (x - mean)^2 / (n - ddof)
    rstd = (var + eps)^(-1/2)                xhat = (x - mean) rstd
    y = gamma xhat + beta

Each x[n] reaches y by three paths: directly, through the mean and through the variance.
Perturb x, per feature, and write c for x - mean:

    c moves by     dx - mean(dx)             (the direct path and the mean)
    var moves by   2 sum_n(c dx) / (n - ddof)        (sum_n c = 0 removes the mean here)
    rstd moves by  -1/2 rstd^3 times that
    xhat moves by  rstd (dx - mean(dx)) - xhat sum_n(xhat dx) rstd / (n - ddof)

Each term is a symmetric matrix on the batch (identity, 1/n, xhat xhat^T): transposing
it changes nothing. With the cotangent gamma dy in place of dx:

    dgamma = sum_n dy xhat                   dbeta = sum_n dy
    dx = gamma rstd (dy - dbeta / n - xhat dgamma / (n - ddof))

Check: a constant shift or, with eps = 0, a common factor of x leaves y alone, so
sum_n dx = 0 and sum_n xhat dx = 0 (for ddof = 0: sum_n xhat^2 = n). n = 1 with ddof = 0
gives xhat = 0 and dx = 0; with ddof = 1 the variance is 0 / 0, which is refused.
"""

import math
from functools import partial
from typing import NamedTuple

import jax
from jaxtyping import Array, Float

from jaxninja.rule import Case, Rule, expect, wide
from jaxninja.rules.normalisation.arguments import check_input, check_number, like


class Residuals(NamedTuple):
    xhat: jax.Array  # [*batch, D], the only large one: x itself is not kept
    rstd: jax.Array  # [1, ..., D]
    gamma: jax.Array  # [D]


@partial(jax.custom_vjp, nondiff_argnums=(3, 4))
def batchnorm(
    x: Float[Array, "*batch D"],
    gamma: Float[Array, "D"],
    beta: Float[Array, "D"],
    eps: float = 1e-5,
    ddof: int = 1,
) -> Float[Array, "*batch D"]:
    """Normalise each feature: y = gamma (x - mean) / sqrt(var + eps) + beta.

    Args:
        x: [*batch, D]; mean and var [D] are over all n rows, all axes but the last.
        gamma: [D] gain.
        beta: [D] bias.
        eps: added to the variance, 0 or more; if above, a constant column gives beta.
        ddof: the variance is divided by n - ddof: 0 as in the paper, 1 (Bessel's
            correction) as in the lecture.

    Returns:
        [*batch, D] in the type of x; computed in float32 or better.

    Raises:
        ValueError: shapes or types do not fit, eps is below 0, or n <= ddof (a variance
            of 0 / 0).

    Source: Ioffe, Szegedy 2015, arXiv:1502.03167; ddof = 1 as in Karpathy's makemore.
    """
    return batchnorm_fwd(x, gamma, beta, eps, ddof)[0]


def batchnorm_fwd(x, gamma, beta, eps, ddof):
    _check_arguments(x, gamma, beta, eps, ddof)
    mean, var = moments(wide(x), _batch(x), ddof)
    rstd = jax.lax.rsqrt(var + eps)
    xhat = (wide(x) - mean) * rstd
    y = like(x, gamma) * xhat + like(x, beta)
    return y.astype(x.dtype), Residuals(xhat.astype(x.dtype), rstd, gamma)


def batchnorm_bwd(eps, ddof, res, dy):
    """Returns dx [*batch, D], dgamma [D], dbeta [D]."""
    batch, gamma = _batch(dy), res.gamma
    xhat, dy = wide(res.xhat), wide(dy)
    dgamma = (xhat * dy).sum(batch)
    dbeta = dy.sum(batch)  # under `jit` XLA merges both with the sums of the next
    dx = like(dy, gamma) * jacobian_product(xhat, res.rstd, dy, batch, ddof)
    dx = dx.astype(res.xhat.dtype)
    return dx, dgamma.astype(gamma.dtype), dbeta.astype(gamma.dtype)


batchnorm.defvjp(batchnorm_fwd, batchnorm_bwd)


def batchnorm_jvp(eps, ddof, primals, tangents):
    """Returns y and its move dy [*batch, D] for moves of x, gamma and beta."""
    (x, gamma, beta), (dx, dgamma, dbeta) = primals, tangents
    y, (xhat, rstd, _) = batchnorm_fwd(x, gamma, beta, eps, ddof)
    xhat, dx = wide(xhat), wide(dx)
    dxhat = jacobian_product(xhat, rstd, dx, _batch(y), ddof)
    dy = like(dx, gamma) * dxhat + like(dx, dgamma) * xhat + like(dx, dbeta)
    return y, dy.astype(y.dtype)


def jacobian_product(xhat, rstd, dx, axes, ddof=0):
    """How xhat moves with x, and as this is symmetric, what dxhat sends back to x too.

    Along any axes: layernorm and groupnorm are the same derivation along others.
    """
    n = _count(dx, axes)
    mean_dx = dx.sum(axes, keepdims=True) / n
    along_xhat = (xhat * dx).sum(axes, keepdims=True) / (n - ddof)
    return rstd * (dx - mean_dx - xhat * along_xhat)


def moments(x, axes, ddof=0):
    """Mean and variance along axes, which stay as axes of 1."""
    mean = x.mean(axes, keepdims=True)
    var = ((x - mean) ** 2).sum(axes, keepdims=True) / (_count(x, axes) - ddof)
    return mean, var


def batch_statistics(
    x: Float[Array, "*batch D"], ddof: int = 1
) -> tuple[Float[Array, "D"], Float[Array, "D"]]:
    """Mean and variance [D] over all axes but the last.

    They feed the running statistics. batchnorm computes the same two numbers from the
    same x, and under `jit` XLA merges the two computations.
    """
    mean, var = moments(wide(x), _batch(x), ddof)
    return mean.ravel(), var.ravel()


def _batch(x):
    return tuple(range(x.ndim - 1))


def _count(x, axes):
    return math.prod(x.shape[axis] for axis in axes)


def _check_arguments(x, gamma, beta, eps, ddof):
    check_input("batchnorm", x, {"gamma": gamma, "beta": beta}, axes=2)
    check_number("batchnorm", "eps", eps, 0)
    D, given = x.shape[-1], f"of shape {x.shape}"
    enough = x.size // D > ddof
    expect("batchnorm", "x", given, f"a batch of more than ddof = {ddof}", enough)


def example(key, N, D):
    key_x, key_gamma, key_beta = jax.random.split(key, 3)
    x = 0.5 + 2 * jax.random.normal(key_x, (N, D))
    gamma = 1.5 + 0.3 * jax.random.normal(key_gamma, (D,))
    return x, gamma, jax.random.normal(key_beta, (D,))


rule = Rule(
    op=batchnorm,
    fwd=batchnorm_fwd,
    bwd=batchnorm_bwd,
    jvp=batchnorm_jvp,
    example=example,
    cases=(
        Case({"N": 7, "D": 5}, (1e-5, 1)),
        Case({"N": 5, "D": 5}, (1e-5, 0)),
        Case({"N": 2, "D": 3}, (1e-2, 1)),
        Case({"N": 1, "D": 3}, (1e-5, 0)),
        Case({"N": 31, "D": 1}, (1e-3, 1)),
    ),
    bench=Case({"N": 4096, "D": 512}, (1e-5, 1)),
    source="Ioffe, Szegedy 2015, arXiv:1502.03167",
)

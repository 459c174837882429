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

from jaxninja.rule import Case, Rule, along_last, expect


class Residuals(NamedTuple):
    xhat: jax.Array  # [*batch, D], the only large one: x itself is not kept
    rstd: jax.Array  # [1, ..., D]
    gamma: jax.Array  # [1, ..., D]


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
        eps: added to the variance; a constant column then gives y = beta.
        ddof: the variance is divided by n - ddof: 0 as in the paper, 1 (Bessel's
            correction) as in the lecture.

    Returns:
        [*batch, D].

    Raises:
        ValueError: the shapes do not fit, or n <= ddof (a variance of 0 / 0).

    Source: Ioffe, Szegedy 2015, arXiv:1502.03167; ddof = 1 as in Karpathy's makemore.
    """
    return batchnorm_fwd(x, gamma, beta, eps, ddof)[0]


def batchnorm_fwd(x, gamma, beta, eps, ddof):
    _door(x, gamma, beta, ddof)
    gamma, beta = along_last(gamma, x), along_last(beta, x)
    mean, var = moments(x, _batch(x), ddof)
    rstd = jax.lax.rsqrt(var + eps)
    xhat = (x - mean) * rstd
    return gamma * xhat + beta, Residuals(xhat, rstd, gamma)


def batchnorm_bwd(eps, ddof, res, dy):
    """Returns dx [*batch, D], dgamma [D], dbeta [D]."""
    xhat, rstd, gamma = res
    dgamma = (xhat * dy).sum(_batch(dy))
    dbeta = dy.sum(_batch(dy))  # under `jit` XLA merges both with the sums of the next
    dx = gamma * jacobian_product(xhat, rstd, dy, _batch(dy), ddof)
    return dx, dgamma, dbeta


batchnorm.defvjp(batchnorm_fwd, batchnorm_bwd)


def batchnorm_jvp(eps, ddof, primals, tangents):
    """Returns y and its move dy [*batch, D] for moves of x, gamma and beta."""
    (x, gamma, beta), (dx, dgamma, dbeta) = primals, tangents
    dgamma, dbeta = along_last(dgamma, dx), along_last(dbeta, dx)
    y, (xhat, rstd, gamma) = batchnorm_fwd(x, gamma, beta, eps, ddof)
    dxhat = jacobian_product(xhat, rstd, dx, _batch(y), ddof)
    return y, gamma * dxhat + dgamma * xhat + dbeta


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
    mean, var = moments(x, _batch(x), ddof)
    return mean.ravel(), var.ravel()


def _batch(x):
    return tuple(range(x.ndim - 1))


def _count(x, axes):
    return math.prod(x.shape[axis] for axis in axes)


def _door(x, gamma, beta, ddof):
    given = f"of shape {x.shape}"
    expect(
        "batchnorm", "x", given, "[..., D] with D > 0", x.ndim > 1 and x.shape[-1] > 0
    )
    D = x.shape[-1]
    for name, value in (("gamma", gamma), ("beta", beta)):
        fits = value.shape == (D,)
        expect(
            "batchnorm",
            name,
            f"of shape {value.shape}",
            f"[{D}], as x is {x.shape}",
            fits,
        )
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

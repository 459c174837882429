"""Batchnorm with a mistake in its backward pass, for the checker to find.

    jaxninja check experiments.broken_batchnorm:batchnorm \\
        --args experiments.broken_batchnorm:example

The backward pass forgets that x also reaches the output through the mean of the batch.
A loss of y.sum() does not show it: its gradient through batchnorm is zero either way.
"""

from functools import partial

import jax


@partial(jax.custom_vjp, nondiff_argnums=(3,))
def batchnorm(x, gamma, beta, eps=1e-5):
    """Columns of x [N, D] normalised over the batch, times gamma [D] plus beta [D]."""
    centred = x - x.mean(0)
    rstd = jax.lax.rsqrt((centred**2).mean(0) + eps)
    return gamma * centred * rstd + beta


def batchnorm_fwd(x, gamma, beta, eps):
    centred = x - x.mean(0)
    rstd = jax.lax.rsqrt((centred**2).mean(0) + eps)
    xhat = centred * rstd
    return gamma * xhat + beta, (xhat, rstd, gamma)


def batchnorm_bwd(eps, residuals, dy):
    xhat, rstd, gamma = residuals
    dgamma = (dy * xhat).sum(0)
    dbeta = dy.sum(0)
    dx = gamma * rstd * (dy - xhat * (dy * xhat).mean(0))  # and where is dy.mean(0)?
    return dx, dgamma, dbeta


batchnorm.defvjp(batchnorm_fwd, batchnorm_bwd)


def example():
    """Generic arguments: no zeros, no ones."""
    keys = jax.random.split(jax.random.key(0), 3)
    x, gamma = jax.random.normal(keys[0], (8, 5)), jax.random.normal(keys[1], (5,))
    return x, gamma, jax.random.normal(keys[2], (5,))

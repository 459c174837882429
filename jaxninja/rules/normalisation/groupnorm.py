"""Group normalisation: each example's groups of channels to mean 0 and variance 1.

    x [B, ..., C] is seen as [B, n, groups, C / groups], n the positions of an example;
    mean, var, rstd and xhat are layernorm's, over the second and the last of these axes
    y = gamma xhat + beta                    gamma, beta [C], channel by channel

The derivation is batchnorm.py's and layernorm.py's once more; only the axes differ that
J averages over. As gamma varies among a group's channels, it stays inside of J:

    J dx = rstd (dx - mean(dx) - xhat mean(xhat dx)),    symmetric
    dx = J (gamma dy)
    dgamma = sum over B and n of dy xhat     dbeta = sum over B and n of dy

Examples are to each other what rows are in layernorm: a block of them is taken at once.

Check: one group of an example without positions is layernorm; groups = C is instance
normalisation, where with n = 1 all is its own mean: xhat = 0 and dx = 0.
"""

from functools import partial
from typing import NamedTuple

import jax
from jax import lax
from jaxtyping import Array, Float

from jaxninja.rule import (
    Case,
    Rule,
    expect,
    in_one_program,
    on_auto_axes,
    sharding,
    wide,
)
from jaxninja.rules import blocking
from jaxninja.rules.normalisation.arguments import check_input, check_number
from jaxninja.rules.normalisation.batchnorm import jacobian_product, moments
from jaxninja.rules.normalisation.rows import over_rows

AXES = (1, 3)  # of [B, n, groups, C / groups]


class Residuals(NamedTuple):
    x: jax.Array  # [B, ..., C], an argument that others hold too: xhat is made again
    mean: jax.Array  # [B, 1, groups, 1]
    rstd: jax.Array  # [B, 1, groups, 1]
    gamma: jax.Array  # [C]


@partial(jax.custom_vjp, nondiff_argnums=(3, 4))
def groupnorm(
    x: Float[Array, "B *positions C"],
    gamma: Float[Array, "C"],
    beta: Float[Array, "C"],
    groups: int,
    eps: float = 1e-5,
) -> Float[Array, "B *positions C"]:
    """Normalise groups of channels: y = gamma (x - mean) / sqrt(var + eps) + beta.

    Args:
        x: [B, ..., C], channels last; mean and var [B, groups] are over the channels of
            a group, which follow each other, and all positions.
        gamma: [C] gain.
        beta: [C] bias.
        groups: how many; divides C.
        eps: added to the variance, 0 or more; if above, a constant group gives beta.

    Returns:
        [B, ..., C] in the type of x; computed in float32 or better. Smooth for eps > 0.

    Raises:
        ValueError: shapes or types do not fit, groups does not divide C, or eps is
            below 0.

    Source: Wu, He 2018, arXiv:1803.08494.
    """
    return groupnorm_fwd(x, gamma, beta, groups, eps)[0]


def groupnorm_fwd(x, gamma, beta, groups, eps):
    _check_arguments(x, gamma, beta, groups, eps)
    grouped = _grouped(x, groups)
    mean, var = moments(grouped, AXES)
    rstd = lax.rsqrt(var + eps)
    xhat = (grouped - mean) * rstd
    y = _weight(gamma, xhat) * xhat + _weight(beta, xhat)
    return _ungrouped(y, x.shape).astype(x.dtype), Residuals(x, mean, rstd, gamma)


def groupnorm_bwd(groups, eps, res, dy):
    """Returns dx [B, ..., C], dgamma [C], dbeta [C]."""
    size = blocking.rows(len(dy), dy.size // len(dy), dy.dtype.itemsize)
    weight = sharding(res.gamma)
    where = sharding(res.x), weight, weight
    return on_auto_axes(_in_blocks, where, res, dy, groups=groups, size=size)


@in_one_program("groups", "size")
def _in_blocks(res, dy, groups, size):
    *rows, gamma = res

    def pull(x, mean, rstd, dy):
        xhat, grouped = (_grouped(x, groups) - mean) * rstd, _grouped(dy, groups)
        dx = jacobian_product(xhat, rstd, _weight(gamma, xhat) * grouped, AXES)
        sums = (grouped * xhat).sum((0, 1)), grouped.sum((0, 1))
        return _ungrouped(dx, x.shape).astype(x.dtype), sums

    dx, sums = over_rows(pull, (*rows, dy), size)
    return dx, *(a.ravel().astype(gamma.dtype) for a in sums)


groupnorm.defvjp(groupnorm_fwd, groupnorm_bwd)


def groupnorm_jvp(groups, eps, primals, tangents):
    """Returns y and its move dy [B, ..., C] for moves of x, gamma and beta."""
    dx, dgamma, dbeta = tangents
    x, gamma, beta = primals
    y, (_, mean, rstd, _) = groupnorm_fwd(x, gamma, beta, groups, eps)
    xhat = (_grouped(x, groups) - mean) * rstd
    dxhat = jacobian_product(xhat, rstd, _grouped(dx, groups), AXES)
    dy = _weight(gamma, xhat) * dxhat + _weight(dgamma, xhat) * xhat
    dy += _weight(dbeta, xhat)
    return y, _ungrouped(dy, y.shape).astype(y.dtype)


def _grouped(x, groups):
    """[B, n, groups, C / groups]"""
    B, C = len(x), x.shape[-1]
    x = wide(x).reshape(B, -1, C)  # in two steps, of which JAX knows how shards go
    return x.reshape(*x.shape[:2], groups, C // groups)


def _ungrouped(x, shape):
    B, n = x.shape[:2]
    return x.reshape(B, n, -1).reshape(shape)


def _weight(weight, grouped):
    """[1, 1, groups, C / groups]"""
    return weight.astype(grouped.dtype).reshape(1, 1, *grouped.shape[2:])


def _check_arguments(x, gamma, beta, groups, eps):
    check_input("groupnorm", x, {"gamma": gamma, "beta": beta}, axes=2)
    C, given = x.shape[-1], repr(groups)
    whole = isinstance(groups, int) and groups >= 1
    expect("groupnorm", "groups", given, "a whole number from 1 on", whole)
    divides = C % groups == 0
    expect(
        "groupnorm", "groups", given, f"a divisor of {C}, as x is {x.shape}", divides
    )
    check_number("groupnorm", "eps", eps, 0)


def example(key, B, n, m, C):
    key_x, key_gamma, key_beta = jax.random.split(key, 3)
    x = 0.5 + 2 * jax.random.normal(key_x, (B, n, m, C))
    gamma = 1.5 + 0.3 * jax.random.normal(key_gamma, (C,))
    return x, gamma, jax.random.normal(key_beta, (C,))


rule = Rule(
    op=groupnorm,
    fwd=groupnorm_fwd,
    bwd=groupnorm_bwd,
    jvp=groupnorm_jvp,
    example=example,
    cases=(
        Case({"B": 3, "n": 2, "m": 5, "C": 6}, (2, 1e-5)),
        Case({"B": 4, "n": 4, "m": 4, "C": 4}, (4, 1e-2)),
        Case({"B": 1, "n": 1, "m": 3, "C": 7}, (1, 1e-5)),
        Case({"B": 2, "n": 3, "m": 1, "C": 1}, (1, 1e-1)),
    ),
    bench=Case({"B": 16, "n": 32, "m": 32, "C": 128}, (32, 1e-5)),
    source="Wu, He 2018, arXiv:1803.08494",
)

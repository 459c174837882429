"""Dropout: each entry is zeroed with probability `rate`, the rest made larger for it.

    keep = a coin for each entry, 1 with probability 1 - rate, from the key
    y = keep x / (1 - rate)                      (so that the mean of y is x)

Linear in x, with a diagonal of keep / (1 - rate): a move of x is masked and enlarged in
the same way, and so, the diagonal being its own transpose, is the cotangent:

    dx = keep dy / (1 - rate)

The same key gives the same coins, so the backward pass draws them again: the key is all
that is kept, 8 bytes in place of a mask of the size of x.

The coins are 32 random bits against a threshold, not floats: they do not depend on the
type of x, nor on whether float64 is on.

Check: rate = 0 is the identity, dx = dy. Where y is 0 for its coin, so is dx.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxninja.rule import Case, Rule, expect


class Residuals(NamedTuple):
    key: jax.Array  # of `jax.random.key`; neither the mask nor x is kept


@partial(jax.custom_vjp, nondiff_argnums=(2,))
def dropout(
    x: Float[Array, "*shape"], key: Array, rate: float
) -> Float[Array, "*shape"]:
    """Zero entries at random: y = keep x / (1 - rate), keep from the key.

    Args:
        x: [*shape].
        key: of `jax.random.key` or `PRNGKey`; another one for each call.
        rate: probability of a zero, in [0, 1).

    Returns:
        [*shape].

    Raises:
        ValueError: x is not of floats, the key is none, or the rate is out of range.

    Source: Srivastava et al. 2014, Dropout, JMLR 15.
    """
    return dropout_fwd(x, key, rate)[0]


def dropout_fwd(x, key, rate):
    _check_arguments(x, key, rate)
    return _masked(x, key, rate), Residuals(key)


def dropout_bwd(rate, res, dy):
    """Returns dx [*shape], and None for the key."""
    return _masked(dy, res.key, rate), None


dropout.defvjp(dropout_fwd, dropout_bwd)


def dropout_jvp(rate, primals, tangents):
    x, key = primals
    return dropout_fwd(x, key, rate)[0], _masked(tangents[0], key, rate)


def _masked(x, key, rate):
    dropped = jnp.uint32(min(round(rate * 2**32), 2**32 - 1))
    keep = jax.random.bits(key, x.shape, jnp.uint32) >= dropped
    return jnp.where(keep, x / (1 - rate), 0)


def _check_arguments(x, key, rate):
    real = jnp.issubdtype(x.dtype, jnp.floating)
    expect("dropout", "x", f"of type {x.dtype}", "floats", real)
    typed = jnp.issubdtype(key.dtype, jax.dtypes.prng_key) and key.shape == ()
    raw = key.dtype == jnp.uint32 and key.ndim == 1
    given = f"of type {key.dtype} and shape {key.shape}"
    expect("dropout", "key", given, "one key of jax.random.key", typed or raw)
    expect("dropout", "rate", rate, "0 or more, and below 1", 0 <= rate < 1)


def example(key, N, D):
    key_x, key_mask = jax.random.split(key)
    return jax.random.normal(key_x, (N, D)), key_mask


rule = Rule(
    op=dropout,
    fwd=dropout_fwd,
    bwd=dropout_bwd,
    jvp=dropout_jvp,
    example=example,
    cases=(
        Case({"N": 3, "D": 5}, (0.5,)),
        Case({"N": 7, "D": 2}, (0.0,)),
        Case({"N": 4, "D": 4}, (0.1,)),
    ),
    bench=Case({"N": 4096, "D": 512}, (0.1,)),
    source="Srivastava et al. 2014, Dropout, JMLR 15",
)

"""An error is one of rounding only where numbers of a narrower dtype are on the way."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxninja.check.diagnosis.explainers import diagnose
from tests.check.diagnosis.evidence import evidence


def plain(x, w):
    return jnp.sin(x) * jnp.cos(w)


def slope(x):
    return jnp.cos(x)


def in_a_branch(x):
    return jax.lax.cond(x.sum() > -1e9, _narrow, slope, x)


def _narrow(x):
    return jnp.cos(x.astype(jnp.bfloat16)).astype(x.dtype)


def nearly(x):
    return jnp.cos(x + 1e-3 * x * x)


def bwd_by(slope, factor=1.0):
    def bwd(res, dy):
        x, w = res
        bent = 1 if factor == 1 else jnp.cos(factor * w * w)
        return dy * slope(x) * jnp.cos(w), -dy * jnp.sin(x) * jnp.sin(w) * bent

    return bwd


def kept(x, w):
    return plain(x, w), (x, w)


def kept_narrow(x, w):
    return plain(x, w), (x.astype(jnp.bfloat16).astype(x.dtype), w)


def kinds(fwd, bwd) -> set:
    return {hint.kind for hint in diagnose(evidence(plain, fwd, bwd, [(3, 4)] * 2))}


@pytest.mark.parametrize(
    ("fwd", "slope", "factor", "rounds"),
    [
        (kept, in_a_branch, 1.0, True),
        (kept_narrow, slope, 1.0, True),
        (kept, nearly, 1.0, False),  # a formula that is off by as little
        (kept, in_a_branch, 2.0, False),  # the other leaf is off by far more
    ],
)
def test_a_small_error_is_of_rounding_where_something_is_narrow(
    fwd, slope, factor, rounds, x64
):
    assert ("precision" in kinds(fwd, bwd_by(slope, factor))) == rounds


@pytest.mark.parametrize(
    ("error", "rounds"),
    [
        (lambda x, dy: dy.astype(np.float16).astype(float) * np.cos(x), True),
        (lambda x, dy: dy * np.cos(x + 1e-3 * x * x), False),
    ],
)
def test_what_numpy_rounds_is_no_multiple_of_the_cotangent(error, rounds, x64):
    def bwd(x, dy):
        return (error(np.asarray(x), np.asarray(dy)),)

    given = evidence(jnp.sin, lambda x: (jnp.sin(x), x), bwd, [(3, 4)])
    assert ("precision" in {hint.kind for hint in diagnose(given)}) == rounds

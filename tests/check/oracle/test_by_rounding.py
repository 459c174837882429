"""What a last bit decides at inputs that nobody gave is no mistake of the rule."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxninja import check_vjp
from tests.check.subjects import ruled

X = np.array([0.6, 1.7, -0.4, 0.9], np.float32)


def shifted(x, total, top):
    """x with a common shift, at most `top` each, whose sum is `total`."""

    def halve(_, ends):
        low, high = ends
        middle = (low + high) / 2
        above = jnp.minimum(x + middle, top).sum() > total
        return jnp.where(above, low, middle), jnp.where(above, middle, high)

    ends = -10 + 0 * total, jnp.max(top - x)
    low, high = jax.lax.fori_loop(0, 60, halve, ends)
    return (low + high) / 2


def plain(x, total, top):
    shift = shifted(*jax.lax.stop_gradient((x, total)), top)
    free = x + shift < top * (1 - 1e-12)
    count = jnp.maximum(free.sum(), 1)
    shift = shift + (total - jnp.minimum(x + shift, top).sum()) / count
    return jnp.where(free, x + shift, top)


@pytest.mark.parametrize("slip", [0, 0.1])
def test_a_bound_that_cannot_be_met(slip):
    """Where the total is beyond all bounds, every entry is at its bound, or a last bit
    below."""

    def fwd(x, total, top):
        shift = shifted(x, total, top)
        return jnp.minimum(x + shift, top), (x, shift)

    def bwd(top, kept, dy):
        x, shift = kept
        free = (x + shift < top).astype(x.dtype)
        share = (free @ dy) / jnp.maximum(free.sum(), 1)
        return free * (dy - share + slip * dy), share

    op = ruled(plain, fwd, bwd, (2,))
    total = np.float32(1.1)
    report = check_vjp(op, X, total, 1.0, reference=plain, hints=False)
    assert report.ok == (slip == 0), report.table()

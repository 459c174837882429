"""The terms of a gradient, of whatever the reference makes it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxninja import check_vjp
from jaxninja.check.oracle.roundings.magnitude import magnitudes
from tests.check.subjects import ruled


def by_scan(x, w):
    def step(carry, x):
        return x - 0.9 * carry, carry * x

    last, products = jax.lax.scan(step, 0 * w, x)
    return last, products.sum(0)


def by_steps(x, w):
    carry, products = 0 * w, []
    for row in x:
        products.append(carry * row)
        carry = row - 0.9 * carry
    return carry, sum(products)


def terms(f, x, w):
    y, pull = jax.vjp(f, x, w)
    dy = jax.tree.map(jnp.ones_like, y)
    return magnitudes(jax.make_jaxpr(pull)(dy), list(dy)), pull(dy)


def test_a_loop_has_the_terms_of_its_steps(x64):
    rng = np.random.default_rng(0)
    x, w = jnp.asarray(rng.normal(size=(5, 3))), jnp.asarray(rng.normal(size=3))
    (found, _), (gradient, _) = terms(by_scan, x, w)
    (expected, _), _ = terms(by_steps, x, w)
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    assert (found > 1.5 * jnp.abs(gradient)).any()  # they cancel


def online(q, k, v):
    """Attention of saturated scores, by a maximum and a sum that go along."""

    def step(state, pair):
        top, total, out = state
        key, value = pair
        new = jnp.maximum(top, q @ key)
        p, shrink = jnp.exp(q @ key - new), jnp.exp(top - new)
        return (new, total * shrink + p, out * shrink + p * value), None

    start = jnp.zeros(()) - jnp.inf, jnp.zeros(()), 0 * v[0]
    return jax.lax.scan(step, start, (k, v))[0]


@pytest.mark.parametrize(("factor", "verdict"), [(1, "ok"), (1.001, "fail")])
def test_where_a_softmax_is_saturated_its_terms_are_not(factor, verdict):
    def plain(q, k, v):
        _, total, out = online(q, k, v)
        return out / total

    def fwd(q, k, v):
        top, total, out = online(q, k, v)
        return out / total, (q, k, v, out / total, top + jnp.log(total))

    def bwd(res, dy):
        q, k, v, o, lse = res
        p = jnp.exp(k @ q - lse)
        ds = factor * p * (v @ dy - o @ dy)
        return ds @ k, jnp.outer(ds, q), jnp.outer(p, dy)

    rng = np.random.default_rng(2)
    q, k, v = (rng.normal(size=n).astype(np.float32) for n in (4, (6, 4), (6, 3)))
    report = check_vjp(ruled(plain, fwd, bwd, ()), 6 * q, 6 * k, v, hints=False)
    assert report.verdict == verdict, report.table()

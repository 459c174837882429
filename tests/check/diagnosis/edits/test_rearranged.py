"""Right values in the wrong order, and where a chain rule stops, are told as such."""

import jax
import jax.numpy as jnp
import pytest
from jax import lax

from jaxninja.check.diagnosis.explainers import diagnose
from tests.check.diagnosis.evidence import evidence


def between(table, w):
    return (1 - w) * table[:-1] + w * table[1:]


def between_bwd(res, dy):
    table, w = res
    near, far = w * dy, (1 - w) * dy  # the other way round
    ends = jnp.pad(near, ((0, 1), (0, 0))), jnp.pad(far, ((1, 0), (0, 0)))
    return ends[0] + ends[1], dy * (table[1:] - table[:-1])


def ranked(x):
    return jnp.take_along_axis(x, jnp.argsort(x, 0), 0)


def ranked_bwd(res, dy):
    (x,) = res
    return (jnp.take_along_axis(dy, jnp.argsort(x, 0), 0),)


def blurred(u, k):
    return k * (jnp.roll(u, 1, 0) + 2 * u)


def blurred_bwd(res, dy):
    u, k = res
    du = k * (jnp.roll(dy, -1, 0) + 2 * dy)
    return du, dy * (jnp.roll(u, 1, 0) + 2 * u)


def noisy(x):
    kept = jax.random.bernoulli(jax.random.key(3), 0.5, (len(x), 1))
    return x * kept


def noisy_bwd(res, dy):
    return (dy * jax.random.bernoulli(jax.random.key(3), 0.5, dy.shape),)


def decayed(x, h):
    def step(c, t):
        c = jnp.sin(c) + t
        return c, c

    return lax.scan(step, h[0], x)[1]


def decayed_bwd(res, dy):
    x, h = res
    after = decayed(x, h)
    jnp.concatenate([h[:1], after[:-1]])  # which belongs into the scan

    def step(g, t):
        g_now, state = t
        g = g + g_now
        return g * jnp.cos(state), g

    dh, dx = lax.scan(step, jnp.zeros_like(dy[0]), (dy, after), reverse=True)
    return dx, jnp.zeros_like(h).at[0].set(dh)


def softened(x, w):
    p = jax.nn.softmax(x)
    return (p * w).sum(-1)


def softened_bwd(res, dy):
    x, w = res
    p, dp = jax.nn.softmax(x), dy[:, None] * w
    return p * (dp - dp.mean(-1, keepdims=True)), dy[:, None] * p


def positive(x, s):
    return x * jnp.sin(jax.nn.softplus(s))


def positive_bwd(res, dy):
    x, s = res
    rate = jax.nn.softplus(s)
    return dy * jnp.sin(rate), dy * x * jnp.cos(rate)  # and softplus has no slope


SQUARE = [(5, 4), (5, 4)]
CASES = [
    (between, between_bwd, [(5, 2), (4, 2)], "swap", "exchange with"),
    (ranked, ranked_bwd, [(6, 3)], "index", "inverse order"),
    (blurred, blurred_bwd, SQUARE, "operand", "factor before"),
    (noisy, noisy_bwd, [(7, 3)], "mask", "drawn"),
    (decayed, decayed_bwd, [(5, 2), (1, 2)], "residual", "row before"),
    (softened, softened_bwd, SQUARE, "operand", "weighted"),
    (positive, positive_bwd, SQUARE, "factor", "stops early"),
]


@pytest.mark.parametrize(
    ("plain", "bwd", "shapes", "kind", "code"), CASES, ids=lambda c: str(c)[:20]
)
def test_named(plain, bwd, shapes, kind, code, x64):
    said = diagnose(evidence(plain, lambda *a: (plain(*a), a), bwd, shapes))
    assert said
    assert said[0].verified
    codes = {said[0].statement.code, dict(said[0].statement.facts).get("edit")}
    codes |= {getattr(c, "code", None) for c in codes}
    assert (said[0].kind, code in codes) == (kind, True), said[0].sentence

"""Where the reference's gradient is not finite, though there is one."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxninja import check_vjp
from tests.check.subjects import ruled

X = np.array([[0.7, -1.9], [2.3, 0.4]], np.float32)


def sinc(x):
    return jnp.where(x == 0, 1, jnp.sin(x) / x)


@pytest.mark.parametrize(("slope", "verdict"), [(0.0, "ok"), (1.0, "fail")])
def test_a_removable_hole(slope, verdict):
    """JAX says NaN of the slope at 0; `slope` is the rule's."""

    def bwd(x, dy):
        safe = jnp.where(x == 0, 1, x)
        right = (safe * jnp.cos(safe) - jnp.sin(safe)) / safe**2
        return (dy * jnp.where(x == 0, slope, right),)

    op = ruled(sinc, lambda x: (sinc(x), x), bwd, ())
    report = check_vjp(op, X, hints=False)
    assert report.verdict == verdict, report.table()


@pytest.mark.parametrize("at_zero", [0.0, 1.0])
def test_a_kink_has_no_limit(at_zero):
    """Of a norm: whatever a rule says at a row of zeros, nothing is known of it."""

    def plain(x):
        return jnp.sqrt((x * x).sum(-1))

    def bwd(x, dy):
        norm = plain(x)[:, None]
        unit = x / jnp.where(norm == 0, 1, norm)
        return (dy[:, None] * jnp.where(norm == 0, at_zero, unit),)

    op = ruled(plain, lambda x: (plain(x), x), bwd, ())
    report = check_vjp(op, X, hints=False)
    assert report.ok, report.table()


def test_a_value_that_jumps_has_no_limit():
    """A mean of powers tends to the geometric one where the power is 0, and is 1."""

    def plain(x, p):
        return (x**p).mean() ** (1 / p)

    def bwd(res, dy):
        x, p, y = res
        z = x**p
        dx = dy * y ** (1 - p) * x ** (p - 1) / x.size
        over = jnp.where(p == 0, 1, p)
        logs = jnp.log(jnp.where(x > 0, x, 1))
        dp = (z * logs).sum() / z.sum() - jnp.log(z.mean()) / over
        return dx, dy * y * dp / over

    op = ruled(plain, lambda x, p: (plain(x, p), (x, p, plain(x, p))), bwd, ())
    report = check_vjp(op, np.abs(X), np.float32(3.0), hints=False)
    assert report.ok, report.table()


def test_a_quantile_has_no_slope_at_the_end_of_its_domain():
    """Its value is infinite at 0, where autodiff says 0 of the slope."""
    plain = jax.scipy.special.ndtri

    def bwd(z, dy):
        return (dy * jnp.sqrt(2 * jnp.pi) * jnp.exp(z * z / 2),)

    op = ruled(plain, lambda p: (plain(p), plain(p)), bwd, ())
    report = check_vjp(op, np.array([0.2, 0.7, 0.45], np.float32), hints=False)
    assert report.ok, report.table()


@pytest.mark.parametrize("factor", [1.0, 0.9])
def test_a_slope_of_its_own_at_one_point(factor):
    """Of a power's transform: next to 0 the power is none, says its program, and the
    rule knows the slope by it."""

    def plain(x, p):
        none = jnp.abs(p) < 1e-6
        return jnp.where(none, jnp.log(x), jnp.expm1(p * jnp.log(x)) / (p + none))

    def bwd(args, dy):
        x, p = args
        none, log = jnp.abs(p) < 1e-6, jnp.log(x)
        far = (log * x**p - jnp.expm1(p * log) / (p + none)) / (p + none)
        dp = (dy * jnp.where(none, factor * log * log / 2, far)).sum()
        return dy * x ** (p - 1), dp

    op = ruled(plain, lambda x, p: (plain(x, p), (x, p)), bwd, ())
    x = np.array([0.6, 1.7, 2.2], np.float32)
    report = check_vjp(op, x, np.float32(0.3), hints=False)
    assert report.ok == (factor == 1), report.table()

"""Mixed dtypes are run as they are given, and long sums in a narrow one are seen."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxninja import check_vjp
from tests.check.subjects import codes, ruled

LOW = jnp.bfloat16
rng = np.random.default_rng(7)


def normal(*shape, dtype=jnp.float32):
    return jnp.asarray(rng.normal(size=shape), dtype)


def wide(a):
    return a.astype(jnp.promote_types(a.dtype, jnp.float32))


def scaled(x, s):
    return (wide(x) * s).astype(x.dtype)


def shifted(x, b):
    return x + b.astype(x.dtype)


def shifted_in_float32(x, b):
    return (wide(x) + b).astype(x.dtype)


def sum_returned_in_float32(args, g):
    return g, wide(g).sum(0).astype(args[1].dtype)


def product_in_float32(args, g):
    x, s = args
    ds = (wide(g) * wide(x)).sum()
    return (wide(g) * s).astype(x.dtype), ds.astype(s.dtype)


def product_in_its_dtype(args, g):
    x, s = args
    return (wide(g) * s).astype(x.dtype), (g * x).sum().astype(s.dtype)


def sum_in_float32(args, g):
    return g, g.sum(0).astype(args[1].dtype)


def sum_in_its_dtype(args, g):
    total = jax.lax.scan(lambda c, t: (c + t, None), jnp.zeros_like(g[0]), g)[0]
    return g, total.astype(args[1].dtype)


def scale_in_float64_only(args, g):
    dx, ds = product_in_float32(args, g)
    return wide(dx), ds


# plain, right backward, wrong one, arguments, the leaf that shows it
BUGS = {
    "a product": (
        scaled, product_in_float32, product_in_its_dtype,
        (normal(64, 64, dtype=LOW), jnp.float32(0.7)), "s",
    ),
    "a long sum": (
        shifted, sum_in_float32, sum_in_its_dtype,
        (normal(2048, 4, dtype=LOW), normal(4, dtype=LOW)), "b",
    ),
    "a long sum of float16, returned in float32": (
        shifted_in_float32, sum_returned_in_float32, sum_in_its_dtype,
        (normal(2048, 4, dtype=jnp.float16), normal(4)), "b",
    ),
}  # fmt: skip


def check(plain, bwd, args):
    op = ruled(plain, lambda *args: (plain(*args), args), bwd, ())
    return check_vjp(op, *args, edges=False, hints=False)


@pytest.mark.parametrize("name", BUGS)
def test_a_gradient_is_judged_by_the_dtype_it_is_returned_in(name):
    plain, right, wrong, args, leaf = BUGS[name]
    report = check(plain, right, args)
    assert report.ok, report.table()
    assert any(dtype.startswith("as given") for dtype in report.coverage.dtypes)
    report = check(plain, wrong, args)
    assert [f.name for f in report.failures] == [leaf], report.table()
    assert "[dtypes as given: " in report.table()


def test_a_dtype_that_is_wrong_in_the_mixture_only():
    x, s = normal(8, 4, dtype=LOW), jnp.float32(0.7)
    assert "E-DTYPE" in codes(check(scaled, scale_in_float64_only, (x, s)))


def test_a_dtype_that_is_wrong_in_no_mixture_that_was_given():
    args = normal(8, 4, dtype=LOW), normal(4)
    report = check(shifted_in_float32, lambda args, g: (g, wide(g).sum(0)), args)
    assert report.ok, report.table()


def scaled_and_summed(x, s):
    return x * s + 0 * x.mean()


@pytest.mark.parametrize("plain", [scaled, lambda x, s: x * s, scaled_and_summed])
def test_a_dtype_that_is_wrong_where_nothing_narrow_was_given(plain):
    """A forward that widens is meant for narrow numbers; another need not be, even if
    JAX's sums do."""

    def bwd(args, g):
        x, s = args
        return wide(g) * s, (wide(g) * wide(x)).sum().astype(s.dtype)

    args = normal(8, 4), jnp.float32(0.7)
    report = check(plain, bwd, args)
    assert report.ok == (plain is not scaled), report.table()
    assert report.ok or "in bfloat16, dx is float32" in report.table()
    assert check(plain, product_in_float32, args).ok


def test_wide_arguments_have_no_run_of_their_own():
    report = check(scaled, product_in_float32, (normal(8, 4), jnp.float32(0.7)))
    assert report.coverage.dtypes == ("float32",)

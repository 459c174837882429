"""Of a rule that is a Pallas kernel, a hint points at the line of the kernel."""

import inspect

import jax
import jax.numpy as jnp
from jax.experimental import pallas as pl

from jaxninja import check_vjp
from tests.check.subjects import inputs, ruled


def kernel(x_ref, gain_ref, g_ref, dx_ref, dgain_ref):
    dgain_ref[...] = (g_ref[...] * jnp.sin(x_ref[...])).sum(0)
    slope = jnp.cos(x_ref[...]) * gain_ref[...]
    dx_ref[...] = -slope * g_ref[...]  # mistake: the sign


def test_the_line_is_the_kernels():
    def plain(x, gain):
        return jnp.sin(x) * gain

    def bwd(res, g):
        shapes = [jax.ShapeDtypeStruct(a.shape, a.dtype) for a in res]
        return tuple(pl.pallas_call(kernel, shapes, interpret=True)(*res, g))

    op = ruled(plain, lambda *a: (plain(*a), a), bwd, ())
    report = check_vjp(op, *inputs())
    assert [leaf.verdict for leaf in report.leaves] == ["fail", "ok"]
    lines, start = inspect.getsourcelines(kernel)
    line = start + next(k for k, text in enumerate(lines) if "# mistake" in text)
    first = report.hints[0]
    assert (first.kind, first.where) == ("sign", f"test_kernels.py:{line}")

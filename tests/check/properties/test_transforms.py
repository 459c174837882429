"""Rules that are right in a plain call and wrong, or refused, somewhere else."""

import json
import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxninja import Case, Rule, check_vjp
from tests.check.subjects import codes, inputs, norm_bwd, ruled

X, GAIN = inputs()
ROW = X[0]  # where nothing is laid along axes: fewer other sizes to try


def sine(fwd=lambda x: (jnp.sin(x), x), bwd=lambda x, dy: (jnp.cos(x) * dy,)):
    return ruled(jnp.sin, fwd, bwd, ())


def under_vmap_only(x, dy):
    """Right for the ranks of a plain call; a batched dy meets an unbatched residual."""
    batched = type(dy).__name__ == "BatchTracer"
    return (jnp.cos(x) * dy * (2 if batched else 1),)


def test_wrong_under_vmap():
    report = check_vjp(sine(bwd=under_vmap_only), ROW, level="full", hints=False)
    assert report.verdict == "fail"
    assert "vmap" in report.table()
    assert check_vjp(sine(bwd=under_vmap_only), ROW).ok  # standard has no vmap


def test_wrong_second_derivative():
    def fwd(x):
        return jnp.sin(x), jax.lax.stop_gradient(x)

    def bwd(x, dy):
        return (jnp.cos(jax.lax.stop_gradient(x)) * dy,)

    for rule in (sine(fwd=fwd), sine(bwd=bwd)):
        assert "E-SECOND" in codes(check_vjp(rule, ROW, hints=False))
        assert check_vjp(rule, ROW, higher_order=False).ok


def test_a_wrong_gradient_is_no_wrong_second_derivative_of_another_argument():
    """d/dw of twice dx = w dy; but a dw that is cut off is still found beside it."""

    def report(cut):
        def bwd(res, dy):
            x, w = res
            return 2 * w * dy, (jax.lax.stop_gradient(x) if cut else x) * dy

        rule = ruled(lambda x, w: x * w, lambda x, w: (x * w, (x, w)), bwd, ())
        return check_vjp(rule, ROW, ROW + 1, level="full", hints=False)

    assert "E-SECOND" not in codes(report(cut=False))
    assert "E-SECOND" in codes(report(cut=True))


@pytest.mark.more
def test_a_step_in_the_backward_of_a_kinked_forward_raises_no_suspicion():
    """A comparison is no number that a derivative could follow."""

    def bwd(y, dy):
        return (jnp.where(y > 0, dy, dy * (y + 1)),)

    def elu(x):
        return jnp.where(x > 0, x, jnp.expm1(jnp.minimum(x, 0)))

    report = check_vjp(ruled(elu, lambda x: (elu(x),) * 2, bwd, ()), X)
    assert report.ok
    assert report.coverage.transformations == ("jit",)


def test_a_residual_that_hangs_on_no_input_raises_no_suspicion():
    """Its derivative is zero rightly, second ones need no look at standard."""

    def fwd(x, keep):
        weight = keep / keep.sum()
        return jnp.sin(x) * weight, (x, weight)

    def bwd(residuals, dy):
        x, weight = residuals
        return jnp.cos(x) * weight * dy, None

    rule = ruled(lambda x, keep: fwd(x, keep)[0], fwd, bwd, ())
    report = check_vjp(rule, ROW, np.ones(ROW.shape, bool))
    assert report.ok
    assert report.coverage.transformations == ("jit",)


def test_fwd_that_calls_the_rule_itself():
    op = sine()
    op.defvjp(lambda x: (op(x), x), op.bwd)
    assert "W-FWDSELF" in codes(check_vjp(op, ROW))


@pytest.mark.more  # texts
def test_full_says_what_it_has_seen():
    report = check_vjp(ruled(), X, GAIN, level="full")
    assert report.ok, report.table()
    seen = " ".join(report.coverage.transformations)
    for name in ("jit", "vmap over dy only", "scan", "remat", "jacrev", "hvp"):
        assert name in seen
    assert "bfloat16" in report.coverage.dtypes
    assert report.coverage.leaves == (2, 2)


def test_symbolic_zeros_one_argument_at_a_time():
    def rule(forgets):
        @jax.custom_vjp
        def product(x, gain):
            return x * gain

        def fwd(x, gain):
            both = x.perturbed and gain.perturbed
            return x.value * gain.value, (x.value, gain.value, 1.0 if both else None)

        def bwd(res, dy):
            x, gain, both = res
            wrong = 2 if forgets and both is None else 1
            return wrong * dy * gain, (dy * x).sum(0)

        product.defvjp(fwd, bwd, symbolic_zeros=True)
        return product

    assert check_vjp(rule(False), X, GAIN, level="full").ok
    report = check_vjp(rule(True), X, GAIN, level="full", hints=False)
    assert "one argument at a time" in report.table()
    assert not report.ok


ON_DEVICES = """
import jax, sys
jax.config.update("jax_num_cpu_devices", 4)
import jax.numpy as jnp
from functools import partial
from jaxninja import Case, Rule, check_vjp

@jax.custom_vjp
def scale(x, w):
    return x * w

def fwd(x, w):
    return x * w, (x, w)

def right(res, dy):
    x, w = res
    return dy * w, (dy * x).sum(0)

def wrong(res, dy):  # as if each device held the whole batch
    x, w = res
    lost = 1.0 if x.shape[0] != 2 else 0.5
    return dy * w, lost * (dy * x).sum(0)

def example(key, N, D):
    k = jax.random.split(key)
    return jax.random.normal(k[0], (N, D)), jax.random.normal(k[1], (D,))

for bwd in (right, wrong):
    scale.defvjp(fwd, bwd)
    case = Case({"N": 3, "D": 5})
    rule = Rule(scale, fwd, bwd, example, (case,), case, "test")
    report = check_vjp(rule, level="full", hints=False)
    print(report.to_json(), end="\\0")
"""


def test_over_four_devices_in_both_nestings_of_shard_map():
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", ON_DEVICES],
        capture_output=True, text=True, env={**os.environ, "JAX_PLATFORMS": "cpu"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    right, wrong = (json.loads(text) for text in done.stdout.split("\0")[:2])
    assert right["verdict"] == "ok"
    seen = " ".join(right["coverage"]["transformations"])
    for name in ("jit over 4 devices", "grad inside", "grad outside"):
        assert name in seen
    assert wrong["verdict"] == "fail"
    assert "shard_map" in str(wrong["findings"])


def test_residuals_are_weighed():
    def fwd(x, gain, eps):
        y, res = ruled().fwd(x, gain, eps)
        return y, (*res, jnp.sin(x))  # never read

    def bwd(eps, res, dy):
        return norm_bwd(eps, res[:3], dy)

    report = check_vjp(ruled(fwd=fwd, bwd=bwd), X, GAIN)
    assert report.ok
    assert report.residuals is not None
    assert report.residuals.unused == ("residuals[3]",)
    assert report.residuals.bytes == 4 * (2 * X.size + len(X) + GAIN.size)


def test_one_entry_that_is_never_reached_is_a_gap():
    def example(key, N):
        return (jax.random.normal(key, (N,)),)

    def plain(x):
        return jnp.sin(x[:-1])

    def fwd(x):
        return plain(x), x

    def bwd(x, dy):
        return (jnp.concatenate([jnp.cos(x[:-1]) * dy, jnp.zeros((1,), dy.dtype)]),)

    case = Case({"N": 4})
    op = ruled(plain, fwd, bwd, ())
    report = check_vjp(Rule(op, fwd, bwd, example, (case,), case, "test"))
    assert report.ok
    reached, entries = report.coverage.entries
    assert reached < entries
    assert any("entries of dx" in gap for gap in report.coverage.gaps)


@pytest.mark.more  # texts
@pytest.mark.parametrize("good", [True, False])
def test_json_and_html_say_what_the_table_says(good):
    bwd = norm_bwd if good else lambda eps, res, dy: (dy, norm_bwd(eps, res, dy)[1])
    report = check_vjp(ruled(bwd=bwd), X, GAIN, hints=not good)
    read = json.loads(report.to_json())
    assert read["verdict"] == report.verdict == ("ok" if good else "fail")
    assert [leaf["name"] for leaf in read["leaves"]] == ["x", "gain"]
    html = report._repr_html_()
    assert html.count("<tr") >= 3
    assert ("✗ fail" in html) is not good
    assert ("█" in html) is not good  # the heat map of what is wrong
    for sentence in report.not_tested:
        assert sentence in html

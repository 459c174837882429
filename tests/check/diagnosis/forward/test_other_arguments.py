"""Gradients that are the true ones for another argument than the one that was given."""

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxninja import check_vjp
from jaxninja.check.diagnosis.explainers import diagnose
from jaxninja.check.diagnosis.forward.other_arguments import other_option
from jaxninja.check.evidence import Evidence, Sample
from tests.check.diagnosis.evidence import Subject, evidence


def turned(x, ids):
    return x * jnp.cos(ids[:, None] * jnp.arange(1.0, 4))


def turned_bwd(res, dy):
    return dy * jnp.cos(jnp.arange(5)[:, None] * jnp.arange(1.0, 4)), None


def test_positions_from_zero_are_named(x64):
    found = evidence(turned, lambda *a: (turned(*a), a), turned_bwd, ((5, 3), 5))
    codes = {hint.statement.code for hint in diagnose(found)}
    assert "given otherwise" in codes


def masked_mean(x, mask):
    return (x * mask).sum(-1) / mask.sum(-1)


def by_length(res, dy):
    return dy[:, None] * res / res.shape[-1], None


def test_a_mask_of_which_all_is_nan_explains_nothing():
    rule = jax.custom_vjp(masked_mean)
    rule.defvjp(lambda x, m: (masked_mean(x, m), m.astype(x.dtype)), by_length)
    mask = jnp.array([[1, 1, 0, 1, 0], [1, 0, 1, 1, 1]], bool)
    report = check_vjp(rule, jnp.ones((2, 5)), mask, level="quick")
    codes = {hint.statement.code for hint in report.causes}
    assert codes
    assert "given otherwise" not in codes


def dropped(x, key):
    return jnp.where(jax.random.bernoulli(key, 0.5, x.shape), jnp.sin(x), 0)


def split_fwd(x, key):
    mask = jax.random.bernoulli(jax.random.split(key)[0], 0.5, x.shape)
    return dropped(x, key), (x, mask)


def split_bwd(res, dy):
    x, mask = res
    return jnp.where(mask, jnp.cos(x) * dy, 0), None


def test_a_mask_that_the_forward_did_not_draw_is_named(x64):
    key = jax.random.key(3)

    def fwd(x):
        y, residuals = split_fwd(x, key)
        return y, residuals

    def bwd(res, dy):
        return split_bwd(res, dy)[:1]

    found = evidence(lambda x: dropped(x, key), fwd, bwd, ((5, 3),))
    (hint, *_) = diagnose(found)
    assert hint.statement.code == "residual instead"
    assert hint.kind == "residual"


def turned_waves(x):
    return jnp.fft.fft(x) * jnp.exp(1j * jnp.arange(4.0))


def adjoint_bwd(res, dy):
    return (4 * jnp.fft.ifft(dy * jnp.exp(-1j * jnp.arange(4.0))),)


def test_the_adjoint_is_not_the_transpose(x64):
    subject = Subject(turned_waves, lambda x: (turned_waves(x), x), adjoint_bwd)

    def draw(seed):
        parts = np.random.default_rng(seed).normal(0, 1, (4, 4))
        x, dy = (jnp.asarray(a + 1j * b) for a, b in (parts[:2], parts[2:]))
        truth = jax.vjp(turned_waves, x)[1](dy)
        mine = adjoint_bwd(x, dy)
        rows = [tuple(map(np.asarray, grads)) for grads in (mine, truth)]
        return Sample((x,), dy, x, *rows, ("x",))

    (hint, *_) = diagnose(Evidence(subject, (draw(1), draw(2)), draw))
    assert hint.statement.code == "adjoint"
    assert hint.verified


@pytest.mark.parametrize("told", [0.12, 7 / 6 * 0.1])
def test_a_number_of_the_options_is_solved_for(told):
    """It is a number; or a multiple of the one given, if it follows the sizes."""

    def problem(n, c):
        x = np.linspace(-1, 1, n)
        subject = SimpleNamespace(static=("mean", 0.1), static_names=("how", "share"))
        true = SimpleNamespace(subject=subject, x=x, floor=0.0, n=n)
        true.got = gradients(true, ("mean", c))
        return true

    def gradients(p, static):
        return [np.exp(p.x) - static[1] * np.cos(p.x), static[1] ** 2 * p.x]

    by_size = told != 0.12
    sized = problem(5, 0.125 if by_size else told)
    lengths = lambda p: {p.n: "x.shape[0]"}  # noqa: E731
    one, fresh = problem(7, told), problem(7, told)
    found = other_option(one, (fresh, sized), gradients, lengths)
    assert (found.argument, found.kind) == ("share", "ratio")
    if by_size:
        assert found.instead["factor"].name == "n/(n-1), n = x.shape[0]"
    else:
        assert found.instead.value == told

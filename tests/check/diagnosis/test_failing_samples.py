"""How a fresh sample is drawn, on which a hint is verified."""

import jax
import jax.numpy as jnp
import numpy as np

from jaxninja import check_vjp


@jax.custom_vjp
def log_odds(p):
    return jnp.log(p) - jnp.log1p(-p)


def log_odds_bwd(p, dy):
    return (dy / (p * (1 + p)),)


log_odds.defvjp(lambda p: (log_odds.fun(p), p), log_odds_bwd)


def test_a_forward_of_a_narrow_domain_has_a_fresh_sample():
    p = jnp.linspace(0.1, 0.9, 6)
    report = check_vjp(log_odds, p, edges=False)
    (hint, *_) = report.hints
    assert hint.verified
    assert "- in place of +" in str(hint)


@jax.custom_vjp
def log_mean(x):
    return jnp.log1p(jnp.square(x).mean()) * jnp.cbrt(x).sum()


def log_mean_bwd(x, dy):
    return (dy * x / jnp.abs(x),)


log_mean.defvjp(lambda x: (log_mean.fun(x), x), log_mean_bwd)


def test_what_is_lost_where_the_truth_is_too_is_no_mistake():
    report = check_vjp(log_mean, jnp.linspace(0.1, 0.9, 6))
    assert "not finite" not in str(report.hints)


def test_a_gradient_that_is_declared_has_no_hint():
    """Nor does it stand in the way of an edit that it is made of as well."""

    def plain(x, w):
        return jnp.sin(x) * w

    def bwd(res, dy):
        x, w = res
        d = dy * jnp.cos(x + 1)
        return d * w, 0 * d

    op = jax.custom_vjp(plain)
    op.defvjp(lambda x, w: (plain(x, w), (x, w)), bwd)
    x, w = jax.random.normal(jax.random.key(0), (2, 3, 4))
    report = check_vjp(op, x, w, nondiff="w")
    assert {hint.leaf for hint in report.hints} == {"x"}
    assert any("x + 1: leave out + 1" in str(hint.edit) for hint in report.hints)


def test_what_overflows_far_away_is_no_cause_of_what_is_wrong_nearby():
    """No edit fixes dx; that it is infinite at large inputs is beside the point."""

    def plain(x):
        return jnp.logaddexp(x, -x).sum()

    def bwd(x, dy):
        bent = jnp.cos(17 * x * x) + jnp.sin(11 * x * jnp.roll(x, 1))
        return (dy * bent * (1 + jnp.exp(x)) / (1 + jnp.exp(2 * x)),)

    op = jax.custom_vjp(plain)
    op.defvjp(lambda x: (plain(x), x), bwd)
    report = check_vjp(op, jax.random.normal(jax.random.key(0), (5,)))
    assert report.verdict == "fail"
    assert not any("not finite" in hint.sentence for hint in report.hints)


def largest_sums(slip):
    """max over k of a[i, k] + b[k, j]: the first of equal ones has the gradient."""

    def plain(a, b):
        return (a[:, :, None] + b).max(1)

    def fwd(a, b):
        sums = a[:, :, None] + b
        return sums.max(1), (a, b, sums.argmax(1))

    def bwd(res, dy):
        a, b, k = res
        i, j = jnp.arange(len(a))[:, None], jnp.arange(b.shape[1])[None]
        at = jnp.zeros_like(a).at[i, k]
        row = jnp.broadcast_to(i, k.shape) if slip == "row" else k
        da = at.set(dy) if slip == "set" else at.add(dy)
        return da, jnp.zeros_like(b).at[row, j].add(dy)

    op = jax.custom_vjp(plain)
    op.defvjp(fwd, bwd)
    a, b = np.random.default_rng(0).normal(size=(2, 3, 3))
    return check_vjp(op, *map(jnp.asarray, (a[:2], b)))


def test_a_fix_that_has_another_convention_at_a_tie_holds_there():
    (hint, *_) = largest_sums("set").hints
    assert hint.statement.code == "fixed"  # and nothing about ties
    assert ".add in place of .set" in str(hint)


def test_two_values_of_a_line_give_one_hint():
    hints = largest_sums("row").hints
    assert hints
    assert len({tuple(hint.lines()) for hint in hints}) == len(hints)

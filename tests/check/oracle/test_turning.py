"""A side of a comparison that no ordinary input sees, in the backward alone."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxninja import check_vjp
from jaxninja.check.oracle.turning import _shifted
from tests.check.subjects import ruled

X = np.array([0.7, -1.9, 2.3, 0.4], np.float32)


def quartered(x):
    return jnp.sum(x * x) ** 2


def clipped(factor):
    """Beyond a norm of 100 with `factor` in place of 1."""

    def bwd(x, g):
        long = jnp.sqrt(jnp.sum(x * x)) > 100
        return (jnp.where(long, factor, 1.0) * 4 * jnp.sum(x * x) * x * g,)

    return ruled(quartered, lambda x: (quartered(x), x), bwd, ())


def branched(factor):
    """The same as branches of a program."""

    def bwd(x, g):
        right = 4 * jnp.sum(x * x) * x * g
        long = jnp.sum(x) < -1e3
        return (jax.lax.cond(long, lambda: factor * right, lambda: right),)

    return ruled(quartered, lambda x: (quartered(x), x), bwd, ())


def at_a_point(factor):
    """Where an entry is exactly -3."""

    def bwd(x, g):
        right = 4 * jnp.sum(x * x) * x * g
        return (jnp.where(x == -3, factor * right, right),)

    return ruled(quartered, lambda x: (quartered(x), x), bwd, ())


def in_a_scan(factor):
    """Where an entry is beyond 1000, in the body of a loop."""

    def bwd(x, g):
        def step(_, a):
            positive = a > 0
            return None, jax.lax.cond(positive, lambda: a > 1e3, lambda: False)

        far = jnp.where(jax.lax.scan(step, None, x)[1], factor, 1.0)
        return (far * 4 * jnp.sum(x * x) * x * g,)

    return ruled(quartered, lambda x: (quartered(x), x), bwd, ())


def below_a_bound(factor):
    """Beyond 1000 on the side on which no entry is near to it."""

    def bwd(x, g):
        far = jnp.where(jnp.abs(x) > 1e3, jnp.where(x < 0, factor, 1), 1.0)
        return (far * 4 * jnp.sum(x * x) * x * g,)

    return ruled(quartered, lambda x: (quartered(x), x), bwd, ())


def without_a_part(factor):
    """Where some entries are zero together and the others are not."""

    def bwd(x, g):
        right = 4 * jnp.sum(x * x) * x * g
        return (jnp.where(jnp.sum(x[:2] ** 2) > 0, right, factor * right),)

    return ruled(quartered, lambda x: (quartered(x), x), bwd, ())


def held_at_a_bound(factor):
    """The forward goes no further than a bound that no ordinary input reaches."""

    def plain(x):
        return jnp.minimum(jnp.sum(x * x), 1e4)

    def bwd(x, g):
        held = jnp.sum(x * x) > 1e4 if factor == 1 else False
        return (jnp.where(held, 0, 2 * x * g),)

    return ruled(plain, lambda x: (plain(x), x), bwd, ())


RULES = (
    *(clipped, branched, at_a_point, in_a_scan, below_a_bound, without_a_part),
    held_at_a_bound,
)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("factor", [1.0, 0.5])
def test_both_sides_of_a_comparison_of_the_backward(rule, factor):
    report = check_vjp(rule(factor), X, hints=False)
    assert report.ok == (factor == 1), report.table()
    assert factor == 1 or "turns" in report.leaves[0].sample
    assert not any("was only ever" in gap for gap in report.coverage.gaps)


@pytest.mark.parametrize("factor", [1.0, 0.5])
def test_both_sides_of_a_comparison_of_integers(factor):
    """A warm-up that the example is in the midst of."""

    def plain(x, t):
        return jnp.where(t < 100, t / 100, 1.0) * jnp.sin(x)

    def bwd(args, g):
        x, t = args
        rate = jnp.where(t < 100, t / 100, factor).astype(x.dtype)
        return rate * jnp.cos(x) * g, None

    op = ruled(plain, lambda *a: (plain(*a), a), bwd, ())
    report = check_vjp(op, X, np.int32(7), hints=False)
    assert report.ok == (factor == 1), report.table()


@pytest.mark.parametrize(("labels", "first"), [([2, 0, 3, 1], 1), ([1, 0, 1, 0], 2)])
def test_integers_turn_one_by_one_and_all_at_once(labels, first):
    """Labels below 0 are ignored, and none of those given is."""

    def run(args, dy, k):
        below = np.asarray(args[0]) < 0
        return args[0].min(), None, np.array([[below.any(), (~below).any()]]), None

    moved = [m for (m,) in _shifted(run, (np.array(labels),), None, 0)]
    assert [(m < 0).sum() for m in moved] == [first, 4, 2]


@pytest.mark.parametrize("slip", [False, True])
def test_outside_of_a_support_the_gradient_is_zero(slip):
    """The forward says -inf there, and none of the inputs is outside."""

    def plain(x):
        return jnp.where(jnp.abs(x) < 50, -x * x, -jnp.inf)

    def bwd(x, g):
        return (jnp.where((jnp.abs(x) < 50) | slip, -2 * x * g, 0),)

    op = ruled(plain, lambda x: (plain(x), x), bwd, ())
    report = check_vjp(op, X, hints=False)
    assert report.ok is not slip, report.table()


def test_an_approximation_beyond_a_bound_is_right():
    """As softplus has it, to the last digits that float32 shows."""

    def bwd(x, g):
        return (jnp.where(x > 20, 1.0, jax.nn.sigmoid(x)) * g,)

    op = ruled(jax.nn.softplus, lambda x: (jax.nn.softplus(x), x), bwd, ())
    report = check_vjp(op, X, edges=False, hints=False)
    assert report.ok, report.table()


def test_a_guard_against_division_by_nothing_is_no_side():
    """Below 1e-8 a norm has no direction that anybody asks for."""

    def plain(x):
        return jnp.sqrt((x * x).sum())

    def bwd(x, g):
        norm = plain(x)
        return (jnp.where(norm < 1e-8, 0, g * x / jnp.maximum(norm, 1e-8)),)

    op = ruled(plain, lambda x: (plain(x), x), bwd, ())
    report = check_vjp(op, X, hints=False)
    assert report.ok, report.table()


def test_a_narrow_domain_is_not_left():
    """A positive argument stays positive, and no entry grows far beyond the others."""

    def plain(x):
        return jnp.log(x).sum()

    def bwd(x, g):
        far = jnp.where((x > 1e3) | (x < -1), 2.0, 1.0)
        return (far * g / x,)

    op = ruled(plain, lambda x: (plain(x), x), bwd, ())
    report = check_vjp(op, np.abs(X), edges=False, hints=False)
    assert report.ok, report.table()
    assert sum("was only ever" in gap for gap in report.coverage.gaps) == 1


@pytest.mark.parametrize("slip", [False, True])
def test_positive_numbers_are_zero_together(slip):
    """A share of a sum of two, of which each alone may be zero."""

    def plain(a, b):
        none = a + b == 0
        return jnp.where(none, 0, a / jnp.where(none, 1, a + b))

    def bwd(args, g):
        a, b = args
        size = a + b + (0 if slip else 1) * (a + b == 0)
        return g * b / size**2, -g * a / size**2

    op = ruled(plain, lambda *args: (plain(*args), args), bwd, ())
    a = np.array([0.6, 1.7, 2.2], np.float32)
    report = check_vjp(op, a, a[::-1], hints=False)
    assert report.ok == (not slip), report.table()


@pytest.mark.parametrize("slip", [False, True])
def test_a_users_own_question_whether_an_index_is_below_0(slip):
    """Rows of no segment are dropped; `x[i]` asks that too, and counts from the end."""

    def plain(x, to):
        return jnp.zeros(4, x.dtype).at[jnp.where(to < 0, 4, to)].add(x, mode="drop")

    def bwd(to, g):
        return jnp.where(slip | (to >= 0), g[jnp.maximum(to, 0)], 0), None

    op = ruled(plain, lambda x, to: (plain(x, to), to), bwd, ())
    report = check_vjp(op, X, np.array([0, 2, 1, 3, 1, 0])[: len(X)], hints=False)
    assert report.ok == (not slip), report.table()


def test_what_a_search_asks_of_numbers_that_are_none_is_no_gap():
    """jnp.searchsorted compares each number with itself, which no input turns."""

    def plain(x, knots):
        k = jnp.clip(jnp.searchsorted(knots, x) - 1, 0, len(knots) - 2)
        return (x - knots[k]) ** 2

    def bwd(res, g):
        x, knots = res
        k = jnp.clip(jnp.searchsorted(knots, x) - 1, 0, len(knots) - 2)
        d = 2 * g * (x - knots[k])
        return d, jnp.zeros_like(knots).at[k].add(-d)

    op = ruled(plain, lambda *a: (plain(*a), a), bwd, ())
    knots = np.array([0.0, 0.8, 1.5, 3.0], np.float32)
    report = check_vjp(op, X, knots, hints=False)
    assert report.ok, report.table()
    assert not any("was only ever" in gap for gap in report.coverage.gaps)

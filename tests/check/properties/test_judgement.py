"""A rule that is off where the reference itself hangs on the last bits is not wrong."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.checker_benchmark.bank import BY_NAME
from jaxninja import Case, Rule, check_vjp
from tests.check.subjects import codes, relu_rule, ruled


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def online_attention(q, k, v):
    """One key at a time, with a running maximum and sum."""

    def step(carry, pair):
        top, total, acc = carry
        s = q @ pair[0]
        new = jnp.maximum(top, s)
        p, c = jnp.exp(s - new), jnp.exp(top - new)
        return (new, total * c + p, acc * c[:, None] + p[:, None] * pair[1]), None

    zero = jnp.zeros(q.shape[0], q.dtype)
    start = zero - 1e30, zero, jnp.zeros((q.shape[0], v.shape[1]), q.dtype)
    (top, total, acc), _ = jax.lax.scan(step, start, (k, v))
    y = acc / total[:, None]
    return y, (q, k, v, y, top + jnp.log(total))


def recomputed(residuals, dy, factor=1.0):
    """Probabilities anew from the scores and their log-sum-exp."""
    q, k, v, y, lse = residuals
    p = jnp.exp(q @ k.T - lse[:, None])
    ds = p * (dy @ v.T - factor * (dy * y).sum(-1, keepdims=True))
    return ds @ k, ds.T @ q, p.T @ dy


@pytest.mark.parametrize(
    ("factor", "level"),
    [(1.0, "standard"), pytest.param(1.00001, "quick", marks=pytest.mark.more)],
)
def test_scores_that_are_computed_anew(factor, level):
    def bwd(residuals, dy):
        return recomputed(residuals, dy, factor)

    op = ruled(lambda *a: online_attention(*a)[0], online_attention, bwd, ())
    args = (normal(8, 2, seed=seed) for seed in range(3))
    report = check_vjp(op, *args, level=level, hints=False)
    assert report.ok == (factor == 1), report.table()
    assert "loses digits" not in report.table()


def test_a_sample_that_says_nothing_is_listed():
    """sin at 1e17 is any number, and the rule's is another one."""

    def plain(x):
        return jnp.cos(1e17 * x)

    def bwd(x, dy):
        return (-1e17 * dy * jnp.sin(3e16 * x + 7e16 * x),)

    op = ruled(plain, lambda x: (plain(x), x), bwd, ())
    report = check_vjp(op, normal(3, 4), hints=False)
    assert report.verdict != "fail", report.table()
    assert any("dx at random inputs in float64" in t for t in report.not_tested)
    assert not report.findings


def test_digits_that_the_rule_alone_loses_are_still_seen():
    """The variance as a difference of large numbers; the reference subtracts first."""

    def plain(x):
        return jnp.log(jnp.var(x, -1))

    def fwd(x):
        return plain(x), x

    def bwd(x, dy):
        mean = x.mean(-1, keepdims=True)
        variance = (x * x).mean(-1, keepdims=True) - mean * mean
        return (dy[:, None] * 2 * (x - mean) / (x.shape[-1] * variance),)

    op = ruled(plain, fwd, bwd, ())
    report = check_vjp(op, normal(3, 8), hints=False)
    assert report.verdict == "fail"
    assert report.leaves[0].dtype == "float32"
    assert report.leaves[0].sample == "x + 1e3"


@pytest.mark.parametrize(("slope", "verdict"), [(0.0, "ok"), (1.5, "fail")])
def test_a_kink_in_the_users_own_example(slope, verdict):
    x = jnp.array([-1.3, 0.0, 0.5])
    report = check_vjp(relu_rule(slope), x, hints=False)
    assert report.verdict == verdict, report.table()
    assert ("W-KINK" in codes(report)) == (verdict == "ok")


@pytest.mark.parametrize(("left", "verdict"), [(1.0, "ok"), (3.0, "fail")])
def test_whole_positions_for_an_interpolation(left, verdict):
    """Between the slopes to both sides; `left` is the share of the left one."""

    def plain(table, t):
        i = jnp.clip(jnp.floor(t).astype(int), 0, len(table) - 2)
        return table[i] + (t - i) * (table[i + 1] - table[i])

    def bwd(residuals, dy):
        table, t = residuals
        i = jnp.clip(jnp.floor(t).astype(int), 0, len(table) - 2)
        grown = jnp.zeros_like(table).at[i].add(dy * (1 - t + i)).at[i + 1]
        before = jnp.maximum(i - (t == i), 0)
        slope = left * (table[before + 1] - table[before])
        slope += (1 - left) * (table[i + 1] - table[i])
        return grown.add(dy * (t - i)), dy * slope

    op = ruled(plain, lambda *a: (plain(*a), a), bwd, ())
    report = check_vjp(
        op, normal(5), jnp.array([1.0, 2.0, 0.0]), level="quick", hints=False
    )
    assert report.verdict == verdict, report.table()


@pytest.mark.parametrize(("factor", "verdict"), [(1.0, "ok"), (1.5, "fail")])
def test_options_that_fit_the_sizes_of_their_own_case_only(factor, verdict):
    """4 groups are none of 6 channels, whose iteration has nothing to say here."""

    def plain(x, groups):
        return x.reshape(groups, -1).sum(1) ** 2

    def fwd(x, groups):
        return plain(x, groups), x

    def bwd(groups, x, dy):
        wrong = factor if groups == 4 else 1.0
        sums = 2 * wrong * dy * x.reshape(groups, -1).sum(1)
        return (jnp.repeat(sums, x.size // groups),)

    def example(key, N):
        return (jax.random.normal(key, (N,)),)

    cases = Case({"N": 6}, (2,)), Case({"N": 8}, (4,))
    op = ruled(plain, fwd, bwd, (1,))
    rule = Rule(op, fwd, bwd, example, cases, cases[0], "test")
    report = check_vjp(rule, hints=False)
    assert report.verdict == verdict, report.table()


def test_a_remainder_of_a_gradient_that_is_declared_zero_is_no_kink():
    """A root by 8 steps forgets where it started, to 1e-86."""

    def root(a, guess):
        return jax.lax.fori_loop(0, 8, lambda _, y: (y + a / y) / 2, guess)

    def bwd(y, dy):
        return dy / (2 * y), jnp.zeros_like(dy)

    rule = ruled(root, lambda *a: (root(*a),) * 2, bwd, ())
    args = np.float32([2, 3]), np.float32([1.5, 2])
    report = check_vjp(rule, *args, zero="guess", edges=False, hints=False)
    assert report.ok, report.table()
    assert "W-KINK" not in codes(report)


@pytest.mark.parametrize("factor", [1.0, 1.001])
def test_a_reference_that_overflows_in_its_dtype_judges_nothing_there(factor):
    """A mean of powers: at inputs x 10 the 40th powers are beyond float32."""

    def power_mean(x):
        return (x**40).mean() ** (1 / 40)

    def fwd(x):
        mean = (x**40).mean()
        return mean ** (1 / 40), (x, mean)

    def bwd(res, dy):
        x, mean = res
        return (factor * dy * mean ** (1 / 40) / mean * x**39 / x.size,)

    op = ruled(power_mean, fwd, bwd, ())
    x = np.array([0.9, 1.4, 2.2], np.float32)
    report = check_vjp(op, x, hints=False)
    assert report.ok == (factor == 1), report.table()
    assert any("x 10 in float32" in text for text in report.not_tested)


def softplus(tail):
    """log(1 + e^-x), by e^-x alone from `tail` on, as in single-precision libraries."""

    @jax.custom_vjp
    def op(x):
        return jnp.where(x > tail, jnp.exp(-x), jnp.logaddexp(0.0, -x))

    op.defvjp(lambda x: (op.fun(x), x), lambda x, dy: (-dy * jax.nn.sigmoid(-x),))
    return op


def test_an_approximation_is_right_to_the_digits_that_are_used():
    """At inputs far from those given; where single precision shows it, it is wrong."""
    x = jnp.array([0.5, -1.2, 2.0])
    report = check_vjp(softplus(9.0), x)
    assert report.ok, report
    assert not check_vjp(softplus(3.0), x).ok


@pytest.mark.parametrize("factor", [1.0, 1.5])
def test_inputs_beyond_the_domain_of_the_forward(factor):
    """A root between two bounds, and a last step for its slope: no tanh is 1.2, and
    the step divides by nearly nothing."""

    def root(level):
        low, high = jnp.full_like(level, -9), jnp.full_like(level, 9)

        def halve(_, pair):
            middle = sum(pair) / 2
            left = jnp.tanh(middle) < level
            return jnp.where(left, middle, pair[0]), jnp.where(left, pair[1], middle)

        return sum(jax.lax.fori_loop(0, 60, halve, (low, high))) / 2

    def reference(level):
        x = jax.lax.stop_gradient(root(level))
        slope = jax.lax.stop_gradient(jnp.cosh(x) ** -2)
        return x - (jnp.tanh(x) - level) / slope

    def bwd(x, dy):
        return (factor * dy * jnp.cosh(x) ** 2,)

    op = ruled(root, lambda level: (root(level), root(level)), bwd, ())
    level = np.array([0.9, -0.8, 0.95, -0.9, 0.7], np.float32)
    report = check_vjp(op, level, reference=reference, edges=False, hints=False)
    assert report.ok == (factor == 1), report.table()


@pytest.mark.parametrize(("power", "verdict"), [(4, "ok"), (32, "fail")])
def test_what_overflows_a_little_before_its_dtype_ends(power, verdict):
    """At 84 the product with (1 - x)^2 is done before the division."""

    def plain(x):
        return jnp.exp(x) / (1 + x * x)

    def bwd(x, dy):
        grown = (1 + x * x) ** (power // 2 - 2)
        top, bottom = jnp.exp(x) * (1 - x) ** 2 * grown, (1 + x * x) ** 2 * grown
        return (dy * top / bottom,)

    op = ruled(plain, lambda x: (plain(x), x), bwd, ())
    x = np.array([0.5, -0.7, 1.4], np.float32)
    report = check_vjp(op, x, dtypes="bfloat16", hints=False)
    assert report.verdict == verdict, report.table()


@pytest.mark.parametrize(("alike", "verdict"), [(True, "ok"), (False, "fail")])
def test_a_function_that_is_not_finite_where_its_reference_is(alike, verdict):
    """At zeros; where only fwd is not, a gradient there makes NaN of a value."""

    def divided(x):
        return (x * x / x).sum()

    def bwd(x, dy):
        return (dy * jnp.ones_like(x),)

    plain = divided if alike else jnp.sum
    op = ruled(plain, lambda x: (divided(x), x), bwd, ())
    report = check_vjp(op, normal(5), reference=jnp.sum, hints=False)
    assert report.verdict == verdict, report.table()


def turned(angle, state):
    cos, sin = jnp.cos(angle / 2), jnp.sin(angle / 2)
    return cos * state[0] - sin * state[1], sin * state[0] + cos * state[1]


@pytest.mark.parametrize("leak", [0.0, 1e-6])
def test_a_gradient_that_is_zero_has_the_roundings_of_an_ordinary_one(leak):
    """cos(a) as an expectation after a turn by a: at a = 0 no term of the reference's
    gradient is left, and the difference of two turned states rounds."""

    def plain(a):
        up, down = turned(a, (1.0, 0.0))
        return up * up - down * down

    def bwd(a, g):
        up, down = turned(a, (1.0, 0.0))
        more = turned(np.pi, (up, down))
        return (g * (up * more[0] - down * more[1] + leak),)

    op = ruled(plain, lambda a: (plain(a), a), bwd, ())
    report = check_vjp(op, np.array([0.11, -0.07, 0.05], np.float32), hints=False)
    assert report.ok == (not leak), report.table()


@pytest.mark.parametrize("digits", [1e-8, 1e-5])
def test_inputs_that_nobody_gave_are_held_to_the_digits_that_are_used(digits):
    """A rule by a series of its own, which is exact at the inputs given and is not a
    little further away."""

    def bwd(x, g):
        return (g * jnp.cos(x) * (1 + digits * (jnp.abs(x) > 1.05)),)

    op = ruled(jnp.sin, lambda x: (jnp.sin(x), x), bwd, ())
    x = np.array([0.9, -1.0, 0.8, 1.0, -0.7, 0.95], np.float32)
    report = check_vjp(op, x, hints=False)
    assert report.ok == (digits < 1e-6), report.table()


@pytest.mark.parametrize(("sign", "verdict"), [(-1, "ok"), (1, "fail")])
def test_terms_that_cancel_may_overflow_beside_a_gradient_that_nearly_does(
    sign, verdict
):
    """At entries of 84 the amplitude is 4e36: dx is a difference of two infinities."""

    def kernel(log_size, x):
        return jnp.exp(log_size).sum() * jnp.exp(-((x[:, None] - x) ** 2) / 2)

    def plain(log_size, x):
        return kernel(log_size, x).sum()

    def bwd(res, dy):
        k = dy * kernel(*res)
        shares = jnp.exp(res[0]) / jnp.exp(res[0]).sum()
        return shares * k.sum(), sign * 2 * (k.sum(1) * res[1] - k @ res[1])

    op = ruled(plain, lambda *a: (plain(*a), a), bwd, ())
    report = check_vjp(op, normal(3), normal(5), hints=False)
    assert report.verdict == verdict, report.table()


def test_an_edge_at_which_the_forward_has_no_such_dtype():
    """LU has no bfloat16; a kink in float64, where it is asked for, remains one."""
    report = check_vjp(BY_NAME["determinant"], seed=1, dtypes="bfloat16", hints=False)
    assert report.ok, report.table()
    assert "E-RAISE" not in codes(report)

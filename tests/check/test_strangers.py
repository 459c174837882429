"""Right rules that look unusual must pass, and wrong ones that hide must not."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxninja import check_vjp
from tests.check.subjects import codes, ruled


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


TABLE = normal(3, 4, seed=1)


def times_a_table():
    def bwd(residuals, dy):
        return (dy * TABLE,)

    rule = ruled(lambda x: x * TABLE, lambda x: (x * TABLE, None), bwd, ())
    return rule, normal(3, 4)


def grouped_heads():
    """4 heads of queries share 2 of keys: one head of queries makes no group."""

    def fwd(q, k):
        shared = jnp.repeat(k, q.shape[0] // k.shape[0], 0)[: q.shape[0]]
        return q[: len(shared)] * shared, (q, k)

    def bwd(residuals, dy):
        q, k = residuals
        parts = (dy * q).reshape(len(k), -1, *q.shape[1:])
        return dy * jnp.repeat(k, len(q) // len(k), 0), parts.sum(1)

    rule = ruled(lambda q, k: fwd(q, k)[0], fwd, bwd, ())
    return rule, normal(4, 5, 6), normal(2, 5, 6)


def a_kernel_of_three():
    """3 stands for channels and for the kernel, whose size the backward has fixed."""

    def fwd(x, w):
        y = sum(x[k : k + len(x) - 2] @ w[k] for k in range(3))
        return y, (x, w)

    def bwd(residuals, dy):
        x, w = residuals
        dx = sum(jnp.pad(dy @ w[k].T, ((k, 2 - k), (0, 0))) for k in range(3))
        return dx, jnp.stack([x[k : k + len(dy)].T @ dy for k in range(3)])

    def plain(x, w):
        width = len(w)
        return sum(x[k : k + len(x) - width + 1] @ w[k] for k in range(width))

    return ruled(plain, fwd, bwd, ()), normal(8, 3), normal(3, 3, 5)


def causal_softmax():
    """The first row has one score, whose gradient is zero, yet it is not masked out."""

    def plain(s):
        mask = jnp.tril(jnp.ones(s.shape[-2:], bool))
        return jax.nn.softmax(jnp.where(mask, s, -jnp.inf), -1)

    def bwd(p, dy):
        return (p * (dy - (p * dy).sum(-1, keepdims=True)),)

    return ruled(plain, lambda s: (plain(s), plain(s)), bwd, ()), normal(2, 4, 4)


@pytest.mark.parametrize(
    "case", [times_a_table, grouped_heads, a_kernel_of_three, causal_softmax]
)
def test_a_right_rule_passes(case):
    report = check_vjp(*case())
    assert report.ok, report.table()


def test_sizes_that_may_play_two_parts_are_not_forced():
    rule, x, w = a_kernel_of_three()
    told = "\n".join(check_vjp(rule, x, w).not_tested)
    assert "3->" in told
    assert "give inputs=" in told


@pytest.mark.parametrize(
    ("f", "slope"), [(lambda x: np.maximum(x, 0), lambda x: x > 0), (np.abs, np.sign)]
)
def test_numpy_pairs_with_a_kink(f, slope):
    """Without a reference: differences that straddle the kink tell nothing."""
    x = normal(5, 3).astype(np.float64)
    pair = (lambda x: (f(x), x), lambda x, dy: (dy * slope(x),))
    for seed in range(3):
        assert check_vjp(pair, x, seed=seed).ok
    wrong = (lambda x: (f(x), x), lambda x, dy: (dy * slope(x) * 1.001,))
    assert check_vjp(wrong, x, hints=False).verdict == "fail"


def test_a_surrogate_at_level_full():
    """Its terms are its own: those of a step function are zero."""

    def smooth(x, dy):
        return (dy / (1 + jnp.abs(x)) ** 2,)

    spike = ruled(jnp.sign, lambda x: (jnp.sign(x), x), smooth, ())
    declared = {"surrogate": lambda args, dy: smooth(args[0], dy), "level": "full"}
    report = check_vjp(spike, normal(4), **declared)
    assert report.ok, report.table()
    other = ruled(jnp.sign, lambda x: (jnp.sign(x), x), lambda x, dy: (dy,), ())
    assert check_vjp(other, normal(4), **declared, hints=False).verdict == "fail"


def test_numpy_pairs_do_not_warn_at_inputs_that_are_ours():
    pair = (lambda x: (np.exp(x) @ x.T, x), lambda x, dy: (dy @ x,))
    with np.errstate(all="raise"):
        assert (
            check_vjp(pair, normal(3, 4), level="full", hints=False).verdict == "fail"
        )


def converges_for_small_inputs():
    """x = W x / 10 + b, solved by iteration; its gradient by the implicit theorem."""

    def solve(W, b):
        return jax.lax.fori_loop(0, 60, lambda _, x: W @ x / 10 + b, b)

    def bwd(residuals, dy):
        W, x = residuals
        u = solve(W.T, dy)
        return u[:, None] * x / 10, u

    def fwd(W, b):
        x = solve(W, b)
        return x, (W, x)

    def plain(W, b):
        return jnp.linalg.solve(jnp.eye(len(b)) - W / 10, b)

    return ruled(plain, fwd, bwd, ()), normal(4, 4), normal(4)


def test_a_narrow_domain_is_declared_or_seen():
    for options, said in (({}, "as approximations do"), ({"edges": False}, "declared")):
        report = check_vjp(*converges_for_small_inputs(), **options)
        assert report.ok, report.table()
        assert any(said in text for text in report.not_tested)


def test_a_rule_by_linear_algebra_need_not_take_bfloat16():
    """LU has none; iterating has, so the forward runs there."""

    def solve(W, b):
        return jax.lax.fori_loop(0, 60, lambda _, x: W @ x / 10 + b, b)

    def bwd(residuals, dy):
        W, x = residuals
        u = jnp.linalg.solve(jnp.eye(len(x), dtype=x.dtype) - W.T / 10, dy)
        return u[:, None] * x / 10, u

    def fwd(W, b):
        x = solve(W, b)
        return x, (W, x)

    rule = ruled(solve, fwd, bwd, ())
    report = check_vjp(rule, normal(4, 4), normal(4), edges=False, level="full")
    assert report.ok, report.table()
    assert any("bfloat16" in text for text in report.not_tested)


def test_comparisons_of_integers_are_watched():
    def twice(x, i):
        return jnp.where(i >= 0, 2 * x, x)

    def bwd(residuals, dy):
        return 2 * dy, None

    rule = ruled(twice, lambda x, i: (twice(x, i), None), bwd, ())
    ids = np.arange(4)
    report = check_vjp(rule, normal(4), ids, hints=False)
    assert "turns" in report.leaves[0].sample, report.table()
    assert check_vjp(rule, normal(4), ids - 1, hints=False).verdict == "fail"


def test_integers_are_all_at_their_least_once():
    """Every row ignored: the mean over none."""

    def plain(x, labels):
        kept = labels >= 0
        return jnp.where(kept, x, 0).sum() / jnp.maximum(kept.sum(), 1)

    def bwd(residuals, dy):
        kept = residuals >= 0
        return jnp.where(kept, dy, 0) / kept.sum(), None  # 0 / 0

    rule = ruled(plain, lambda x, labels: (plain(x, labels), labels), bwd, ())
    report = check_vjp(rule, normal(5), np.array([0, 1, -1, 2, 1]))
    assert report.verdict == "fail"
    assert "at their least" in report.table()


def test_the_dtype_that_is_given_is_checked():
    def bwd(residuals, dy):
        return ((dy * residuals).astype(jnp.float32),)

    rule = ruled(lambda x: x * x / 2, lambda x: (x * x / 2, x), bwd, ())
    low = jnp.asarray(normal(4), jnp.bfloat16)
    assert "E-DTYPE" in codes(check_vjp(rule, low, hints=False))
    assert "E-DTYPE" in codes(check_vjp(rule, low, dtypes="bfloat16", hints=False))


def test_float64_arguments_want_float64(x64):
    def fwd(x):
        return jnp.sin(x), jnp.cos(x).astype(jnp.float32)

    def bwd(residuals, dy):
        return (dy * residuals.astype(dy.dtype),)

    rule = ruled(jnp.sin, fwd, bwd, ())
    assert "W-CAST" in codes(check_vjp(rule, normal(4).astype(np.float64)))
    assert "W-CAST" not in codes(check_vjp(rule, normal(4)))


def test_a_finding_says_at_which_sizes():
    """The backward's size is a number, which fits what was given only."""

    def bwd(x, dy):
        return (jnp.broadcast_to(dy / 12, (3, 4)),)

    rule = ruled(lambda x: x.mean(), lambda x: (x.mean(), x), bwd, ())
    table = check_vjp(rule, normal(3, 4)).table()
    assert "sizes 3->5" in table
    assert "inputs=" in table


def test_a_custom_jvp_function_is_told_what_it_is():
    f = jax.custom_jvp(jnp.sin)
    f.defjvp(lambda x, dx: (jnp.sin(x[0]), dx[0] * jnp.cos(x[0])))
    report = check_vjp(f, normal(3))
    assert report.verdict == "not tested"
    assert "custom_jvp" in report.table()


def test_a_value_that_is_closed_over_is_to_be_an_argument():
    def scaled(x, w):
        rule = ruled(
            lambda x: w * x, lambda x: (w * x, None), lambda r, dy: (w * dy,), ()
        )
        return rule(x)

    report = check_vjp(scaled, normal(3), np.float32(2), hints=False)
    assert "E-CLOSURE" in codes(report)
    assert "pass it as an argument" in report.table()


@pytest.mark.parametrize("around", [jax.jit, jax.grad])
def test_a_check_within_a_trace(around):
    found = []

    def f(w):
        rule = ruled(
            lambda x: w * x, lambda x: (w * x, None), lambda r, dy: (w * dy,), ()
        )
        found.append(check_vjp(rule, normal(3), hints=False))
        return w

    around(f)(1.5)
    assert codes(found[0]) == {"E-CLOSURE"}


def flash():
    """Scores again from q k^T and a log-sum-exp that the reference never forms."""

    def fwd(q, k, v):
        s = q @ k.T
        lse = jax.nn.logsumexp(s, -1, keepdims=True)
        o = jnp.exp(s - lse) @ v
        return o, (q, k, v, o, lse)

    def bwd(residuals, do):
        q, k, v, o, lse = residuals
        p = jnp.exp(q @ k.T - lse)
        ds = p * (do @ v.T - (do * o).sum(-1, keepdims=True))
        return ds @ k, ds.T @ q, p.T @ do

    def plain(q, k, v):
        return jax.nn.softmax(q @ k.T) @ v

    return ruled(plain, fwd, bwd, ()), *(10 * normal(6, 3, seed=i) for i in range(3))


def test_a_right_rule_may_lose_digits_where_its_own_numbers_do():
    """Not by numbers that the reference never forms: a variance by squares."""
    rule, *args = flash()
    report = check_vjp(rule, *args, hints=False)
    assert report.ok, report.table()

    def squares(x):
        return (x * x).mean() - x.mean() ** 2, x

    def bwd(x, dy):
        return (2 * dy * (x - x.mean()) / x.size,)

    rule = ruled(lambda x: jnp.var(x), squares, bwd, ())
    report = check_vjp(rule, normal(9) + 100, hints=False)
    assert codes(report) == {"E-FWD"}

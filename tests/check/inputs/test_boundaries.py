"""Inputs at the ends of the range, as far as dtype and domain go."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxninja import check_vjp
from jaxninja.check.inputs.boundaries import edges, extremes
from jaxninja.check.inputs.kinds import holds_tuples, like
from jaxninja.check.inputs.windows import late
from tests.check.subjects import codes, ruled

X = np.array([0.7, -1.9, 2.3], np.float32)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_they_stay_within_the_dtype_and_the_domain(dtype):
    shares = np.array([0.25, 0.75], jnp.dtype(dtype))
    args = (X.astype(jnp.dtype(dtype)), shares)
    found = dict(extremes(args, frozenset(["exp"]), dtype))
    assert len(found) == 3
    for x, kept in found.values():
        assert x.dtype == args[0].dtype
        assert np.isfinite(x).all()
        assert x.all()
        assert kept is shares
    sizes = [float(abs(x).max()) for x, _ in found.values()]
    wide = dtype != "float16"
    assert sizes[0] > (1e20 if wide else 3e4)
    assert sizes[1] < (1e-19 if wide else 1)


def test_positive_numbers_tie_in_pairs_and_stay_positive():
    times = np.array([2.1, 0.4, 3.3, 1.2], np.float32)
    ties = dict(edges((X, times), frozenset(["ge"]), "float32"))["ties"]
    assert ties[0].tolist() == [1, -2, 2]
    assert ties[1].tolist() == times[[0, 1, 0, 1]].tolist()


def test_an_exponential_of_the_rule_alone_asks_for_large_numbers():
    """A ratio of Bessel functions, say, for the scaled ones that the forward has."""
    args = X, np.array([0.5, 2.0], np.float32)
    exp = frozenset(["exp"])
    for rules, kinds in ((frozenset(), []), (exp, [True, True])):
        found = dict(edges(args, frozenset(), "float32", rules))
        large = found.get("entries of +-84.3", [])
        assert [bool((abs(a) > 80).all()) for a in large] == kinds
    of_both = dict(edges(args, exp, "float32", exp))["entries of +-84.3"]
    assert of_both[1] is args[1]


def test_a_rule_that_overflows_is_told_and_passes():
    def bwd(x, dy):
        cube = jnp.where(x == 0, 1, x * x * x)  # 1e60 is more than float32 holds
        return (2 * dy * (cube / cube),)

    op = ruled(lambda x: 2 * x, lambda x: (2 * x, x), bwd, ())
    report = check_vjp(op, X, level="full")
    assert report.ok, report.table()
    assert "W-RANGE: in float32 at inputs x 1e+20" in report.table()
    assert "got nan, expected" in report.table()
    right = ruled(lambda x: 2 * x, lambda x: (2 * x, x), lambda x, dy: (2 * dy,), ())
    assert "W-RANGE" not in codes(check_vjp(right, X, level="full"))


def amplified(times):
    """dgain = 2 y / gain is none at 0, where it is 0."""

    def plain(x, gain):
        return gain * gain * x

    def bwd(res, dy):
        gain, y = res
        dgain = times * y / gain * dy
        return gain * gain * dy, dgain if jnp.ndim(gain) else dgain.sum()

    return ruled(
        plain, lambda x, gain: (plain(x, gain), (gain, plain(x, gain))), bwd, ()
    )


def sampled(times):
    """A scale has no other sign, though the forward asks for that of its noise."""

    def plain(x, scale):
        return jnp.where(jnp.abs(x) > 0, scale * x, 0)

    def bwd(res, dy):
        y, scale = res
        return dy * jnp.abs(scale), times * dy * y / scale

    return ruled(plain, lambda x, s: (plain(x, s), (plain(x, s), s)), bwd, ())


GIVEN = np.array([0.7, 1.2, 0.4], np.float32)


@pytest.mark.parametrize(
    ("op", "scale", "verdict", "told"),
    [
        (amplified(2), GIVEN[0], "ok", True),
        (amplified(2.1), GIVEN[0], "fail", True),
        (amplified(2), GIVEN, "ok", True),
        (amplified(2), -GIVEN, "fail", False),  # of both signs
        (sampled(1), GIVEN, "ok", True),
        (sampled(1.1), GIVEN, "fail", True),
        (sampled(1), np.ones(3, np.float32), "fail", False),  # a gain
    ],
)
def test_a_division_by_what_is_positive_is_told_and_one_by_other_numbers_fails(
    op, scale, verdict, told
):
    report = check_vjp(op, X, scale, hints=False)
    assert report.verdict == verdict, report.table()
    assert ("W-RANGE: in float64, " in report.table()) == told


def square_of_sum(x, c):
    """x * x, as a difference of numbers of size c * c."""
    return (x + c) ** 2 - c * c - 2 * c * x


@pytest.mark.parametrize("size", [200.0, 0.0])
def test_a_value_may_lose_what_the_steps_of_the_plain_one_lose(size):
    """As a small divergence does, which is a difference of large logarithms."""

    def fwd(x):
        return square_of_sum(x, -200.0), x

    def bwd(x, dy):
        return (2 * x * dy,)

    op = ruled(lambda x: square_of_sum(x, size), fwd, bwd, ())
    report = check_vjp(op, np.linspace(0.9, 1.1, 101, dtype=np.float32), level="quick")
    assert ("E-FWD" in codes(report)) == (size == 0), report.table()


TABLE = np.random.default_rng(2).normal(size=(6, 2)).astype(np.float32)
REPEATED = np.array([0, 3, 3, 1])
EVEN = np.array([0, 0, 1, 1, 2, 2])


def all_different(i):
    return jnp.bincount(i, length=6).max() == 1


def some_of_nothing(i):
    return (i == 0).any() & (i > 0).any()


def unevenly_sorted(i):
    counts = jnp.bincount(i, length=3)
    return (jnp.diff(i) >= 0).all() & (counts == jnp.array([3, 2, 1])).all()


@pytest.mark.parametrize("factor", [1, 2])
@pytest.mark.parametrize(
    ("where", "index", "sample"),
    [
        (all_different, REPEATED, "distinct integers"),
        (some_of_nothing, np.array([2, 1, 3]), "every other integer 0"),
        (unevenly_sorted, EVEN, "uneven steps of sorted integers"),
    ],
)
def test_integers_of_another_kind_than_the_given(where, index, sample, factor):
    def plain(table, i):
        return table[i] ** 2

    def bwd(residuals, dy):
        table, i = residuals
        dy = dy * jnp.where(where(i), factor, 1)
        return jnp.zeros_like(table).at[i].add(2 * dy * table[i]), None

    op = ruled(plain, lambda *a: (plain(*a), a), bwd, ())
    report = check_vjp(op, TABLE, index, hints=False)
    assert report.ok == (factor == 1), report.table()
    assert factor == 1 or f"[{sample}]" in report.table()


def test_integers_that_count_from_one_fail_no_rule_at_zero():
    """The last entry at 0 is `x[-1]`, and none of a one-hot matrix."""

    def plain(x, count):
        return x[jnp.arange(len(x)), count - 1] ** 2

    def bwd(residuals, dy):
        x, count = residuals
        hit = jax.nn.one_hot(count - 1, x.shape[1], dtype=x.dtype)
        return jnp.where(hit == 1, 2 * dy[:, None] * x, 0), None

    op = ruled(plain, lambda *a: (plain(*a), a), bwd, ())
    report = check_vjp(op, TABLE[:3], np.array([2, 1, 2]), hints=False)
    assert report.ok, report.table()
    assert any("every other integer 0" in text for text in report.not_tested)


QUADS = np.array([[0, 1, 2, 3], [1, 2, 3, 4], [2, 3, 4, 5]], np.int32)


def bonds(slip):
    """1 over the distances of pairs of points."""

    def plain(x, pairs):
        gap = x[pairs[:, 0]] - x[pairs[:, 1]]
        return (gap * gap).sum(-1) ** -0.5

    def bwd(residuals, dy):
        x, pairs, y = residuals
        gap = x[pairs[:, 0]] - x[pairs[:, 1]]
        d = -(dy * y**3)[:, None] * gap
        if slip:
            return jnp.zeros_like(x).at[pairs[:, 0]].set(d).at[pairs[:, 1]].add(
                -d
            ), None
        return jnp.zeros_like(x).at[pairs[:, 0]].add(d).at[pairs[:, 1]].add(-d), None

    def fwd(x, pairs):
        return (y := plain(x, pairs)), (x, pairs, y)

    return ruled(plain, fwd, bwd, ())


@pytest.mark.parametrize("slip", [False, True])
def test_tuples_of_indices_stay_different(slip):
    pairs = np.array([[0, 1], [1, 2], [2, 3], [3, 4]], np.int32)
    x = np.random.default_rng(0).normal(size=(5, 2)).astype(np.float32)
    assert check_vjp(bonds(slip), x, pairs, hints=False).ok is not slip
    for given in (QUADS, pairs):
        drawn = like(given, np.random.default_rng(1))
        assert holds_tuples(drawn)
        assert not np.array_equal(drawn, given)
    assert not holds_tuples(np.array([[0, 1], [1, 1], [2, 3]]))


def window(x, start, size: int):
    return jax.lax.dynamic_slice_in_dim(x, start, size)


@pytest.mark.parametrize(("size", "ends"), [(1, []), (2, [4]), (5, [])])
def test_a_window_that_starts_at_the_last_entry_is_moved_back(size, ends):
    """One of a single entry ends there, and one of all starts at the first anyway."""
    args, called = (np.arange(5.0), np.int32(1)), jax.jit(window, static_argnums=2)
    for f in (window, called):
        found = list(late(lambda x, i, f=f: f(x, i, size), args, ["x", "i"]))
        assert [label for label, _ in found] == ["i at the last entry"] * len(ends)
        assert [int(i) for _, (_, i) in found] == ends


def test_a_backward_that_counts_from_a_start_too_late():
    def bwd(args, g):
        x, start = args
        return jnp.zeros_like(x).at[start + jnp.arange(2)].add(g), None

    def moved_back(args, g):
        x, start = args
        return bwd((x, jnp.minimum(start, len(x) - 2)), g)

    def plain(x, start):
        return window(x * x, start, 2)

    for rule, verdict in ((moved_back, "ok"), (bwd, "fail")):

        def back(args, g, rule=rule):
            return 2 * args[0] * rule(args, g)[0], None

        op = ruled(plain, lambda x, i: (plain(x, i), (x, i)), back, ())
        report = check_vjp(op, np.arange(1, 6, dtype=np.float32), np.int32(1))
        assert report.verdict == verdict, report.table()

"""Another subgradient is allowed at a kink, and only where there is one."""

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxninja import check_vjp
from jaxninja.check.oracle import kinks
from tests.check.subjects import codes, filter_case, ruled

X = np.array([[0.7, -1.9, 2.3], [0.2, 1.1, -0.4]], np.float32)


def midpoint(A, y, h):
    """One step of the midpoint rule for y' = sin(A y)."""
    half = y + h * jnp.sin(A @ y)
    return y + h * jnp.sin(A @ half)


def midpoint_bwd(res, dy):
    A, y, h = res
    k = jnp.sin(A @ y)
    half = y + h * k
    b = A.T @ (dy * h * jnp.cos(A @ half))
    da = h * b * jnp.cos(A @ y)
    dA = jnp.outer(dy * h * jnp.cos(A @ half), half) + jnp.outer(da, y)
    return dA, dy + b + A.T @ da, dy @ jnp.sin(A @ half) + b @ k


def without_path(res, dy):
    dA, grad, _ = midpoint_bwd(res, dy)
    return dA, grad, dy @ jnp.sin(res[0] @ res[1])


STEP = np.array([[1.0, -0.7], [0.4, 2.0]], np.float32), X[0, :2], np.float32(0.1)


@pytest.mark.parametrize("bwd", [midpoint_bwd, without_path])
def test_a_smooth_rule_has_no_kinks(bwd):
    op = ruled(midpoint, lambda *a: (midpoint(*a), a), bwd, ())
    report = check_vjp(op, *STEP, hints=False)
    assert report.ok == (bwd is midpoint_bwd), report.table()
    assert "W-KINK" not in codes(report)


def test_a_spectrum_with_the_wrong_conjugate():
    def spectra(g, X, w):
        return g * jnp.conj(w), g * jnp.conj(X)

    report = check_vjp(*filter_case(spectra), hints=False)
    assert not report.ok
    assert "W-KINK" not in codes(report)


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_ties_may_be_shared_in_any_way(share):
    """max of two: at a tie, share to the first and the rest to the second."""

    def bwd(res, dy):
        a, b = res
        first = jnp.where(a == b, share, (a > b).astype(a.dtype)).astype(a.dtype)
        return first * dy, (1 - first) * dy

    op = ruled(jnp.maximum, lambda a, b: (jnp.maximum(a, b), (a, b)), bwd, ())
    assert check_vjp(op, X, X[::-1].copy()).ok


def test_a_tie_does_not_count_twice():
    def bwd(res, dy):
        a, b = res
        return dy * (a >= b), dy * (b >= a)

    op = ruled(jnp.maximum, lambda a, b: (jnp.maximum(a, b), (a, b)), bwd, ())
    assert not check_vjp(op, X, X[::-1].copy(), hints=False).ok


def test_a_square_of_zeros_is_moved_as_its_argument_is():
    """At an edge a matrix of numbers looks like another kind, which is let alone."""

    def bwd(c, dy):
        j = jnp.argmax(c.ravel())
        return (jnp.zeros(c.size).at[j].add(dy).reshape(c.shape),)

    op = ruled(lambda c: c.max(), lambda c: (c.max(), c), bwd, ())
    square = np.array([[1.4, 0.6], [0.9, 2.1]], np.float32)
    assert check_vjp(op, square).ok


@pytest.mark.parametrize("safe", [True, False])
def test_no_number_is_no_jump(safe):
    """sin(x) / x of a rule at 0, where the gradient of the forward is 1."""

    def plain(x):
        return 2 * jnp.arctan(x)

    def bwd(res, dy):
        x, y = res
        shown = jnp.where((x == 0) & safe, 1, jnp.tan(y / 2) / jnp.where(safe, 1, x))
        shown = jnp.where(safe, 1, shown)
        return (2 * dy * shown / (1 + x * x),)

    op = ruled(plain, lambda x: (plain(x), (x, plain(x))), bwd, ())
    report = check_vjp(op, np.abs(X[0]), hints=False)
    assert report.ok == safe, report.table()


@pytest.mark.parametrize(("slope", "ok"), [(0.0, True), (1.0, True), (1.5, False)])
def test_kinks_within_a_function_are_decided_each_by_itself(slope, ok):
    """At a column of zeros in w every entry of it is at the kink, and no w nearby has
    them all on one side."""

    def plain(x, w):
        return jnp.maximum(x @ w, 0)

    def bwd(res, dy):
        x, w = res
        z = x @ w
        d = dy * jnp.where(z == 0, slope, z > 0)
        return d @ w.T, x.T @ d

    rng = np.random.default_rng(0)
    args = (rng.normal(size=shape).astype(np.float32) for shape in ((5, 3), (3, 4)))
    op = ruled(plain, lambda *a: (plain(*a), a), bwd, ())
    report = check_vjp(op, *args, hints=False)
    assert report.ok == ok, report.table()


@pytest.mark.parametrize("slip", [False, True])
def test_a_jump_of_the_value_is_no_kink(slip):
    """Of numbers that are only compared: at a tie the pair counts by half, and neither
    all of it nor nothing is another gradient of that."""

    def shares(t):
        return (jnp.sign(t[:, None] - t) + 1) / 2

    def plain(x, t):
        return jnp.sum(shares(t) * jnp.exp(x[:, None] - 2 * x))

    def bwd(res, dy):
        x, t = res
        share = (t[:, None] > t).astype(x.dtype) if slip else shares(t)
        share = jnp.where(jnp.eye(len(t), dtype=bool), 0.5, share).astype(x.dtype)
        pairs = share * jnp.exp(x[:, None] - 2 * x)
        return dy * (pairs.sum(1) - 2 * pairs.sum(0)), jnp.zeros_like(t)

    op = ruled(plain, lambda *a: (plain(*a), a), bwd, ())
    times = np.array([2.1, 0.4, 3.3, 1.2], np.float32)
    report = check_vjp(op, X.ravel()[:4], times, nondiff=("t",), hints=False)
    assert report.ok is not slip, report.table()
    assert not slip or "[ties]" in report.table()


@pytest.mark.parametrize("slip", ["", "added"])
def test_a_tie_along_an_axis_goes_to_the_last_one(slip):
    """Of a running maximum each entry has the gradients up to the next record; all
    orders of six equal numbers are more than a few neighbours show."""

    def plain(x):
        return jax.lax.cummax(x, 1)

    def bwd(res, g):
        x, y = res
        place = jax.lax.broadcasted_iota(jnp.int32, x.shape, 1)
        owner = jax.lax.cummax(jnp.where(x == y, place, 0), 1)
        dx = jnp.zeros_like(g).at[jnp.arange(len(x))[:, None], owner].add(g)
        return (dx + (jnp.where(x == y, 0.1, 0) if slip else 0) * g,)

    op = ruled(plain, lambda x: (plain(x), (x, plain(x))), bwd, ())
    x = np.random.default_rng(0).normal(size=(3, 6)).astype(np.float32)
    report = check_vjp(op, x, hints=False)
    assert report.ok == (not slip), report.table()


@pytest.mark.parametrize("slip", [0, 1])
@pytest.mark.parametrize("seed", [2, 3])
def test_a_hat_at_its_top_and_at_its_foot(seed, slip):
    """Each kink by itself: no slope at the top, none at the feet of its neighbours."""

    def away(x):
        return 2 * (jnp.where(jnp.abs(x) < 2, x, 2 * jnp.sign(x)) + 2)[:, None] - PLACES

    def plain(x, weights):
        size = jnp.abs(away(x))
        return weights @ jnp.where(size < 1, 1 - size, 0)

    def bwd(args, g):
        x, weights = args
        d = away(x)
        slope = jnp.where(jnp.abs(d) < 1, -2 * jnp.sign(d) + slip, 0)
        dx = jnp.where(jnp.abs(x) < 2, weights * (slope @ g), 0)
        return dx, jnp.where(jnp.abs(d) < 1, 1 - jnp.abs(d), 0) @ g

    x, weights = np.random.default_rng(seed).normal(size=(2, 12))
    op = ruled(plain, lambda *args: (plain(*args), args), bwd, ())
    given = np.float32(1.5 * x), np.float32(np.abs(weights))
    report = check_vjp(op, *given, seed=seed, hints=False)
    assert report.ok == (not slip), report.table()


PLACES = np.arange(9)


@pytest.mark.parametrize("slip", [0, 1])
def test_a_kink_beside_which_a_gradient_is_steep(slip):
    """In float32, whose ties are looked for further away than the curve is wide."""

    def plain(a, b):
        e = a - b
        return 50 * jnp.log(500 * e * e + 1) + jnp.abs(e)

    def bwd(args, g):
        e = args[0] - args[1]
        de = 100 * g * e / (e * e + 2e-3) + g * (jnp.sign(e) + 2 * slip * (e == 0))
        return de, -de

    op = ruled(plain, lambda *args: (plain(*args), args), bwd, ())
    a, b = np.random.default_rng(0).normal(size=(2, 6)).astype(np.float32)
    b[2] = a[2]
    report = check_vjp(op, a, b, hints=False)
    assert report.ok == (not slip), report.table()


@pytest.mark.parametrize("slip", [0, 1])
def test_the_first_of_the_largest_and_then_of_the_smallest(slip):
    """A closing: at ties both choices are the first, though one is of a maximum."""

    def windows(n, k):
        return jnp.arange(n - k + 1)[:, None] + jnp.arange(k)

    def plain(x, w):
        wide = (x[windows(len(x), len(w))] + w).max(1)
        return (wide[windows(len(wide), len(w))] - w).min(1)

    def fwd(x, w):
        first = x[windows(len(x), len(w))] + w
        wide = first.max(1)
        second = wide[windows(len(wide), len(w))] - w
        return second.min(1), (first.argmax(1), second.argmin(1), x, w)

    def bwd(res, g):
        a, b, x, w = res
        dwide = jnp.zeros(len(a), g.dtype).at[jnp.arange(len(b)) + b].add(g)
        dw = jnp.zeros_like(w).at[b].add(-g).at[a].add(dwide * (1 - slip * (a > 0)))
        return jnp.zeros_like(x).at[jnp.arange(len(a)) + a].add(dwide), dw

    rng = np.random.default_rng(0)
    args = [np.float32(rng.normal(size=n)) for n in (9, 3)]
    report = check_vjp(ruled(plain, fwd, bwd, ()), *args, hints=False)
    assert report.ok == (not slip), report.table()


@pytest.mark.parametrize("slip", [0, 1])
def test_an_index_among_the_residuals_may_equal_the_value(slip):
    """At zeros both are 0, and an index is not moved by a rounding."""

    def plain(x):
        return x.max(1)

    def fwd(x):
        return plain(x), (x.argmax(1), x)

    def bwd(res, g):
        k, x = res
        return (jnp.zeros_like(x).at[jnp.arange(len(x)), k + slip].add(g),)

    report = check_vjp(ruled(plain, fwd, bwd, ()), X, hints=False)
    assert report.verdict == ("fail" if slip else "ok"), report.table()


def test_each_neighbour_has_one_on_the_other_side():
    """Of four at random all may be on the same side of a kink."""
    found = []

    def truth(args, dy):
        found.append(args)
        return SimpleNamespace(gradients=[]), []

    trials = [SimpleNamespace(got=0 * X), SimpleNamespace(got=X)]
    evaluation = SimpleNamespace(trials=trials, args=(X, -X), dy=[X])
    setup = SimpleNamespace(truth=truth, kinds=["real", "real"])
    list(kinks._neighbours(setup, evaluation, 0.1, random=4))
    for given, moved in zip((X, -X), zip(*found, strict=True), strict=True):
        pairs = zip(moved[::2], moved[1::2], strict=True)
        assert all(np.allclose(a + b, 2 * given) for a, b in pairs)
        assert any((a != given).any() for a in moved[6:])


@pytest.mark.parametrize("slip", [0, 1])
def test_a_count_of_one_is_a_kink_of_the_mask(slip):
    """max(sum(mask), 1) where one entry alone is on: either side is right."""

    def plain(x, mask):
        return jnp.sum(mask * x) / jnp.maximum(jnp.sum(mask), 1.0)

    def bwd(res, g):
        x, mask = res
        count = jnp.sum(mask)
        over = jnp.where(count > 1, plain(x, mask), 0) * (1 + slip)
        return g * mask / jnp.maximum(count, 1), g * (x - over) / jnp.maximum(count, 1)

    x = np.random.default_rng(0).normal(size=7).astype(np.float32)
    mask = np.array([1, 0, 1, 1, 0, 0, 1], np.float32)
    op = ruled(plain, lambda *a: (plain(*a), a), bwd, ())
    report = check_vjp(op, x, mask, hints=False)
    assert report.ok == (not slip), report.table()


@pytest.mark.parametrize("slip", [0, 1])
def test_what_a_kink_shares_with_an_argument_that_nobody_asks_for(slip):
    """max(a x, b x) at x = 0, of one shape with a mask that has no gradient here."""

    def plain(x, slope, mask):
        return jnp.maximum(slope * x, 0.1 * x) * mask

    def bwd(res, g):
        x, slope, mask = res
        first = jnp.where(x >= 0, slope > 0.1, slope < 0.1)
        d = jnp.where(first, slope, 0.1) * (1 + slip * (x == 0))
        return g * d * mask, g * jnp.where(first, x, 0) * mask, None

    args = X[:1], np.array([[2.0, -1.5, 0.7]], np.float32), np.ones((1, 3), np.float32)
    op = ruled(plain, lambda *a: (plain(*a), a), bwd, ())
    report = check_vjp(op, *args, nondiff="mask", hints=False)
    assert report.ok == (not slip), report.table()


@pytest.mark.parametrize("slip", [0, 1])
def test_a_wrong_gradient_leaves_the_other_ones_at_a_tie_right(slip):
    """Of a clip whose upper bound has the wrong sign at all inputs: at a tie with the
    lower one that bound may take all of the cotangent, and not more."""

    def plain(x, low, high):
        return jnp.minimum(jnp.maximum(x, low), high)

    def bwd(res, g):
        x, low, high = res
        below = jnp.sum(g * (x <= low) * (1 + slip * (x == low)))
        return g * ((x > low) & (x < high)), below, -jnp.sum(g * (x >= high))

    op = ruled(plain, lambda *a: (plain(*a), a), bwd, ())
    args = X.ravel(), np.float32(-2), np.float32(0.9)
    report = check_vjp(op, *args, hints=False)
    verdicts = {leaf.name: leaf.verdict for leaf in report.leaves}
    assert verdicts == {"x": "ok", "low": "fail" if slip else "ok", "high": "fail"}

"""Each argument is put to the values at which it is special; a rule may err there."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxninja import check_vjp
from jaxninja.check.inputs.special_values import (
    MOST,
    at_special_values,
    kept_symmetric,
    untried,
)
from tests.check.subjects import ruled

rng = np.random.default_rng(4)
X = rng.normal(size=(4, 3)).astype(np.float32)
W = np.abs(rng.normal(size=(4, 3))).astype(np.float32)
SHARES = W / W.sum(-1, keepdims=True)
SYMMETRIC = np.float32([[0.2, 0.7, -1.1], [0.7, -0.9, 0.4], [-1.1, 0.4, 0.5]])
WIDE = rng.normal(size=(4, 9)).astype(np.float32)
TRIANGLE = np.tril(np.abs(WIDE[:, :4])) + np.eye(4, dtype=np.float32)
MASK = (rng.random((4, 9)) < 0.8).astype(np.int32)


def weighted(x, w):
    return (w * jnp.exp(x)).sum()


def twice_applied(A, x):
    return jnp.vdot(x, A @ x) + jnp.sum(A * A)


def row_means(x, mask):
    count = mask.sum(-1)
    return jnp.where(count > 0, (x * mask).sum(-1) / jnp.maximum(count, 1), 0)


def by(plain, change):
    """The rule of autodiff with gradients changed by `change(grads, args)`."""

    def bwd(args, g):
        return change(jax.vjp(plain, *args)[1](g), args)

    return ruled(plain, lambda *args: (plain(*args), args), bwd, ())


def kept(grads, args):
    return grads


# plain, arguments, a change of the gradients, the sample that shows it
BUGS = {
    "positive at 0": (
        weighted, (X, W), lambda d, a: (d[0], jnp.where(a[1] > 0, d[1], 0)), "w at 0"
    ),
    "real at 1": (
        weighted, (X, W), lambda d, a: (jnp.where(a[0] == 1, 0, d[0]), d[1]), "x at 1"
    ),
    "a row of zeros": (
        weighted, (X, W),
        lambda d, a: (d[0] * jnp.where((a[0] == 0).all(1).sum() == 1, 2, 1), d[1]),
        "x at 0 in one row",
    ),
    "one row masked": (
        row_means, (WIDE, MASK),
        lambda d, a: (d[0] / jnp.where((a[1].sum(-1) == 0).sum() == 1, 2, 1), None),
        "mask off in one row",
    ),
    "one choice": (
        weighted, (X, SHARES), lambda d, a: (jnp.where(a[1] == 1, 0, d[0]), d[1]),
        "w all on one choice",
    ),
    "rows of norm 1": (
        weighted, (X, W),
        lambda d, a: (
            d[0] * jnp.where(jnp.abs((a[0] ** 2).sum(1) - 1).max() < 1e-6, 2, 1), d[1]
        ),
        "x with rows of norm 1",
    ),
    "a diagonal of both signs": (
        lambda L: jnp.log(jnp.abs(jnp.diagonal(L))).sum(), (TRIANGLE,),
        lambda d, a: (d[0] * jnp.sign(jnp.diagonal(a[0])),),
        "L with a row of the other sign",
    ),
    "no more symmetric": (
        twice_applied, (SYMMETRIC, X[:3]),
        lambda d, a: ((d[0] + d[0].T) / 2 + (a[0] - a[0].T), d[1]),
        "A not symmetric",
    ),
    "equal": (
        weighted, (X, -X), lambda d, a: (jnp.where(a[0] == a[1], 0, d[0]), d[1]),
        "w equal to x",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BUGS)
def test_what_is_wrong_at_one_value_only(name):
    plain, args, wrong, sample = BUGS[name]
    args = tuple(map(jnp.asarray, args))

    def check(change):
        return check_vjp(by(plain, change), *args, hints=False)

    report = check(kept)
    assert report.ok, report.table()
    report = check(wrong)
    assert report.verdict == "fail"
    assert f"[{sample}]" in report.table()


def test_positive_definite_matrices_stay_so_and_are_told():
    """As covariances are."""
    x = X[:3, 0]
    definite = SYMMETRIC @ SYMMETRIC.T + np.eye(3, dtype=np.float32)
    assert kept_symmetric((definite, SYMMETRIC, x), "ABx") == ["A"]
    found = at_special_values((definite, SYMMETRIC, x), "ABx")
    assert [label for label, _ in found if label.endswith("symmetric")] == [
        "B not symmetric"
    ]


def test_an_identity_in_place_of_a_square_matrix():
    square = X[:3]
    found = dict(at_special_values((square,), ["A"]))
    np.testing.assert_array_equal(found["A at the identity"][0], np.eye(3))
    lower = np.tril(square)
    found = list(dict(at_special_values((lower,), ["L"])))
    assert found == ["L with a row of the other sign", "L at the identity"]


def test_arguments_beyond_the_first_few_are_told():
    many = {f"p{i}": X + i for i in range(MOST + 2)}

    def plain(p):
        return sum((a * a).sum() for a in p.values())

    report = check_vjp(by(plain, kept), many)
    assert report.ok, report.table()
    said = f"special values of p['p{MOST}'], p['p{MOST + 1}'] one by one"
    assert said in report.not_tested
    assert untried((many,), list(many)) == [f"p{MOST}", f"p{MOST + 1}"]


def test_comparisons_of_the_backward_are_watched():
    def plain(x):
        return x * x

    def bwd(x, g):
        return (jnp.where(x * x > -1, 2 * x, 3 * x) * g,)  # it cannot turn

    gaps = check_vjp(ruled(plain, lambda x: (x * x, x), bwd, ()), X).coverage.gaps
    assert len(gaps) == 1
    assert "was only ever True" in gaps[0]

    def seen(x, g):
        return (jnp.where(x < 0.1, 2 * x, x + x) * g,)

    op = ruled(plain, lambda x: (x * x, x), seen, ())
    assert check_vjp(op, X).coverage.gaps == ()


def test_in_a_narrow_domain_masks_alone_are_varied():
    args, names = (W, np.ones(5, bool), X), ("w", "seen", "x")
    labels = [label for label, _ in at_special_values(args, names, masks_alone=True)]
    assert labels == ["seen off in one row", "seen on at one entry only"]


@pytest.mark.parametrize("signed", [False, True])
def test_positive_numbers_have_the_other_sign_where_signs_are_asked_for(signed):
    asked = frozenset(["sign"] * signed)
    found = dict(at_special_values((W, X), ("w", "x"), asked=asked))
    assert [la for la in found if "sign" in la] == ["w of the other sign"] * signed
    assert not signed or (found["w of the other sign"][0] == -W).all()


@pytest.mark.parametrize("slip", [False, True])
def test_numbers_are_missing_where_the_forward_asks_whether_they_are(slip):
    """Gaps are 0 in the sum; the wrong rule carries the cotangent into them."""

    def plain(x, w):
        return (jnp.where(jnp.isnan(x), 0, x) * w).sum(-1)

    def bwd(args, g):
        x, w = args
        seen = ~jnp.isnan(x)
        dx = g[:, None] * w
        return dx if slip else dx * seen, g[:, None] * jnp.where(seen, x, 0)

    op = ruled(plain, lambda *args: (plain(*args), args), bwd, ())
    report = check_vjp(op, X, W, hints=False)
    assert report.ok is not slip, report.table()
    assert not slip or "[x NaN in" in report.table()


@pytest.mark.parametrize("names", ["x, low, high", "x, a, b"])
def test_bounds_keep_their_order(names):
    """A projection on a box: which bound it is where they are out of order is anybody's
    guess, and where no name says that they are bounds this is tried."""

    def plain(x, low, high):
        return jnp.minimum(jnp.maximum(x, low), high)

    def bwd(res, g):
        x, low, high = res
        below, above = x < low, x > high
        inside = ~(below | above)
        return tuple(jnp.where(at, g, 0) for at in (inside, below, above))

    scope = {"plain": plain}
    named = eval(f"lambda {names}: plain({names})", scope)
    op = ruled(named, lambda *a: (plain(*a), a), bwd, ())
    x, ones = np.array([0.3, -1.7, 1.9, 0.2], np.float32), np.ones(4, np.float32)
    report = check_vjp(op, x, -ones, 1.2 * ones, hints=False)
    assert report.ok == ("low" in names), report.table()

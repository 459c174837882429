"""How far roundings on the way move a value and a gradient."""

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxninja import check_vjp
from jaxninja.check.oracle.roundings.condition import moved_by_roundings
from jaxninja.check.oracle.roundings.perturbation import draw_of_signs, perturbed
from jaxninja.check.oracle.truth import BELIEVED, Truth, reference_of, truth_of
from jaxninja.check.subject.subject import Bound
from tests.check.subjects import ruled

U = 1e-7


def moved(f, *args):
    """Of value and gradients, by roundings of relative size U."""
    plain = Bound(f, (), ())
    dy = [jnp.ones(a.shape) for a in jax.tree.leaves(jax.eval_shape(f, *args))]
    y, gradients = reference_of(plain)(args, dy)
    subject = SimpleNamespace(plain=plain)
    setup = SimpleNamespace(subject=subject, differences=False, surrogate=None)
    here = Truth(list(map(np.asarray, y)), list(map(np.asarray, gradients)), [], [])
    return moved_by_roundings(setup, args, dy, here, U)


def test_the_terms_of_an_iteration_whose_steps_cancel(x64):
    """Newton's, for a root: the slope of a step is 1 - 1, of which the terms are 2."""

    def root(a):
        y = a
        for _ in range(40):
            y = y - (y * y - a) / (2 * y)
        return y

    a = np.array([2.0, 3.0])
    subject = SimpleNamespace(plain=Bound(root, (), ()), name="root")
    truth = truth_of(subject, (a,), [np.ones(2)])
    np.testing.assert_allclose(truth.gradients[0], 0.5 / np.sqrt(a))
    assert truth.scales[0].max() == BELIEVED


@pytest.mark.parametrize(("c", "units"), [(200.0, 4e4), (0.0, 1.0)])
def test_a_difference_of_large_numbers(c, units, x64):
    """x * x, from numbers of size c * c."""
    x = np.linspace(0.9, 1.1, 101)
    found = moved(lambda x: (x + c) ** 2 - c * c - 2 * c * x, x).y[0]
    assert units < float(np.median(found)) / U < 10 * units


def test_a_gradient_of_saturated_scores(x64):
    """Exactly zero where one score is far above: its terms cancel to a rounding."""

    def f(s, v):
        return jax.nn.softmax(s) @ v

    s, v = np.array([900.0, 10.0, -3.0]), np.array([1e3, 2e3, 3e3])
    assert float(moved(f, s, v).gradients[0].max()) > 1e3 * U / 4


def test_the_steps_of_a_scan_and_of_a_branch_move(x64):
    def f(x):
        def step(c, _):
            c = jax.lax.cond(c > 0, lambda c: (c + 1e4) - 1e4, lambda c: c, c)
            return c, None

        return jax.lax.scan(step, x, None, 3)[0]

    assert float(moved(f, np.float64(0.7)).y[0]) > 1e3 * U


def test_ties_and_signs_stay(x64):
    def f(x):
        return x - x[::-1], x + jnp.negative(x), jnp.where(x == jnp.abs(x), x, 9)

    x = np.array([1.5, -0.0, 1.5])
    for seed in range(4):
        draw = draw_of_signs(np.random.default_rng(seed))
        a, b, c = perturbed(f, U, draw)(x)
        assert not np.any(a)
        assert not np.any(b)
        np.testing.assert_allclose(c, x, rtol=1e-6)


def test_a_decision_of_the_reference_is_that_of_its_neighbours_too(x64):
    """Of a matrix of rank 2 in 4 dimensions all cofactors are exactly 0, and as many
    roundings of its entries as another matrix's a rounding away."""
    rows = [[1.0, 1, -1, -1], [1, 1, 1, -1]]
    a = 700 * np.vstack([rows, np.negative(rows)])
    found = moved(jnp.linalg.det, a).gradients[0]
    assert 700**3 * U / 100 < found.max() < 700**3 * U * 100


def test_a_jump_is_no_condition(x64):
    """At equal entries max gives each a half, and a rounding away one of them all."""
    assert moved(jnp.max, np.array([2.0, 2.0, 1.0])).gradients[0].max() < 4 * U


@pytest.mark.parametrize("slip", [0, 1e-3])
def test_a_value_that_cancels_at_ties(slip):
    """Where a row of m is equal it is 0, of which the rule leaves roundings."""

    def plain(w, m):
        return (w[:, :, None] * w[:, None] * (m[:, :, None] - m[:, None]) ** 2).sum()

    def fwd(w, m):
        W, first = w.sum(1), (w * m).sum(1)
        return 2 * (W * (w * m * m).sum(1) - (1 + slip) * first**2).sum(), (w, m)

    def bwd(res, g):
        w, m = res
        apart = m[:, :, None] - m[:, None]
        dw = 2 * (w[:, None] * apart**2).sum(2)
        return g * dw, g * 4 * w * (w[:, None] * apart).sum(2)

    op = ruled(plain, fwd, bwd, ())
    rng = np.random.default_rng(0)
    args = [np.float32(10 * rng.uniform(1, 2, size=(3, 6))) for _ in range(2)]
    report = check_vjp(op, *args, hints=False)
    assert report.ok == (not slip), report.table()

"""Static options that can be listed are tried at each of their values."""

from enum import Enum
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxninja import Case, Rule, check_vjp
from tests.check.subjects import inputs, ruled

X = inputs()[0][0]  # of one axis: fewer other sizes to try


class Pool(Enum):
    SUM = 1
    MEAN = 2
    MAX = 3


def pool_enum(x, pool: Pool):
    return {Pool.SUM: x.sum, Pool.MEAN: x.mean, Pool.MAX: x.max}[pool](0)


def pool_literal(x, pool: 'Literal["sum", "mean"] | None' = "sum"):
    return x.mean(0) if pool == "mean" else x.sum(0)


def pool_flag(x, mean: bool):
    return x.mean(0) if mean else x.sum(0)


def pool_rule(plain, right):
    """The rule of a pool over axis 0; its gradients are those of the options `right`,
    and halved for all others."""

    def bwd(option, x, dy):
        dx = jax.vjp(lambda x: plain(x, option), x)[1](dy)[0]
        return (dx if option in right else dx / 2,)

    return ruled(plain, lambda x, option: (plain(x, option), x), bwd, (1,))


ALL = {
    pool_enum: tuple(Pool),
    pool_literal: ("sum", "mean", None),
    pool_flag: (False, True),
}


@pytest.mark.parametrize("plain", ALL, ids=lambda f: f.__name__)
def test_one_wrong_member_is_found_whichever_was_given(plain):
    given, *rest = ALL[plain]
    assert check_vjp(pool_rule(plain, ALL[plain]), X, given, edges=False).ok
    for wrong in rest:
        right = [v for v in ALL[plain] if v is not wrong]
        report = check_vjp(pool_rule(plain, right), X, given, edges=False, hints=False)
        assert report.verdict == "fail", wrong


def test_options_of_a_function_that_calls_rules_are_varied():
    right, wrong = (pool_rule(pool_enum, r) for r in (tuple(Pool), (Pool.SUM,)))

    def loss(op):
        return lambda x, pool, mean=True: jnp.sin(op(x, pool)) * (2 if mean else 3)

    assert check_vjp(loss(right), X, Pool.SUM, False, edges=False).ok
    report = check_vjp(loss(wrong), X, Pool.SUM, False, edges=False, hints=False)
    assert report.verdict == "fail"


def test_options_that_inputs_returns_are_varied():
    def draw(key, N, D):
        return jax.random.normal(key, (N, D)), Pool.SUM

    assert not check_vjp(pool_rule(pool_enum, (Pool.SUM,)), inputs=draw, hints=False)


def test_a_catalogue_rule_is_tried_at_options_that_no_case_has():
    def example(key, N, D):
        return (jax.random.normal(key, (N, D)),)

    def rule(right):
        op = pool_rule(pool_enum, right)
        case = Case({"N": 3, "D": 5}, (Pool.SUM,))
        return Rule(op, op.fwd, op.bwd, example, (case,), case, "test")

    assert check_vjp(rule(tuple(Pool))).ok
    assert not check_vjp(rule((Pool.SUM, Pool.MEAN)), hints=False)


def test_what_was_not_varied_is_said():
    def plain(x, power: int, pool: Literal["sum", "all"]):
        if pool == "all":
            raise NotImplementedError
        return (x**power).sum(0)

    def bwd(power, pool, x, dy):
        return (power * x ** (power - 1) * dy,)

    op = ruled(plain, lambda x, p, q: (plain(x, p, q), x), bwd, (1, 2))
    report = check_vjp(op, X, 2, "sum")
    assert report.ok, report.table()
    said = " / ".join(report.not_tested)
    assert "pool='all': " in said
    assert "power=3" in report.coverage.tried
    quick = check_vjp(op, X, 2, "sum", level="quick")
    assert "options: level quick" in " / ".join(quick.not_tested)


def weighted_along(x, w, axis: int):
    return jnp.moveaxis(jnp.moveaxis(x, axis, -1) * w, -1, axis)


@pytest.mark.parametrize("heeded", [True, False])
def test_an_axis_that_does_not_fit_is_tried_where_it_does(heeded):
    """Of a matrix of 3 rows and 5 columns, 5 weights go along the last one alone."""

    def bwd(axis, args, g):
        axis = axis if heeded else -1
        return jax.vjp(lambda x, w: weighted_along(x, w, axis), *args)[1](g)

    op = ruled(weighted_along, lambda x, w, a: (weighted_along(x, w, a), (x, w)), bwd)
    args = X * jnp.arange(1.0, 4.0)[:, None], jnp.arange(1.0, 1.0 + X.size)
    report = check_vjp(op, *args, -1, edges=False, hints=False)
    assert report.ok == heeded, report.table()
    assert "axis=0, sizes" in " ".join(report.coverage.tried)


@pytest.mark.parametrize("power", [1, 2])
def test_a_listed_value_is_tried_with_another_number(power):
    """With a temperature of 1 it does not matter what it is divided by."""

    def plain(x, temperature, hard: bool):
        return jnp.sin(x / temperature) if hard else jnp.cos(x / temperature)

    def bwd(temperature, hard, x, g):
        z = x / temperature
        if hard:
            return (jnp.cos(z) * g / temperature**power,)
        return (-jnp.sin(z) * g / temperature,)

    op = ruled(plain, lambda x, t, h: (plain(x, t, h), x), bwd, (1, 2))
    report = check_vjp(op, X, 1.0, False, edges=False, hints=False)
    assert report.ok == (power == 1), report.table()
    assert "hard=True, temperature=0.7" in report.coverage.tried


def test_more_options_than_a_level_takes_are_named():
    Many = Enum("Many", [f"M{i}" for i in range(9)])

    def plain(x, way: Many):
        return x * way.value

    def bwd(way, residuals, dy):
        return (way.value * dy,)

    op = ruled(plain, lambda x, w: (plain(x, w), None), bwd, (1,))
    said = " / ".join(check_vjp(op, X, Many.M0, edges=False).not_tested)
    assert "level standard takes: way=Many.M7; way=Many.M8" in said


@pytest.mark.parametrize("xp", [pytest.param(np, marks=pytest.mark.more), jnp])
@pytest.mark.parametrize("extra", [(), (None,)])
def test_options_of_a_pair_are_static(xp, extra):
    """They have no gradient: bwd may return None for them, or leave them out."""

    def forward(x, pool):
        scale = 1 / x.size if pool is Pool.MEAN else 1.0
        return xp.sin(x).sum() * scale, (x, scale)

    def backward(residuals, dy):
        x, scale = residuals
        return (xp.cos(x) * dy * scale, *extra)

    def forgets(residuals, dy):
        return (xp.cos(residuals[0]) * dy, *extra)

    for pool in (Pool.MEAN, Pool.SUM):  # the other one is tried as well
        assert check_vjp((forward, backward), X, pool, edges=False).ok
        wrong = check_vjp((forward, forgets), X, pool, edges=False, hints=False)
        assert wrong.verdict == "fail"


def in_blocks(slip):
    """Sums of blocks, which the backward takes to be of the size that was kept."""

    def plain(x, kept, size):
        blocks = jnp.pad(x, (0, -len(x) % size)).reshape(-1, size)
        return blocks.sum(1) * jnp.arange(1, len(blocks) + 1)

    def bwd(kept, size, x, dy):
        size = kept if slip else size
        rows = jnp.arange(len(x)) // size
        return ((dy * jnp.arange(1, len(dy) + 1))[rows],)

    return ruled(plain, lambda x, *sizes: (plain(x, *sizes), x), bwd, (1, 2))


@pytest.mark.parametrize("slip", [False, True])
def test_integers_that_are_equal_are_changed_apart(slip):
    report = check_vjp(in_blocks(slip), jnp.arange(1.0, 13.0), 4, 4, hints=False)
    assert "kept=3, size=3" in report.coverage.tried
    assert "size=3" in report.coverage.tried
    assert report.ok is not slip, report.table()


def gated(slip):
    """x times a gain, and times a gate if there is one."""

    def plain(x, gain, gate):
        return gain * x if gate is None else gain * x * gate

    def bwd(residuals, dy):
        x, gain, gate = residuals
        if gate is None:
            return dy if slip else dy * gain, (dy * x).sum(0), None
        return dy * gain * gate, (dy * x * gate).sum(0), dy * gain * x

    return ruled(plain, lambda *args: (plain(*args), args), bwd, ())


@pytest.mark.parametrize("slip", [False, True])
def test_an_array_that_may_be_none_is_left_out(slip):
    report = check_vjp(gated(slip), *inputs(), inputs()[0])
    assert "gate=None" in report.coverage.tried
    assert report.ok is not slip, report.table()
    assert not slip or report.hints[0].verified


@pytest.mark.parametrize("slip", [False, True])
def test_an_array_is_given_for_none(slip):
    """Its own gradient is let alone, as the rule may take it for a constant."""

    def plain(x, weights=None):
        return x**2 if weights is None else x**2 * (weights @ jnp.ones(5))

    def bwd(residuals, dy):
        x, weights = residuals
        if weights is None or slip:
            return 2 * dy * x, None if weights is None else 0 * weights
        return 2 * dy * x * weights.sum(), 0 * weights

    op = ruled(plain, lambda *args: (plain(*args), args), bwd, ())
    report = check_vjp(op, X, None, hints=False)
    assert "weights of shape (5,)" in report.coverage.tried
    assert report.ok is not slip, report.table()


@pytest.mark.parametrize("slip", [False, True])
@pytest.mark.parametrize("high", [None, 0.4])
def test_a_bound_in_a_container_may_be_none(high, slip):
    def above(x, bounds):
        absent = bounds["high"] is None
        return jnp.zeros(x.shape, bool) if absent else x > bounds["high"]

    def plain(x, bounds):
        bound = 0 if bounds["high"] is None else bounds["high"]
        return jnp.where(above(x, bounds), bound, x)

    def bwd(residuals, dy):
        x, bounds = residuals
        over, none = above(x, bounds), bounds["high"] is None
        dhigh = None if none else jnp.where(over, dy, 0).sum(0)
        other = slip and none != (high is None)
        return (2 * dy if other else jnp.where(over, 0, dy)), {"high": dhigh}

    bounds = {"high": None if high is None else np.full(5, high, np.float32)}
    op = ruled(plain, lambda *args: (plain(*args), args), bwd, ())
    report = check_vjp(op, np.stack([X, -X]), bounds, hints=False)
    tried = "bounds['high'] of shape (5,)" if high is None else "bounds['high']=None"
    assert tried in report.coverage.tried
    assert report.ok is not slip, report.table()


@pytest.mark.parametrize("slip", [False, True])
def test_fractions_that_NumPy_reads_are_changed_in_and_out_of_proportion(slip):
    """Frequencies on a grid, those beyond a bound left out."""

    def kept(n, length, spacing):
        return np.float32(np.fft.rfftfreq(n, spacing) < 0.5 / length)

    def plain(x, length, spacing):
        return jnp.fft.rfft(x).real * kept(len(x), length, spacing) * length * spacing

    def bwd(length, spacing, x, dy):
        some = kept(len(x), length, 1.0 if slip else spacing) * length * spacing
        return jax.vjp(lambda x: jnp.fft.rfft(x).real, x)[1](dy * some)

    op = ruled(plain, lambda x, *a: (plain(x, *a), x), bwd, (1, 2))
    report = check_vjp(op, X, 1.0, 1.0, edges=False, hints=False)
    assert "spacing=0.7" in report.coverage.tried
    assert report.ok is not slip, report.table()


@pytest.mark.parametrize("slip", [False, True])
def test_a_label_that_an_option_sets_apart_moves_with_it(slip):
    """-100 is of no class: it stays ignored, or it is a label that does not exist."""

    def plain(logits, labels, ignored):
        return fwd(logits, labels, ignored)[0]

    def fwd(logits, labels, ignored):
        counts = labels != ignored
        hits = jax.nn.one_hot(jnp.where(counts, labels, 0), logits.shape[1])
        logp = jax.nn.log_softmax(logits)
        return -jnp.where(counts, (hits * logp).sum(1), 0).sum(), (logp, hits, labels)

    def bwd(ignored, res, g):
        logp, hits, labels = res
        counts = labels != (-100 if slip else ignored)
        return g * jnp.where(counts[:, None], jnp.exp(logp) - hits, 0), None

    logits = np.random.default_rng(0).normal(size=(5, 7)).astype(np.float32)
    labels = jnp.array([1, 0, -100, 6, 3])
    op = ruled(plain, fwd, bwd, (2,))
    report = check_vjp(op, logits, labels, -100, edges=False, hints=False)
    assert report.ok == (not slip), report.table()


def test_a_string_that_a_library_alone_knows_is_not_tried():
    """jnp.pad knows more modes than the backward has cases for."""

    def plain(x, mode):
        return jnp.pad(x, (2, 2), mode=mode)

    def bwd(mode, _, g):
        left, dx, right = g[:2], g[2:-2], g[-2:]
        if mode == "wrap":
            return (dx.at[-2:].add(left).at[:2].add(right),)
        return (dx.at[0].add(left.sum()).at[-1].add(right.sum()),)

    op = ruled(plain, lambda x, mode: (plain(x, mode), None), bwd, (1,))
    x = np.random.default_rng(0).normal(size=6).astype(np.float32)
    report = check_vjp(op, x, "edge", edges=False, hints=False)
    assert report.ok, report.table()
    assert "mode='wrap'" in str(report)


@pytest.mark.parametrize("heeded", [True, False])
def test_an_axis_that_the_rule_takes_at_no_sizes_given_is_tried_at_others(heeded):
    """The cotangent of a sum over axis 0 of 4 by 5 fits no last axis of 4."""

    def plain(x, axis):
        return jnp.sqrt((x * x).sum(axis))

    def bwd(axis, res, g):
        x, y = res
        return (x * jnp.expand_dims(g / y, axis if heeded else -1),)

    op = ruled(plain, lambda x, axis: (plain(x, axis), (x, plain(x, axis))), bwd, (1,))
    x = np.random.default_rng(0).normal(size=(4, 5)).astype(np.float32)
    report = check_vjp(op, x, -1, edges=False, hints=False)
    assert report.ok == heeded, report.table()


@pytest.mark.parametrize("slip", [False, True])
def test_each_number_that_the_forward_has_a_case_of_its_own_for(slip):
    """An exponent of 2, and of 0, compared as integers with what was given as 1.5."""

    def plain(x, power):
        if power == 2:
            return x * x / 2
        if power == 0:
            return jnp.log1p(x * x)
        return jnp.abs(x) ** power

    def bwd(power, x, g):
        if power == 2:
            return (g * x,)
        if power == 0:
            return (g * x if slip else g * 2 * x / (1 + x * x),)
        return (g * power * jnp.abs(x) ** (power - 1) * jnp.sign(x),)

    op = ruled(plain, lambda x, power: (plain(x, power), x), bwd, (1,))
    x = np.random.default_rng(0).normal(size=6).astype(np.float32)
    report = check_vjp(op, x, 1.5, hints=False)
    assert report.ok == (not slip), report.table()
    assert "power=2.0; power=0.0" in str(report)

"""What may be checked: every form of a rule, and one clear sentence for bad use."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxninja import Case, Rule, check_vjp
from jaxninja.check.subject.adapters import Normalised
from jaxninja.rules import manual
from tests.check.subjects import (
    codes,
    inputs,
    norm,
    norm_bwd,
    norm_fwd,
    relu_rule,
    ruled,
)

X, GAIN = inputs()


def numpy_norm(x, gain):
    r = 1 / np.sqrt((x * x).mean(-1, keepdims=True) + 1e-3)
    return gain * x * r, (x, r, gain)


def numpy_bwd(res, dy):
    return norm_bwd(0, res, dy)


def numpy_wrong(res, dy):
    dx, dgain = norm_bwd(0, res, dy)
    return dx + 1e-4 * dy, dgain


@pytest.mark.parametrize("reference", [None, norm], ids=["differences", "reference"])
def test_a_numpy_pair(reference):
    good = check_vjp((numpy_norm, numpy_bwd), X, GAIN, reference=reference)
    assert good.ok, good.table()
    assert any("no jaxpr" in text for text in good.not_tested)
    bad = check_vjp((numpy_norm, numpy_wrong), X, GAIN, reference=reference)
    assert [leaf.verdict for leaf in bad.leaves] == ["fail", "ok"]


def test_a_numpy_backward_that_works_in_place():
    def backward(res, dy):
        dy *= 2
        return numpy_bwd(res, dy / 2)

    assert "E-MUTATES" in codes(check_vjp((numpy_norm, backward), X, GAIN))


def test_a_pair_of_jax_functions():
    def forward(x, gain):
        return norm_fwd(x, gain, 1e-3)

    report = check_vjp((forward, lambda res, dy: norm_bwd(0, res, dy)), X, GAIN)
    assert report.ok, report.table()


def test_a_function_that_calls_rules():
    def loss(x, W, labels):
        return manual.cross_entropy(manual.tanh(x) @ W, labels)

    args = (X, jnp.ones((5, 4)) * GAIN[:4], jnp.array([0, 2, 1]))
    for f in (loss, jax.jit(loss)):
        report = check_vjp(f, *args, level="quick")
        assert report.ok, report.table()
        assert report.where is not None
        assert report.where.startswith("test_adapters.py")


@pytest.mark.more
def test_a_function_that_calls_a_wrong_rule():
    wrong = ruled(bwd=lambda eps, res, dy: (norm_bwd(eps, res, dy)[0] / 2, dy.sum(0)))
    report = check_vjp(lambda x: jnp.sin(wrong(x, GAIN, 1e-3)), X)
    assert report.verdict == "fail"


def test_a_jitted_rule_is_the_rule():
    assert check_vjp(jax.jit(manual.tanh), X, level="quick").ok


@pytest.mark.more
def test_a_rule_and_its_wrong_copy():
    def example(key, N, D):
        k = jax.random.split(key)
        return jax.random.normal(k[0], (N, D)), 1 + jax.random.uniform(k[1], (D,))

    def rule(bwd):
        case = Case({"N": 3, "D": 5}, (1e-3,))
        return Rule(ruled(bwd=bwd), norm_fwd, bwd, example, (case,), case, "test")

    assert check_vjp(rule(norm_bwd)).ok
    assert not check_vjp(rule(lambda eps, res, dy: (dy, dy.sum(0)))).ok


def test_inputs_vary_shapes_and_values():
    seen = set()

    def draw(key, N, D):
        seen.add((N, D))
        k = jax.random.split(key)
        gain = 1 + jax.random.uniform(k[1], (D,))
        return jax.random.normal(k[0], (N, D)), gain, 1e-3

    report = check_vjp(ruled(), inputs=draw)
    assert report.ok, report.table()
    assert len(seen) >= 3
    assert any(n == 1 for n, _ in seen)
    assert any(n == d for n, d in seen)


# what is wrong -> (call, words of the sentence)
def _not_callable():
    check_vjp(3, X)


class TorchFunction(type("Function", (), {"__module__": "torch.autograd.function"})):
    @classmethod
    def apply(cls, x):
        raise AssertionError


def _torch():
    check_vjp(TorchFunction.apply, X)


def _no_arguments():
    check_vjp(lambda x: manual.tanh(x))


def _unknown_name():
    check_vjp(ruled(), X, GAIN, nondiff=("gian",))


def _bad_level():
    check_vjp(ruled(), X, GAIN, level="thorough")


def _bad_kink():
    check_vjp(ruled(), X, GAIN, kink="smooth")


def _too_many_arguments():
    check_vjp(ruled(), X, GAIN, 1e-3, 5)


def _bad_reference():
    check_vjp(ruled(), X, GAIN, reference=3)


def _reference_of_others():
    check_vjp(ruled(), X, GAIN, reference=lambda x, y: x)


def _array_for_pair():
    check_vjp((lambda x: jnp.sin(x), lambda x, dy: (dy,)), X)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (_not_callable, "carries no backward pass"),
        (_torch, "PyTorch's Function a pair"),
        (_no_arguments, "without example arguments"),
        (_unknown_name, "'gian' is declared"),
        (_bad_level, "quick or standard or full"),
        (_bad_kink, "expected any-subgradient or jax"),
        (_too_many_arguments, "4 arguments for norm"),
        (_bad_reference, "reference is int"),
        (_reference_of_others, r"reference takes \(x, y\).* norm"),
        (_array_for_pair, r"\(y, residuals\).* one array"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_bad_calls_are_refused_in_a_sentence(call, says):
    with pytest.raises((TypeError, ValueError), match=says):
        call()


def _integers():
    op = ruled(lambda i: i + 1, lambda i: (i + 1, None), lambda res, dy: (None,), ())
    return check_vjp(op, jnp.arange(3))


def _no_rule():
    return check_vjp(lambda x: jnp.sin(x), X)


def _no_defvjp():
    return check_vjp(jax.custom_vjp(jnp.sin), X)


def _no_floats_come_out():
    def best(x):
        return jnp.argmax(x)

    op = ruled(best, lambda x: (best(x), x), lambda x, dy: (0 * x,), ())
    return check_vjp(op, X)


def _no_entries():
    return check_vjp(ruled(), X[:0], GAIN)


def _not_a_number():
    return check_vjp(ruled(), X.at[1, 1].set(jnp.nan), GAIN)


def _few_parameters():
    return check_vjp(ruled(bwd=lambda residuals, dy: (dy, dy)), X, GAIN, 1e-3)


def _other_tree():
    return check_vjp(ruled(), X, GAIN, reference=lambda x, g, eps: (x, x))


def _other_shape():
    return check_vjp(ruled(), X, GAIN, reference=lambda x, g, eps: x.sum())


def _casts_down():
    def plain(x):
        return (x.astype(jnp.bfloat16) ** 2).astype(x.dtype)

    def fwd(x):
        return plain(x), x.astype(jnp.bfloat16).astype(x.dtype)

    op = ruled(plain, fwd, lambda x, dy: (2 * x * dy,), ())
    return check_vjp(op, X)


def _python_if():
    def bwd(x, dy):
        return (dy if x.sum() > 0 else -dy,)

    op = ruled(lambda x: jnp.abs(x.sum()) * x, lambda x: (x, x), bwd, ())
    return check_vjp(op, X)


def _raises():
    def bwd(x, dy):
        raise KeyError("mine")

    return check_vjp(ruled(jnp.sin, lambda x: (jnp.sin(x), x), bwd, ()), X)


def _numpy_inside():
    def bwd(x, dy):
        return (jnp.asarray(np.cos(x)) * dy,)

    return check_vjp(ruled(jnp.sin, lambda x: (jnp.sin(x), x), bwd, ()), X)


@pytest.mark.parametrize(
    ("check", "verdict", "says"),
    [
        (_integers, "not tested", "no argument holds floats (i is int32)"),
        (_no_rule, "not tested", "N-NORULE: "),
        (_no_defvjp, "not tested", "N-NORULE: sin "),
        (_no_floats_come_out, "not tested", "best returns no floats"),
        (_no_entries, "not tested", "it has no entries"),
        (_not_a_number, "not tested", "x holds NaN"),
        (_few_parameters, "fail", "(eps, residuals, dy)"),
        (_other_tree, "fail", "returns (*, *)"),
        (_other_shape, "fail", "the reference returns"),
        (_casts_down, "not tested", "casts down inside"),
        (_python_if, "fail", "Python control flow"),
        (_raises, "fail", "raised KeyError"),
        (_numpy_inside, "fail", "NumPy array"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_bad_rules_are_told_and_never_passed(check, verdict, says):
    report = check()
    assert report.verdict == verdict, report.table()
    assert says in report.table()


@pytest.mark.more
def test_intent_is_declared():
    def plain(x):
        return jnp.round(x)

    step = ruled(plain, lambda x: (jnp.round(x), None), lambda r, dy: (dy,), ())
    x = X + 0.1
    assert check_vjp(step, x, surrogate=lambda args, dy: (dy,)).ok
    assert not check_vjp(step, x, surrogate=lambda args, dy: (2 * dy,)).ok
    assert check_vjp(step, x).verdict == "fail"


@pytest.mark.more
def test_clipping_is_linear_where_it_does_not_act():
    def bwd(x, dy):
        return (jnp.cos(x) * jnp.clip(dy, -1, 1),)

    op = ruled(jnp.sin, lambda x: (jnp.sin(x), x), bwd, ())
    assert codes(check_vjp(op, X)) >= {"E-SCALE"}
    assert check_vjp(op, X, linear=False).ok


def test_nothing_but_zeros_is_not_tested():
    def plain(x):
        return jnp.sign(x)

    op = ruled(plain, lambda x: (plain(x), x), lambda x, dy: (0 * dy,), ())
    assert check_vjp(op, X, zero=("x",)).verdict == "not tested"
    assert check_vjp(op, X).verdict == "not tested"


@pytest.mark.more
def test_kinks_by_convention():
    other = relu_rule(1.0)
    assert "W-KINK" in codes(check_vjp(other, X))
    assert check_vjp(other, X).ok
    assert not check_vjp(other, X, kink="jax").ok


def test_what_is_compiled_for_some_options_serves_equal_ones():
    """A dictionary has no hash: it is equal to itself only."""

    def scaled(x, options):
        return options["by"] * x

    op = jax.custom_vjp(scaled, nondiff_argnums=(1,))
    op.defvjp(lambda x, o: (scaled(x, o), None), lambda o, _, dy: (o["by"] * dy,))
    normal, twice = Normalised(op), {"by": 2.0}
    (first, arrays), (again, _) = normal((X, twice)), normal((X, twice))
    assert (first, first.plain) == (again, again.plain)
    assert len({first, again}) == 1
    assert normal((X, {"by": 2.0}))[0] != first
    assert len(arrays) == 1
    np.testing.assert_array_equal(again.plain(X), 2 * X)

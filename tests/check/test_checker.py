"""Each check catches the mistake it is there for, and alarms on no correct rule."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxninja.check import VJPCheckError, assert_vjp, check_vjp
from tests.check.subjects import (
    codes,
    inputs,
    norm,
    norm_bwd,
    norm_fwd,
    relu_rule,
    ruled,
)

RIGHT = ruled()  # one object: what is compiled for it serves all


def bwd_with(change):
    """The correct backward, its result changed."""

    def bwd(eps, res, dy):
        return change(*norm_bwd(eps, res, dy), dy, res)

    return bwd


def cotangent_with(change):
    """The correct backward on a changed cotangent."""

    def bwd(eps, res, dy):
        return norm_bwd(eps, res, change(dy))

    return bwd


# name: (backward, code of a finding that must be there or None, wrong leaves)
MUTANTS = {
    "sign": (bwd_with(lambda a, b, g, r: (-a, b)), None, {"x"}),
    "factor": (bwd_with(lambda a, b, g, r: (a, b * 1.0001)), None, {"gain"}),
    "zero": (bwd_with(lambda a, b, g, r: (a * 0, b)), None, {"x"}),
    "one entry": (bwd_with(lambda a, b, g, r: (a.at[1, 2].set(0), b)), None, {"x"}),
    "nan": (bwd_with(lambda a, b, g, r: (a * jnp.nan, b)), None, {"x"}),
    "none": (bwd_with(lambda a, b, g, r: (a, None)), "E-ZERO", {"gain"}),
    "path dropped": (
        bwd_with(lambda a, b, g, r: (r[1] * r[2] * g, b)), None, {"x"}
    ),
    "ignores dy": (cotangent_with(jnp.ones_like), "E-ZEROCOT", {"x", "gain"}),
    "absolute dy": (cotangent_with(jnp.abs), "E-ODD", {"x", "gain"}),
    "squared dy": (cotangent_with(jnp.square), "E-ODD", {"x", "gain"}),
    "cubed dy": (cotangent_with(lambda g: g**3), "E-SCALE", {"x", "gain"}),
    "clipped dy": (
        cotangent_with(lambda g: jnp.clip(g, -1, 1)), "E-SCALE", {"x", "gain"}
    ),
    "normalised dy": (
        cotangent_with(lambda g: g / jnp.abs(g).max()), None, {"x", "gain"}
    ),
    "affine": (bwd_with(lambda a, b, g, r: (a + r[0], b)), "E-ZEROCOT", {"x"}),
    "first dy for all": (
        cotangent_with(lambda g: jnp.full_like(g, g[0, 0])), None, {"x", "gain"}
    ),
    "dtype": (
        bwd_with(lambda a, b, g, r: (a.astype(jnp.bfloat16), b)), "E-DTYPE", {"x"}
    ),
    "integers": (
        bwd_with(lambda a, b, g, r: (a, b.astype(jnp.int32))), "E-DTYPE", {"gain"}
    ),
    "shape": (
        bwd_with(lambda a, b, g, r: (a, g * r[0] * r[1])), "E-SHAPE", set()
    ),
    "count": (bwd_with(lambda a, b, g, r: (a,)), "E-COUNT", set()),
    "no tuple": (bwd_with(lambda a, b, g, r: a), "E-TUPLE", set()),
    "container": (bwd_with(lambda a, b, g, r: ((a, a), b)), "E-TREE", set()),
    "raises": (bwd_with(lambda a, b, g, r: 1 / 0), "E-RAISE", set()),
    "control flow": (
        bwd_with(lambda a, b, g, r: (a, b) if g.sum() > 0 else (b, a)),
        "E-CONTROL",
        set(),
    ),
    "numpy inside": (
        bwd_with(lambda a, b, g, r: (np.asarray(a), b)), "E-NUMPY", set()
    ),
}  # fmt: skip


def check(op, *more, level="quick", **options):
    return check_vjp(op, *inputs(), *more, level=level, hints=False, **options)


@pytest.mark.parametrize("name", MUTANTS)
def test_a_broken_backward_is_caught_by_name_and_leaf(name):
    bwd, code, leaves = MUTANTS[name]
    report = check(ruled(bwd=bwd))
    assert report.verdict == "fail"
    assert {leaf.name for leaf in report.leaves if leaf.verdict == "fail"} >= leaves
    assert code is None or code in codes(report)
    with pytest.raises(VJPCheckError):
        report.raise_if_failed()


@pytest.mark.parametrize("level", ["quick", "standard", "full"])
def test_the_correct_rule_passes_every_level(level):
    report = check(RIGHT, level=level)
    assert report.ok, report.table()
    assert not [f for f in report.findings if f.severity == "error"]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("scale", [1e-2, 1.0, 1e2])
def test_the_correct_rule_passes_at_seeds_and_scales(seed, scale):
    x, gain = inputs()
    dtypes = ("float32", "bfloat16")
    report = check_vjp(RIGHT, scale * x, gain, level="quick", seed=seed, dtypes=dtypes)
    assert report.ok, report.table()


def test_a_forward_that_differs_from_the_plain_one():
    def fwd(x, gain, eps):
        y, res = norm_fwd(x, gain, eps)
        return -y, res

    assert "E-FWD" in codes(check(ruled(fwd=fwd)))
    assert "E-FWD" not in codes(check(RIGHT))


def test_all_gradients_that_bwd_leaves_out_are_named_in_their_order():
    found = check(ruled(bwd=lambda eps, res, dy: (None, None))).findings
    (sentence,) = (f.sentence for f in found if f.code == "E-ZERO")
    assert sentence.endswith("nondiff=('x', 'gain')")


def test_a_forward_of_another_structure():
    def fwd(x, gain, eps):
        y, res = norm_fwd(x, gain, eps)
        return (y, y), res

    assert "E-FWDSTRUCT" in codes(check(ruled(fwd=fwd)))


def test_one_array_for_a_whole_tree():
    def plain(p):
        return p["a"] * p["b"]

    def fwd(p):
        return plain(p), p

    bad = ruled(plain, fwd, lambda p, g: (g * p["b"],), ())
    good = ruled(plain, fwd, lambda p, g: ({"a": g * p["b"], "b": g * p["a"]},), ())
    p = {"a": jnp.arange(1.0, 4), "b": jnp.array([2.0, -1, 0.5])}
    assert "E-PREFIX" in codes(check_vjp(bad, p, level="quick"))
    report = check_vjp(good, p, level="quick")
    assert report.ok
    assert [leaf.name for leaf in report.leaves] == ["p['a']", "p['b']"]


def test_arguments_of_bwd_in_another_order():
    def plain(x, n):
        return x**n

    def fwd(x, n):
        return plain(x, n), x

    wrong = ruled(plain, fwd, lambda res, n, g: (g * n * res ** (n - 1),), (1,))
    right = ruled(plain, fwd, lambda n, res, g: (g * n * res ** (n - 1),), (1,))
    x = jnp.array([1.5, 2.0, 0.7])
    report = check_vjp(wrong, x, 3, level="quick", hints=False)
    found = [f.sentence for f in report.findings if f.code == "E-ROLES"]
    assert found
    assert "(residuals, n, dy)" in found[0]
    assert check_vjp(right, x, 3, level="quick").ok


def test_no_order_of_a_rule_that_is_right_somewhere():
    """Wrong at 0 alone, where a backward that takes its arguments otherwise is right,
    for there is no gradient."""

    def plain(x, low, high):
        return jnp.clip(x * x, low, high)

    def bwd(low, high, x, g):
        inside = (x * x > low) & (x * x < high)
        return (jnp.where(inside, 2 * x * g, jnp.where(x == 0, g, 0)),)

    op = ruled(plain, lambda x, low, high: (plain(x, low, high), x), bwd, (1, 2))
    report = check_vjp(op, jnp.array([1.5, 0.3, 0.7]), 0.0, 1.0, hints=False)
    assert report.verdict == "fail"
    assert "E-ROLES" not in codes(report), report.table()


def test_the_inner_rule_of_the_reference_does_not_hide_the_bug():
    """The plain forward calls a function whose own rule is wrong in the same way."""

    @jax.custom_vjp
    def sine(x):
        return jnp.sin(x)

    sine.defvjp(lambda x: (jnp.sin(x), x), lambda x, g: (2 * g * jnp.cos(x),))

    def plain(x):
        return jax.jit(sine)(x) + jax.lax.map(sine, x)

    def fwd(x):
        return 2 * jnp.sin(x), x

    wrong = ruled(plain, fwd, lambda x, g: (4 * g * jnp.cos(x),), ())
    right = ruled(plain, fwd, lambda x, g: (2 * g * jnp.cos(x),), ())
    x = jnp.array([0.3, -1.2])
    assert check_vjp(wrong, x, level="quick").verdict == "fail"
    assert check_vjp(right, x, level="quick").ok


def test_a_wrong_value_at_a_tie_is_no_other_convention():
    x = jnp.array([0.5, -0.3, 1.2, -2.0])
    for slope, verdict, code in ((0.5, "ok", None), (1.0, "ok", "W-KINK")):
        report = check_vjp(relu_rule(slope), x, hints=False)
        assert report.verdict == verdict, report.table()
        assert code is None or code in codes(report)
    assert check_vjp(relu_rule(1.5), x, hints=False).verdict == "fail"
    strict = check_vjp(relu_rule(1.0), x, hints=False, kink="jax")
    assert strict.verdict == "fail"


def test_a_residual_under_stop_gradient_breaks_second_derivatives():
    def fwd(x):
        return jnp.sin(x), jax.lax.stop_gradient(jnp.cos(x))

    op = ruled(jnp.sin, fwd, lambda c, g: (c * g,), ())
    x = jnp.array([0.3, -1.2])
    assert "E-SECOND" in codes(check_vjp(op, x))
    assert check_vjp(op, x, higher_order=False).ok


def test_fwd_that_calls_the_decorated_function_is_told():
    op = ruled(norm, lambda x, g, e: (op(x, g, e), norm_fwd(x, g, e)[1]))
    report = check(op, level="standard")
    assert report.ok
    assert "W-FWDSELF" in codes(report)


def test_what_is_random_in_the_rule_is_told():
    rng = np.random.default_rng(5)

    def bwd(eps, res, dy):
        dx, dgain = norm_bwd(eps, res, dy)
        return dx + 1e-14 * rng.random(), dgain

    assert "E-NONDET" in codes(check(ruled(bwd=bwd), level="standard"))


def test_overflow_where_autodiff_is_finite():
    def softplus(x):
        return jnp.logaddexp(x, 0.0)

    def fwd(x):
        return softplus(x), x

    wrong = ruled(softplus, fwd, lambda x, g: (g * jnp.exp(x) / (1 + jnp.exp(x)),), ())
    right = ruled(softplus, fwd, lambda x, g: (g * jax.nn.sigmoid(x),), ())
    x = jnp.array([0.3, -1.2, 2.0])
    report = check_vjp(wrong, x, hints=False)
    assert report.verdict == "fail"
    assert "not finite" in report.leaves[0].note
    assert check_vjp(right, x).ok


def test_low_precision_accumulation_is_seen_in_the_run_dtype():
    def plain(x):
        return (x * x).sum(0)

    def fwd(x):
        return plain(x), x

    def low(x, g):
        return ((2 * x).astype(jnp.bfloat16).astype(x.dtype) * g,)

    x = inputs(37, 3)[0]
    op = ruled(plain, fwd, low, ())
    report = check_vjp(op, x, level="quick", hints=False)
    assert report.verdict == "fail"
    assert report.leaves[0].dtype == "float32"


def test_assert_vjp_raises_the_table():
    bwd = MUTANTS["sign"][0]
    with pytest.raises(VJPCheckError, match=r"norm +FAIL +1 of 2 gradients"):
        assert_vjp(ruled(bwd=bwd), *inputs(), level="quick", hints=False)
    assert_vjp(RIGHT, *inputs(), level="quick")


@pytest.mark.parametrize(
    ("bwd", "code"),
    [
        (lambda x, dy: (jnp.where(x == 0, 0.0, 2 * x) * dy + (x == 0) * dy,), "edge"),
        (lambda x, dy: (2 * x * x / x * dy,), "not finite"),
    ],
    ids=["a value", "0 / 0"],
)
def test_wrong_at_zero_only(bwd, code):
    op = ruled(lambda x: x * x, lambda x: (x * x, x), bwd, ())
    report = check_vjp(op, inputs()[0])
    assert report.verdict == "fail"
    assert report.hints[0].statement.code == code


def test_what_a_mask_hides_may_be_anything():
    """Rows that a mask drops hold -inf: 0 times NaN is not 0."""

    def plain(x):
        return jnp.exp(jnp.where(jnp.arange(x.shape[0])[:, None] > 0, x, 0))

    def bwd(x, dy):
        return (jnp.exp(x) * (x - x + 1) * dy * (jnp.arange(len(x))[:, None] > 0),)

    op = ruled(plain, lambda x: (plain(x), x), bwd, ())
    report = check_vjp(op, inputs()[0])
    assert report.verdict == "fail"
    statement = report.hints[0].statement
    assert (statement.code, statement["why"]) == (
        "not finite",
        "infinity minus infinity",
    )

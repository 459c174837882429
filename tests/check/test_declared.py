"""What the user declares: surrogates, zeros, clipped cotangents."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxninja import check_vjp
from tests.check.subjects import codes, ruled


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


@pytest.mark.parametrize(("factor", "verdict"), [(1.0, "ok"), (1.01, "fail")])
def test_random_numbers_of_a_surrogate_have_the_dtype_of_the_rule(factor, verdict):
    def noise(x, key):
        return jax.random.normal(key, x.shape, x.dtype)

    op = ruled(
        lambda x, key: x * noise(x, key),
        lambda x, key: (x * noise(x, key), noise(x, key)),
        lambda n, dy: (factor * dy * n, None),
        (),
    )
    x, key = normal(4), jax.random.key(0)
    declared = {"surrogate": lambda a, g: (g * noise(*a), None), "hints": False}
    report = check_vjp(op, x, key, **declared)
    assert report.verdict == verdict, report.table()


def to_eight_bits(x, scale):
    return (x / scale).astype(jnp.float8_e4m3fn).astype(x.dtype) * scale


@pytest.mark.parametrize("linear", [True, False])
def test_a_scale_whose_next_value_stands_in_for_its_gradient(linear):
    def next_scale(x):
        return jnp.abs(x).max() / 448

    def rule(times):
        def bwd(new, dy):
            return dy, times * new

        return ruled(
            to_eight_bits, lambda x, s: (to_eight_bits(x, s), next_scale(x)), bwd, ()
        )

    declared = {"surrogate": lambda a, g: (g, next_scale(a[0])), "linear": linear}
    declared |= {"hints": False}
    args = normal(5), np.float32(0.01)
    report = check_vjp(rule(1), *args, **declared)
    assert report.ok, report.table()
    assert not codes(report) & {"E-ZEROCOT", "N-CAST"}
    assert check_vjp(rule(2), *args, **declared).verdict == "fail"


@pytest.mark.parametrize("factor", [0.0, 0.1])
def test_a_surrogate_that_returns_zeros_declares_them(factor):
    op = ruled(
        to_eight_bits, lambda x, s: (to_eight_bits(x, s), s),
        lambda s, dy: (dy, factor * s), (),
    )  # fmt: skip
    declared = {"surrogate": lambda a, g: (g, jnp.zeros_like(a[1])), "hints": False}
    report = check_vjp(op, normal(5), np.float32(0.01), edges=False, **declared)
    assert report.ok == (factor == 0), report.table()


@pytest.mark.parametrize(("strength", "verdict"), [(0.5, "ok"), (0.4, "fail")])
def test_a_declared_gradient_sees_the_static_options(strength, verdict):
    """Gradient reversal, whose strength is no array."""
    op = ruled(
        lambda x, s: 1.0 * x, lambda x, s: (1.0 * x, None),
        lambda s, _, dy: (-strength / 0.5 * s * dy,), (1,),
    )  # fmt: skip
    declared = {"surrogate": lambda a, g: (-a[1] * g,), "hints": False}
    report = check_vjp(op, normal(3), 0.5, **declared)
    assert report.verdict == verdict, report.table()


@pytest.mark.parametrize(("times", "verdict"), [(1, "ok"), (2, "fail")])
def test_sizes_that_the_surrogate_does_not_take_are_left_out(times, verdict):
    """jnp.gradient refuses an axis of one entry, the rule's differences do not."""

    def slope(x):
        ends = jnp.pad(x, 1, mode="edge")
        width = jnp.full(len(x), 2).at[jnp.array([0, -1])].set(1)
        return (ends[2:] - ends[:-2]) / width

    op = ruled(
        lambda x: jnp.round(x), lambda x: (jnp.round(x), x),
        lambda x, dy: (times * dy * slope(x),), (),
    )  # fmt: skip
    declared = {"surrogate": lambda a, g: (g * jnp.gradient(a[0]),), "hints": False}
    report = check_vjp(op, normal(5), **declared)
    assert report.verdict == verdict, report.table()
    assert "sizes 5->1: the surrogate raised ValueError" in report.table()


def test_a_law_that_the_declared_gradient_keeps_is_asked_of_the_rule():
    op = ruled(jnp.sign, lambda x: (jnp.sign(x), x), lambda x, dy: (dy + x,), ())
    report = check_vjp(op, normal(3), surrogate=lambda a, g: (g,), hints=False)
    assert "E-ZEROCOT" in codes(report)


def converging(factor):
    """A square root from a guess, whose gradient is 1e-86 and of no account."""

    def plain(a, guess):
        return jax.lax.fori_loop(0, 8, lambda _, y: (y + a / y) / 2, guess)

    def bwd(y, dy):
        return dy / (2 * y), factor * dy

    return ruled(plain, lambda a, g: (plain(a, g),) * 2, bwd, ())


def test_a_gradient_that_an_iteration_has_all_but_forgotten_is_zero():
    args = np.array([2.0, 3.0], np.float32), np.array([1.5, 2.0], np.float32)
    declared = {"zero": "guess", "edges": False, "hints": False}
    report = check_vjp(converging(0.0), *args, **declared)
    assert report.ok, report.table()
    assert check_vjp(converging(0.01), *args, **declared).verdict == "fail"


def test_a_gradient_that_is_not_zero_cannot_be_declared_so():
    op = ruled(
        lambda x, w: x + 1e-3 * w, lambda x, w: (x + 1e-3 * w, w),
        lambda w, dy: (dy, 0 * dy), (),
    )  # fmt: skip
    assert check_vjp(op, normal(3), normal(3), zero="w", hints=False).verdict == "fail"


def clipped(scale=1.0):
    return ruled(
        lambda lo, hi, x: x,
        lambda lo, hi, x: (x, (lo, hi)),
        lambda r, dy: (None, None, scale * jnp.clip(dy, *r)),
        (),
    )


@pytest.mark.parametrize("level", ["standard", "full"])
def test_bounds_of_a_clip_stay_as_they_are_given(level):
    declared = {"linear": False, "zero": ("lo", "hi"), "level": level}
    declared |= {"hints": False}
    args = np.float32(-0.1), np.float32(0.1), normal(5)
    report = check_vjp(clipped(), *args, **declared)
    assert report.ok, report.table()
    assert check_vjp(clipped(1.01), *args, **declared).verdict == "fail"


@pytest.mark.parametrize(
    ("surrogate", "said"),
    [
        (lambda x, gain, dy: (dy, dy), "missing 1 required .* tuple of all arguments"),
        (lambda args, dy: dy, "an array, expected a tuple .* of x, gain"),
        (lambda args, dy: (dy, dy[0], dy), "3 gradients, expected"),
        (lambda args, dy: (dy,), "1 gradients, expected .* of x, gain"),
        (lambda args, dy: (dy[:2], dy[0]), r"shape \(2,\) for x, .* shape \(3,\)"),
        (lambda args, dy: (dy, {"gain": dy[0]}), r"a dict for gain, .* shape \(\)"),
        (lambda args, dy: (dy.astype(int), dy[0]), "int32 for x, expected a gradient"),
    ],
)
def test_a_surrogate_that_gives_no_gradients_is_an_error_of_the_call(surrogate, said):
    def scaled(x, gain):
        return gain * jnp.round(x)

    op = ruled(
        scaled, lambda *a: (scaled(*a), a), lambda r, g: (r[1] * g, 0 * r[1]), ()
    )
    with pytest.raises((TypeError, ValueError), match=said):
        check_vjp(op, normal(3), np.float32(2), surrogate=surrogate)


GAIN = np.float32(2)


def test_an_argument_left_at_its_default_needs_no_declared_gradient():
    def scaled(x, gain=GAIN):
        return gain * jnp.round(x)

    op = ruled(
        scaled, lambda *a: (scaled(*a), a), lambda r, g: (r[1] * g, 0 * r[1]), ()
    )
    declared = {"surrogate": lambda args, dy: (args[1] * dy,), "hints": False}
    assert check_vjp(op, normal(3), **declared).verdict == "ok"


@pytest.mark.parametrize("slip", [0, 1])
def test_a_kink_of_the_declared_gradient(slip):
    """At the ends of a clip behind a rounding the rule says 1, and jnp.clip's half."""

    def plain(x):
        return jnp.round(7 * jnp.clip(x, -1, 1)) / 7

    def declared(args, dy):
        return jax.vjp(lambda x: jnp.clip(x, -1, 1), *args)[1](dy)

    def bwd(x, g):
        return (jnp.where(jnp.abs(x) <= 1 + slip, g, 0),)

    op = ruled(plain, lambda x: (plain(x), x), bwd, ())
    report = check_vjp(op, normal(3, 5), surrogate=declared, hints=False)
    assert report.ok == (not slip), report.table()

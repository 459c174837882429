"""Where the activations' numerics could go wrong: what their docstrings decide."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxninja.rules import RULES, manual

RULE = {rule.name: rule for rule in RULES}
ELEMENTWISE = ("tanh", "relu", "sigmoid", "gelu", "silu", "softplus", "leaky_relu",
               "squared_relu")  # fmt: skip
ALONG_AN_AXIS = ("softmax", "log_softmax", "logsumexp")


def slope(f, *points):
    return np.asarray(jax.grad(lambda x: f(x).sum())(jnp.array(points)))


def test_kinks_are_jaxs():
    leaky = slope(manual.leaky_relu, -1.0, 0.0, 1.0)
    np.testing.assert_allclose(leaky, [0.01, 1, 1])
    np.testing.assert_array_equal(leaky, slope(jax.nn.leaky_relu, -1.0, 0.0, 1.0))
    np.testing.assert_array_equal(slope(manual.squared_relu, -1.0, 0.0, 1.0), [0, 0, 2])


@pytest.mark.parametrize("name", ["relu", "leaky_relu", "squared_relu", "softplus"])
def test_nan_stays_nan(name):
    f = RULE[name].op
    assert jnp.isnan(f(jnp.array([jnp.nan, 1.0]))[0])


def test_far_out_the_slopes_are_0_and_1(x64):
    for f in (manual.silu, manual.softplus):
        np.testing.assert_allclose(slope(f, -1e30, -800.0, 800.0, 1e30), [0, 0, 1, 1])


def test_the_left_tail_of_softplus_keeps_its_digits(x64):
    """There y and its slope are both e^(b x) / b^0 and e^(b x), to first order."""
    y = float(manual.softplus(jnp.array(-20.0), 2.0))
    assert y == pytest.approx(np.exp(-40.0) / 2, rel=1e-12)
    d = slope(lambda x: manual.softplus(x, 2.0), -20.0)
    np.testing.assert_allclose(d, np.exp(-40.0), rtol=1e-12)


@pytest.mark.parametrize("name", ALONG_AN_AXIS)
def test_a_slice_of_nothing_but_minus_infinity_sends_no_gradient(name):
    """Beside a slice with one masked entry."""
    inf = jnp.inf
    x = jnp.array([[-inf, -inf, -inf], [-inf, 0.0, 1.0]])
    y, pull = jax.vjp(RULE[name].op, x)
    empty = {"softmax": 0.0, "log_softmax": -inf, "logsumexp": -inf}[name]
    np.testing.assert_array_equal(y[0], jnp.full_like(y[0], empty))
    (dx,) = pull(jnp.asarray(np.random.default_rng(0).normal(size=y.shape), y.dtype))
    np.testing.assert_array_equal(dx[0], [0, 0, 0])
    assert not jnp.isnan(dx).any()
    moved = RULE[name].jvp(-1, (x,), (jnp.ones_like(x),))[1]
    assert not jnp.isnan(moved).any()
    np.testing.assert_array_equal(moved[0], jnp.zeros_like(moved[0]))


def test_infinity_has_jaxs_logsumexp():
    x = jnp.array([jnp.inf, 1.0, -jnp.inf])
    for f in (manual.logsumexp, jax.nn.logsumexp):
        y, dx = jax.value_and_grad(f)(x)
        assert y == jnp.inf
        np.testing.assert_array_equal(dx, [jnp.nan, 0, 0])


@pytest.mark.parametrize("name", ALONG_AN_AXIS)
@pytest.mark.parametrize("offset", [-1e4, 1e4])
def test_a_common_offset_changes_no_gradient(name, offset):
    """Offset and scores are multiples of 2^-3, exact in float32 even at 1e4."""
    x = jnp.round(8 * jax.random.normal(jax.random.key(0), (4, 7))) / 8
    y, pull = jax.vjp(RULE[name].op, x)
    shifted = jax.vjp(RULE[name].op, x + offset)[1]
    dy = jax.random.normal(jax.random.key(1), y.shape)
    np.testing.assert_array_equal(pull(dy)[0], shifted(dy)[0])


def f(*shape):
    return np.ones(shape, np.float32)


BAD = [
    *[(name, (np.arange(3),), "x is of type int") for name in ELEMENTWISE],
    *[(name, (np.arange(3), -1), "x is of type int") for name in ALONG_AN_AXIS],
    ("softplus", (f(3), 0.0), "beta is 0.0"),
    ("swiglu", (f(3), np.arange(3)), "up is of type int"),
    ("swiglu", (f(3, 2), f(2)), r"up is of shape \(2,\).*\(3, 2\)"),
    ("geglu", (f(2), f(2).astype("float16"), True), "up is of type float16, expected"),
    ("softmax", (f(3, 2), 2), "axis is 2.* -2 to 1"),
    ("softmax", (f(3, 2), 0.5), "axis is 0.5"),
    ("log_softmax", (f(), -1), "axis is -1"),
    ("logsumexp", (f(3, 0), 1), r"x is of shape \(3, 0\)"),
]


def with_defaults(rule, arguments):
    """All arguments, static ones that were not given as in the benchmark."""
    arrays = len(rule.arguments) - len(rule.bench.static)
    return (*arguments, *rule.bench.static[len(arguments) - arrays :])


@pytest.mark.parametrize(("name", "arguments", "text"), BAD)
def test_bad_input_is_refused_with_a_sentence(name, arguments, text):
    """By fwd, which op and `jax.grad` both run; it has no annotations to fire first."""
    rule = RULE[name]
    full = with_defaults(rule, arguments)
    static = [i for i, a in enumerate(full) if not isinstance(a, np.ndarray)]
    for run in (rule.fwd, jax.jit(rule.fwd, static_argnums=static)):
        with pytest.raises(ValueError, match=f"^{name}: {text}"):
            run(*full)

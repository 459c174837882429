"""Where each rule's numerics could go wrong: the decisions its docstring states."""

import subprocess
import sys
import textwrap

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxninja.rules import autodiff, manual
from jaxninja.rules.normalisation.batchnorm import batch_statistics


def test_embedding_adds_up_repeated_rows(x64):
    C = jax.random.normal(jax.random.key(0), (4, 3))
    ids = jnp.array([2, 2, 0, 2])
    demb = jax.random.normal(jax.random.key(1), (4, 3))
    (dC,) = jax.vjp(lambda C: manual.embedding(C, ids), C)[1](demb)
    expected = np.zeros((4, 3))
    for n, row in enumerate([2, 2, 0, 2]):  # the lecture's loop
        expected[row] += demb[n]
    np.testing.assert_allclose(dC, expected, rtol=1e-14)


@pytest.mark.parametrize("bad", [-1, 4, 1000])
def test_an_id_outside_reads_nan_and_sends_no_gradient(bad):
    C = jnp.arange(12.0).reshape(4, 3) + 0.5
    ids = jnp.array([1, bad])
    y, pull = jax.vjp(lambda C: manual.embedding(C, ids), C)
    np.testing.assert_array_equal(y[0], C[1])
    assert jnp.isnan(y[1]).all()
    (dC,) = pull(jnp.ones_like(y))
    np.testing.assert_array_equal(dC, jnp.zeros_like(C).at[1].set(1))


@pytest.mark.parametrize("bad", [-28, -1, 27, 1000])
def test_a_label_outside_makes_the_loss_nan(bad):
    """It pulls no class up, not the last one either."""
    logits = jax.random.normal(jax.random.key(0), (3, 27))
    labels = jnp.array([0, bad, 1])
    assert jnp.isnan(manual.cross_entropy(logits, labels))
    assert (jax.grad(manual.cross_entropy)(logits, labels)[1] > 0).all()


def test_a_byte_is_a_class_and_none_to_ignore():
    """-100 as a byte would be 156."""
    x, labels = jnp.ones((1, 2)), jnp.array([156], "uint8")
    losses = (
        manual.cross_entropy(jnp.zeros((1, 200)), labels),
        manual.linear_cross_entropy(x, jnp.zeros((2, 200)), None, labels),
    )
    np.testing.assert_allclose(losses, np.log(200), rtol=1e-6)


LONG = 70_000  # entries: more than float16's largest number


@pytest.mark.parametrize("name", [
    "huber", "binary_cross_entropy", "hinge", "kl_divergence", "cross_entropy",
    "cosine_similarity", "batchnorm",
])  # fmt: skip
def test_float16_has_as_many_entries_as_it_likes(name):
    """Counts and sums of squares beyond 65,504, as float32 has them to a rounding."""
    x, y = 300 * jax.random.normal(jax.random.key(0), (2, LONG, 2), "float16")
    rule = getattr(manual, name)
    small, sign = x / 300, jnp.sign(y)
    given = {
        "kl_divergence": (jax.nn.log_softmax(small), jax.nn.log_softmax(y / 300)),
        "cross_entropy": (small, jnp.zeros(LONG, int)),
        "binary_cross_entropy": (small, (sign + 1) / 2),
        "hinge": (small, sign),
        "huber": (x, y),
        "cosine_similarity": (x, y),
        "batchnorm": (x, jnp.ones(2, "float16"), jnp.ones(2, "float16")),
    }[name]
    dy = jax.random.normal(jax.random.key(1), jnp.shape(rule(*given))) * 1024

    def both(arrays):
        y, pull = jax.vjp(lambda x: rule(x, *arrays[1:]), arrays[0])
        return y, pull(dy.astype(y.dtype))

    narrow = jax.tree.map(np.float32, both(given))
    as_float = lambda a: a.astype("float32") if a.dtype == "float16" else a  # noqa: E731
    wide = both(tuple(map(as_float, given)))
    for a, b in zip(jax.tree.leaves(narrow), jax.tree.leaves(wide), strict=True):
        np.testing.assert_allclose(a, b, rtol=3e-3, atol=2e-3 * np.abs(b).max())


@pytest.mark.parametrize("offset", [-1e4, 1e4])
def test_cross_entropy_with_a_common_offset(offset):
    """Offset and logits are multiples of 2^-3, exact in float32 even at 1e4."""
    logits = jnp.round(8 * jax.random.normal(jax.random.key(0), (5, 7))) / 8
    labels = jnp.array([0, 1, 2, 3, 6])
    shifted = jax.value_and_grad(manual.cross_entropy)(logits + offset, labels)
    plain = jax.value_and_grad(manual.cross_entropy)(logits, labels)
    jax.tree.map(np.testing.assert_array_equal, shifted, plain)


def test_cross_entropy_of_logits_of_ten_thousand():
    logits = jnp.array([[1e4, -1e4, 0.0], [-1e4, 1e4, 1e4]])
    loss, d = jax.value_and_grad(manual.cross_entropy)(logits, jnp.array([0, 0]))
    assert float(loss) == pytest.approx((0 + 2e4 + np.log(2)) / 2, rel=1e-6)
    np.testing.assert_allclose(d, [[0, 0, 0], [-0.5, 0.25, 0.25]], atol=1e-7)


def test_cross_entropy_with_masked_classes():
    logits = jnp.array([[-jnp.inf, 1.0, 2.0]])
    loss, d = jax.value_and_grad(manual.cross_entropy)(logits, jnp.array([1]))
    assert jnp.isfinite(loss)
    assert d[0, 0] == 0
    np.testing.assert_allclose(d.sum(), 0, atol=1e-7)


def test_cross_entropy_with_ties_for_the_maximum(x64):
    """The maximum is only a shift: no gradient flows through it, ties or not."""
    logits, labels = jnp.zeros((2, 4)), jnp.array([1, 3])
    d = jax.grad(manual.cross_entropy)(logits, labels)
    np.testing.assert_allclose(d, (0.25 - jax.nn.one_hot(labels, 4)) / 2, rtol=1e-15)


def test_a_saturated_tanh_passes_no_gradient():
    d = jax.grad(lambda x: manual.tanh(x).sum())(jnp.array([-20.0, 0.0, 20.0]))
    np.testing.assert_array_equal(d, [0, 1, 0])


def test_tanh_keeps_the_digits_of_a_nearly_flat_tail(x64):
    x = jnp.array([8.0])
    d = jax.grad(lambda x: manual.tanh(x).sum())(x)
    np.testing.assert_allclose(d, 1 / np.cosh(8.0) ** 2, rtol=1e-9)


def test_batchnorm_of_a_constant_column():
    x = jnp.stack([jnp.full(6, 3.0), jnp.arange(6.0)], 1)
    gamma, beta = jnp.array([1.5, 0.7]), jnp.array([0.2, -0.3])
    y, pull = jax.vjp(manual.batchnorm, x, gamma, beta)
    np.testing.assert_allclose(y[:, 0], 0.2, rtol=1e-6)
    dy = jax.random.normal(jax.random.key(0), y.shape)
    dx, dgamma, _ = pull(dy)
    assert jnp.isfinite(dx).all()
    assert dgamma[0] == 0


@pytest.mark.parametrize("ddof", [0, 1])
def test_batchnorm_of_three_axes_is_that_of_the_flattened_batch(ddof, x64):
    x = jax.random.normal(jax.random.key(0), (4, 3, 5))
    gamma, beta = jnp.linspace(0.5, 2, 5), jnp.linspace(-1, 1, 5)
    dy = jax.random.normal(jax.random.key(1), x.shape)

    def run(x, dy):
        f = lambda x: manual.batchnorm(x, gamma, beta, 1e-5, ddof)  # noqa: E731
        y, pull = jax.vjp(f, x)
        return y, pull(dy)[0]

    flat = run(x.reshape(12, 5), dy.reshape(12, 5))
    for cube, square in zip(run(x, dy), flat, strict=True):
        np.testing.assert_allclose(cube.reshape(12, 5), square, rtol=1e-12)


@pytest.mark.parametrize("ddof", [0, 1])
def test_batch_statistics_are_numpys(ddof, x64):
    x = jax.random.normal(jax.random.key(0), (9, 4))
    mean, var = batch_statistics(x, ddof)
    np.testing.assert_allclose(mean, np.mean(x, 0), rtol=1e-13)
    np.testing.assert_allclose(var, np.var(x, 0, ddof=ddof), rtol=1e-13)


def test_batchnorm_gradients_are_blind_to_shift_and_scale(x64):
    """The degenerate checks at the head of the file, ddof = 0 and no eps."""
    x = jax.random.normal(jax.random.key(0), (8, 3))
    gamma, beta = jnp.array([1.3, 0.4, -2.0]), jnp.zeros(3)
    dy = jax.random.normal(jax.random.key(1), x.shape)
    y, pull = jax.vjp(lambda x: manual.batchnorm(x, gamma, beta, 0.0, 0), x)
    dx = pull(dy)[0]
    np.testing.assert_allclose(dx.sum(0), 0, atol=1e-13)
    np.testing.assert_allclose((dx * y / gamma).sum(0), 0, atol=1e-13)


def test_forward_mode_of_the_function_itself_says_no():
    with pytest.raises(TypeError, match="custom_vjp"):
        jax.jvp(manual.tanh, (jnp.ones(3),), (jnp.ones(3),))


def test_autodiff_has_forward_mode():
    jax.jvp(autodiff.tanh, (jnp.ones(3),), (jnp.ones(3),))


BAD = """
    import jax, jax.numpy as jnp
    from jaxninja.rules import manual as m
    f = jnp.ones
    i = jnp.arange(3)
    bad = {
        "embedding: C is of shape (3,), expected [V, D] with V > 0":
            lambda: m.embedding(f(3), i),
        "embedding: C is of shape (0, 2), expected [V, D] with V > 0":
            lambda: m.embedding(f((0, 2)), i),
        "embedding: ids is of type float32, expected integers":
            lambda: m.embedding(f((3, 2)), f(3)),
        "linear: W is of shape (2,), expected [D, K]":
            lambda: m.linear(f((3, 2)), f(2), f(2)),
        "linear: x is of shape (3, 4), expected [..., 2], as W is (2, 5)":
            lambda: m.linear(f((3, 4)), f((2, 5)), f(5)),
        "linear: b is of shape (4,), expected [5], as W is (2, 5)":
            lambda: m.linear(f((3, 2)), f((2, 5)), f(4)),
        "batchnorm: x is of shape (3,), expected [..., D] with 2 or more axes, not "
        "empty":
            lambda: m.batchnorm(f(3), f(3), f(3)),
        "batchnorm: gamma is of shape (4,), expected [2], as x is (3, 2)":
            lambda: m.batchnorm(f((3, 2)), f(4), f(2)),
        "batchnorm: x is of shape (1, 2), expected a batch of more than ddof = 1":
            lambda: m.batchnorm(f((1, 2)), f(2), f(2)),
        "batchnorm: x is of shape (0, 2), expected [..., D] with 2 or more axes, not "
        "empty": lambda: m.batchnorm(f((0, 2)), f(2), f(2), 1e-5, 0),
        "batchnorm: eps is -1, expected a number from 0 on":
            lambda: m.batchnorm(f((3, 2)), f(2), f(2), -1),
        "linear: W is of type float16, expected float32, as x is":
            lambda: m.linear(f((3, 2)), f((2, 5), "float16"), f(5)),
        "gelu: approximate is 'none', expected True or False":
            lambda: m.gelu(f(3), "none"),
        "hinge: y is of type bool, expected floats or signed integers":
            lambda: m.hinge(f(3), f(3, bool)),
        "cross_entropy: logits is of shape (0, 5), expected [N, V], not empty":
            lambda: m.cross_entropy(f((0, 5)), i[:0]),
        "cross_entropy: labels is of shape (3,), expected [2], as logits is (2, 5)":
            lambda: m.cross_entropy(f((2, 5)), i),
        "cross_entropy: labels is of type float32, expected integers":
            lambda: m.cross_entropy(f((3, 5)), f(3)),
    }
    for text, call in bad.items():
        for run in (call, lambda: jax.jit(call)(), lambda: jax.vjp(call)):
            try:
                run()
            except ValueError as error:
                assert str(error) == text, (str(error), text)
            else:
                raise SystemExit(f"no error: {text}")
    norm = lambda x: m.batchnorm(x, f(2), f(2))
    affine = lambda x: m.linear(x, f((3, 1)), f(1))
    for call in (norm, affine):
        try:
            jax.grad(lambda x: call(x).sum())(f((1, 2)))
        except ValueError as error:
            assert "x is of shape (1, 2)" in str(error)
        else:
            raise SystemExit("under jax.grad only fwd runs: no error")
    print("all refused")
"""


def test_wrong_shapes_are_refused_with_a_sentence():
    """In a process of its own, without the beartype hook, which would fire first."""
    code = textwrap.dedent(BAD)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "all refused\n"


def slope(f, *points):
    return np.asarray(jax.grad(lambda x: f(x).sum())(jnp.array(points)))


def test_relu_is_off_at_its_kink_and_keeps_nan():
    np.testing.assert_array_equal(
        slope(manual.relu, -2.0, 0.0, -0.0, 3.0), [0, 0, 0, 1]
    )
    y = manual.relu(jnp.array([-jnp.inf, -1.0, 0.0, 2.0, jnp.inf, jnp.nan]))
    np.testing.assert_array_equal(y, [0, 0, 0, 2, np.inf, np.nan])


def test_a_saturated_sigmoid_passes_no_gradient():
    """y (1 - y) = 0 on the right, where y rounds to 1; the left tail has digits."""
    got = slope(manual.sigmoid, -20.0, 0.0, 20.0)
    np.testing.assert_allclose(got, [np.exp(-20.0), 0.25, 0], rtol=1e-6)


def test_sigmoid_is_a_tanh(x64):
    x = jnp.linspace(-30, 30, 61)
    np.testing.assert_allclose(manual.sigmoid(x), (1 + jnp.tanh(x / 2)) / 2, atol=1e-15)


@pytest.mark.parametrize("approximate", [False, True])
def test_gelu_is_jaxs_and_flat_on_the_left(approximate, x64):
    x = jnp.linspace(-12, 12, 97)
    expected = jax.nn.gelu(x, approximate)
    np.testing.assert_allclose(manual.gelu(x, approximate), expected, atol=1e-14)
    f = lambda x: manual.gelu(x, approximate)  # noqa: E731
    np.testing.assert_allclose(slope(f, -1e200, -40.0, 0.0, 40.0), [0, 0, 0.5, 1])


def test_the_left_tail_of_gelu_keeps_its_digits(x64):
    """Of the erf form at x = -10: y = x P with P about e^-50 / (10 sqrt 2 pi)."""
    y = float(manual.gelu(jnp.array(-10.0)))
    assert y == pytest.approx(-10 * 7.619853024160526e-24, rel=1e-12)

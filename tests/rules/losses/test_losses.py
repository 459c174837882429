"""Where a loss is at an edge: the decisions that its docstring states."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxninja.rules import manual
from jaxninja.rules.losses.contrastive import contrastive_fwd
from jaxninja.rules.losses.cosine_similarity import cosine_similarity_fwd
from jaxninja.rules.losses.hinge import hinge_fwd
from jaxninja.rules.losses.huber import huber_fwd
from jaxninja.rules.losses.kl_divergence import kl_divergence_fwd
from jaxninja.rules.losses.mse import mse_fwd


def test_an_outlier_pulls_on_huber_with_delta_and_no_more(x64):
    x = jnp.array([-100.0, -0.5, 0.0, 0.25, 7.0])
    dx = jax.grad(lambda x: manual.huber(x, jnp.zeros(5), 0.5))(x)
    np.testing.assert_allclose(5 * dx, [-0.5, -0.5, 0, 0.25, 0.5], rtol=1e-15)


def test_no_logit_overflows_binary_cross_entropy():
    z, t = jnp.array([1e4, -1e4, 1e4]), jnp.array([1.0, 0.0, 0.25])
    loss, dz = jax.value_and_grad(manual.binary_cross_entropy)(z, t)
    assert float(loss) == pytest.approx(0.75e4 / 3)
    np.testing.assert_allclose(3 * dz, [0, 0, 0.75], atol=1e-7)


def test_a_probability_of_zero_adds_nothing_to_the_divergence(x64):
    """Neither to the value nor to a gradient, whatever log q is there."""
    log_p = jnp.log(jnp.array([[0.25, 0.75, 0.0]]))
    for last in (-3.0, -jnp.inf):
        log_q = jnp.array([[-1.0, -0.5, last]])
        loss, (dp, dq) = jax.value_and_grad(manual.kl_divergence, (0, 1))(log_p, log_q)
        two = jax.value_and_grad(manual.kl_divergence, (0, 1))(
            log_p[:, :2], log_q[:, :2]
        )
        assert loss == two[0]
        np.testing.assert_array_equal(dp, jnp.pad(two[1][0], ((0, 0), (0, 1))))
        np.testing.assert_array_equal(dq, jnp.pad(two[1][1], ((0, 0), (0, 1))))
    assert manual.kl_divergence(log_p, log_q.at[0, 0].set(-jnp.inf)) == jnp.inf


@pytest.mark.parametrize("broken", [np.inf, np.nan])
def test_an_ignored_row_sends_no_gradient_whatever_its_logits_are(broken):
    logits = np.random.default_rng(0).normal(size=(3, 4)).astype("float32")
    labels = jnp.array([1, -100, 2])
    options = -100, "mean", 0.1, 0.01
    f = jax.jit(jax.value_and_grad(lambda z: manual.cross_entropy(z, labels, *options)))
    expected = f(logits)
    logits[1, 2] = broken
    jax.tree.map(np.testing.assert_array_equal, f(logits), expected)
    assert not expected[1][1].any()


def test_an_ignored_row_makes_no_nan_on_the_way():
    """Which jax_debug_nans would stop at, as without jit it looks at each operation."""
    logits = jnp.arange(12.0).reshape(3, 4)
    with jax.debug_nans(True):
        jax.grad(manual.cross_entropy)(logits, jnp.array([1, -100, 2]))


def test_one_pair_has_nothing_to_tell_apart():
    a, b = jnp.array([[1.0, 2.0]]), jnp.array([[-0.5, 3.0]])
    loss, grads = jax.value_and_grad(manual.contrastive, (0, 1, 2))(a, b, 0.1)
    assert loss == 0
    assert all((g == 0).all() for g in grads)


def test_what_has_reached_its_margin_is_left_alone():
    scores, y = jnp.array([1.0, 3.0, 0.5, -1.0]), jnp.array([1.0, 1.0, 1.0, -1.0])
    ds, dy = jax.grad(manual.hinge, (0, 1))(scores, y)
    np.testing.assert_array_equal(4 * ds, [0, 0, -1, 0])
    np.testing.assert_array_equal(4 * dy, [0, 0, -0.5, 0])


def test_a_row_of_zeros_has_a_finite_gradient(x64):
    """Its length counts as eps: s = 0, and da is b's direction over eps."""
    a, b = jnp.array([[0.0, 0.0], [3.0, 4.0]]), jnp.array([[0.0, 2.0], [0.0, 0.0]])
    s, pull = jax.vjp(lambda a, b: manual.cosine_similarity(a, b, 0.5), a, b)
    np.testing.assert_array_equal(s, [0, 0])
    da, db = pull(jnp.ones(2))
    np.testing.assert_allclose(da, [[0, 2], [0, 0]], rtol=1e-15)
    np.testing.assert_allclose(db, [[0, 0], [1.2, 1.6]], rtol=1e-15)


f = jnp.ones
BAD = {
    "mse: y is of shape (2,), expected [3]": lambda: mse_fwd(f(3), f(2)),
    "mse: x is of shape (0,)": lambda: mse_fwd(f(0), f(0)),
    "mse: x is of type int32": lambda: mse_fwd(jnp.arange(3), f(3)),
    "huber: delta is -1": lambda: huber_fwd(f(3), f(3), -1),
    "kl_divergence: log_p is of shape ()": lambda: kl_divergence_fwd(f(()), f(())),
    "contrastive: a is of shape (3,)": lambda: contrastive_fwd(f(3), f(3), 1.0),
    "contrastive: temperature is of shape (3,)":
        lambda: contrastive_fwd(f((3, 2)), f((3, 2)), f(3)),
    "hinge: scores is of type int32":
        lambda: hinge_fwd(jnp.arange(3), jnp.arange(3)),
    "cosine_similarity: eps is 0": lambda: cosine_similarity_fwd(f(3), f(3), 0),
}  # fmt: skip


@pytest.mark.parametrize("text", BAD)
def test_bad_input_is_refused_with_argument_and_value(text):
    with pytest.raises(ValueError, match=re.escape(text)):
        jax.jit(BAD[text])()

"""attention_bias beyond what holds for every rule: masks, rows that see nothing."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxninja.rules import blocking
from jaxninja.rules.sequence.attention_bias import attention_bias, example, rule

STATIC = (False, None, None, None)


def given(alike=0):
    return example(jax.random.key(0), 2, 7, 6, 2, 2, 3, alike)


def run(q, k, v, bias):
    """y, and the gradients of the float arguments, as one program."""

    @jax.jit
    def both(q, k, v, bias):
        y, pull = jax.vjp(lambda *a: attention_bias(*a, *STATIC), q, k, v, bias)
        d = pull(jnp.cos(3 * y + 1))
        return y, [a for a in d if a.dtype != jax.dtypes.float0]

    return both(q, k, v, bias)


def test_a_mask_is_a_bias_of_minus_infinity(monkeypatch):
    """In blocks of 4, the second of which starts earlier."""
    monkeypatch.setattr(blocking, "positions", lambda length: min(length, 4))
    q, k, v, bias = given()
    mask = (bias > -0.5).at[1, 2, 3].set(False).at[0, :, 6].set(False)
    y, d = run(q, k, v, mask)
    y_bias, d_bias = run(q, k, v, jnp.where(mask, 0.0, -jnp.inf))
    jax.tree.map(np.testing.assert_array_equal, (y, d), (y_bias, d_bias[:3]))
    assert all(jnp.isfinite(a).all() for a in (y, *d_bias))
    assert (y[1, 3, 2] == 0).all()  # all masked
    assert (y[0, 6] == 0).all()
    assert (d[0][0, 6] == 0).all()
    assert (d_bias[3][~mask] == 0).all()
    assert (d_bias[3][0, 0, 0] != 0).any()


def test_the_gradient_of_a_bias_sums_to_zero_over_the_keys():
    *_, dbias = run(*given())[1]
    np.testing.assert_allclose(dbias.sum(-1), 0, atol=1e-6)


@pytest.mark.parametrize("shape", [(6,), (7, 6), (1, 6), (4, 1, 6), (2, 1, 1, 6)])
def test_a_bias_of_fewer_axes_is_repeated(shape):
    q, k, v, full = given()
    bias = jax.random.normal(jax.random.key(3), shape)
    y, (*d, dbias) = run(q, k, v, bias)
    y_full, (*d_full, dfull) = run(q, k, v, jnp.broadcast_to(bias, full.shape))
    assert dbias.shape == shape
    expected = jax.vjp(lambda b: jnp.broadcast_to(b, full.shape), bias)[1](dfull)[0]
    pairs = zip([y, *d, dbias], [y_full, *d_full, expected], strict=True)
    for got, expected in pairs:
        np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("change", "parts"),
    [
        (lambda b: b[:, :3], ["(2, 3, 7, 6)", "[2, 4, 7, 6]"]),
        (lambda b: b[None], ["(1, 2, 4, 7, 6)", "[2, 4, 7, 6]"]),
        (lambda b: b.astype(int), ["int32", "float", "booleans"]),
    ],
)
def test_a_bias_that_does_not_fit_is_refused(change, parts):
    q, k, v, bias = given()
    fwd = lambda *a: rule.fwd(*a, *STATIC)[0]  # noqa: E731
    for f in (fwd, jax.jit(fwd), lambda *a: jax.vjp(attention_bias, *a)):
        with pytest.raises(ValueError, match=r"^attention_bias: bias is ") as error:
            f(q, k, v, change(bias))
        assert all(part in str(error.value) for part in parts)

"""A number that a forward keeps is a number in its backward, as under JAX."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxninja import check_vjp
from jaxninja.check.subject.saved_numbers import Fixed, fixed, given_back
from tests.check.subjects import ruled

X = np.random.default_rng(5).normal(size=(3, 4)).astype(np.float32)


def plain(x):
    return x.reshape(-1).sum() + (x * x).sum(0).sum()


@pytest.mark.parametrize("factor", [2, 3])
@pytest.mark.parametrize("level", ["standard", "full"])
def test_a_shape_that_is_kept(factor, level):
    def fwd(x):
        return plain(x), {"x": x, "shape": x.shape, "rest": (np.int64(x.size), True)}

    def bwd(kept, dy):
        size, flag = kept["rest"]
        ones = jnp.ones(size).reshape(kept["shape"])
        return (
            (ones if flag else -ones).astype(dy.dtype) * dy + factor * kept["x"] * dy,
        )

    report = check_vjp(ruled(plain, fwd, bwd, ()), X, level=level)
    assert report.ok == (factor == 2), report.table()
    assert factor != 2 or not report.findings, report.table()


def test_what_is_kept_comes_back():
    tree = {"a": (1, 2.5), "b": [np.float64(0.1), X], "c": None, "d": float("nan")}
    held = fixed(tree)
    assert [type(a) for a in jax.tree.leaves(held)] == [np.ndarray]
    assert jax.tree.structure(held) == jax.tree.structure(fixed(tree))
    back = given_back(held)
    assert back["a"] == (1, 2.5)
    assert type(back["b"][0]) is np.float64
    assert back["b"][1] is X
    assert fixed(X) is X
    assert Fixed(1) != Fixed(True)
    assert Fixed(1) != 1

"""Examples are drawn by one program a shape, unless they need Python."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxninja.check.inputs.examples import drawn
from jaxninja.check.subject.compilation import compiled

SIZES = {"N": 4, "D": 3}


def by_jax(key, N, D):
    keys = jax.random.split(key)
    return {"x": jax.random.normal(keys[0], (N, D))}, jax.random.uniform(keys[1], (D,))


def by_numpy(key, N, D):
    seed = np.asarray(jax.random.key_data(key)).ravel()
    return (np.random.default_rng(seed).normal(size=(N, D)),)


@pytest.mark.parametrize("example", [by_jax, by_numpy])
def test_a_draw_is_the_example_itself(example):
    for seed in (0, 3):
        mine, plain = (
            drawn(example, seed, SIZES),
            example(jax.random.key(seed), **SIZES),
        )
        assert jax.tree.structure(mine) == jax.tree.structure(plain)
        for a, b in zip(jax.tree.leaves(mine), jax.tree.leaves(plain), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-6)


def test_it_is_traced_once_a_shape():
    calls = []

    def example(key, N):
        calls.append(N)
        return jax.random.normal(key, (N,))

    draws = [drawn(example, seed, {"N": N}) for N in (2, 3) for seed in range(4)]
    assert calls == [2, 3]
    assert len({np.asarray(a).tobytes() for a in draws}) == 8


def test_numbers_of_the_host_are_drawn_anew():
    rng = np.random.default_rng(0)

    def example(key):
        return jax.random.normal(key, (3,)) + jnp.asarray(rng.normal(size=3))

    first, second = (np.asarray(drawn(example, 0, {})) for _ in range(2))
    assert (first != second).all()


def test_what_is_no_array_stays():
    option = object()
    x, *rest = drawn(lambda key: (jax.random.normal(key, (3,)), 1e-3, option), 0, {})
    assert x.shape == (3,)
    assert rest == [1e-3, option]


def test_an_example_without_a_hash():
    class Example(dict):
        def __call__(self, key):
            return jax.random.normal(key, (3,))

    assert drawn(Example(), 0, {}).shape == (3,)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_compiled_function_is_the_function(dtype, x64):
    x = np.linspace(-2, 2, 7).astype(dtype)
    y = compiled(lambda x, i: jnp.tanh(x)[i] * 2)(x, np.arange(3))
    assert y.dtype == dtype
    np.testing.assert_allclose(y, 2 * np.tanh(x[:3]), rtol=4 * np.finfo(dtype).eps)

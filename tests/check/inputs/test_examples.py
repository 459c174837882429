"""Examples are drawn as JAX draws them: in NumPy, by one program a shape, in Python."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxninja.check.inputs import examples
from jaxninja.check.inputs.examples import drawn
from jaxninja.check.subject.compilation import compiled

SIZES = {"N": 4, "D": 3}


def by_jax(key, N, D):
    keys = jax.random.split(key)
    return {"x": jax.random.normal(keys[0], (N, D))}, jax.random.uniform(keys[1], (D,))


def by_numpy(key, N, D):
    seed = np.asarray(jax.random.key_data(key)).ravel()
    return (np.random.default_rng(seed).normal(size=(N, D)),)


def of_keys(key, N, D):
    """All that is done with keys and bits, one program each where JAX draws it."""
    first, *others = jax.random.split(jax.random.fold_in(key, N), (N, D))[1]
    whole = jax.random.randint(first, (D,), 0, 9)
    sides = jax.random.bernoulli(jax.random.wrap_key_data(jax.random.key_data(first)))
    return {"key": others[0], "whole": whole}, sides, jax.random.bits(first, (2, 0))


def too_long(key, N, D):
    """More numbers than are drawn at once."""
    return jax.random.bits(key, (N * D, 400), "uint16")


def sorted_by_jax(key, N, D):
    """A primitive that is not run in NumPy."""
    return jax.random.permutation(key, N)


def drawn_and_plain(example, seed):
    return drawn(example, seed, SIZES), example(jax.random.key(seed), **SIZES)


def assert_same(mine, plain):
    assert jax.tree.structure(mine) == jax.tree.structure(plain)
    for a, b in zip(jax.tree.leaves(mine), jax.tree.leaves(plain), strict=True):
        assert (a.shape, a.dtype) == (b.shape, b.dtype)
        if jnp.issubdtype(a.dtype, jax.dtypes.prng_key):
            a, b = jax.random.key_data(a), jax.random.key_data(b)
        np.testing.assert_allclose(a, b, rtol=1e-5)


@pytest.mark.parametrize(
    "example", [by_jax, by_numpy, of_keys, too_long, sorted_by_jax]
)
def test_a_draw_is_the_example_itself(example):
    for seed in (0, 3):
        assert_same(*drawn_and_plain(example, seed))


def test_a_draw_is_of_the_precision_and_the_generator_in_force(x64):
    assert_same(*drawn_and_plain(by_jax, 1))
    with jax.default_prng_impl("rbg"):
        assert_same(*drawn_and_plain(by_jax, 1))
    with jax.threefry_partitionable(False):
        assert_same(*drawn_and_plain(by_jax, 1))


def test_normal_numbers_of_all_shapes_are_of_one_program(monkeypatch):
    """Nothing but the bits is left to XLA."""
    monkeypatch.setattr(examples, "compiled", None)
    for N in (2, 3):
        drawn(by_jax, 0, {"N": N, "D": 5})


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

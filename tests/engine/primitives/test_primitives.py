"""Every rule of the table against `jax.vjp`, in float64."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from agree import same, vjps
from cases import CASES, PRIMITIVE_NAMES, WITHOUT_GRADIENT
from hypothesis import given, settings
from hypothesis import strategies as st
from inputs import real
from jax import lax
from jax.extend.core import jaxprs_in_params

from jaxninja.engine import PRIMITIVES, Call
from jaxninja.engine.primitives.table import FAMILIES, primitive


def primitives_of(jaxpr):
    for eqn in getattr(jaxpr, "jaxpr", jaxpr).eqns:
        yield eqn.primitive
        for inner in jaxprs_in_params(eqn.params):
            yield from primitives_of(inner)


def check(cases, rules=PRIMITIVES):
    """All cases of a primitive in one XLA program."""
    functions = [f for f, *_ in cases]
    arguments = [[jnp.asarray(a) for a in args] for _, *args in cases]

    @jax.jit
    def both(arguments):
        pairs = zip(functions, arguments, strict=True)
        return [vjps(f, *args, rules=rules) for f, args in pairs]

    for k, (mine, truth) in enumerate(both(arguments)):
        try:
            same(mine, truth)
        except AssertionError as error:
            raise AssertionError(f"case {k}: {error}") from error


@pytest.mark.parametrize("name", PRIMITIVE_NAMES)
def test_the_rule_is_right(name, x64):
    for f, *args in CASES[name]:
        assert primitive(name) in set(primitives_of(jax.make_jaxpr(f)(*args)))
    check(CASES[name])


def test_gradients_have_the_dtype_of_their_operand(x64):
    """Of every case; nothing is computed, as the values were compared above."""

    def cast(x):
        floating = np.issubdtype(x.dtype, np.floating)
        return jnp.asarray(x, jnp.bfloat16) if floating else jnp.asarray(x)

    def kinds(tree):
        return jax.tree.map(lambda a: (a.shape, a.dtype), tree)

    for name in PRIMITIVE_NAMES:
        for f, *args in CASES[name]:
            both = partial(vjps, f)
            mine, truth = jax.eval_shape(both, *map(cast, map(np.asarray, args)))
            assert kinds(mine) == kinds(truth), name


axes = st.permutations(range(4))


@given(x_axes=axes, y_axes=axes, batch=st.integers(0, 2), contracted=st.integers(0, 2))
@settings(deadline=None, max_examples=4, derandomize=True)
def test_products_over_any_axes(x_axes, y_axes, batch, contracted):
    """Batch and contracted axes anywhere, in any order, in both factors."""
    sizes = [2, 3, 4, 5][: batch + contracted]
    free = [6, 7, 1, 2][batch + contracted :]
    x_shape, y_shape = [0] * 4, [0] * 4
    for shape, order in ((x_shape, x_axes), (y_shape, y_axes)):
        for axis, size in zip(order, [*sizes, *free], strict=True):
            shape[axis] = size
    parts = slice(0, batch), slice(batch, batch + contracted)
    batched, summed = [(x_axes[p], y_axes[p]) for p in parts]
    with jax.enable_x64(True):
        x, y = real(*x_shape), real(*y_shape, seed=1)
        check([(partial(lax.dot_general, dimension_numbers=(summed, batched)), x, y)])


@pytest.mark.parametrize("name", ["tanh", "max", "scan"])
def test_the_test_finds_a_wrong_rule(name, x64):
    """The gradient of the first operand a millionth too large, at one entry."""
    rule = PRIMITIVES[primitive(name)]

    def spoil(terms):
        first = terms[0] if terms[0] is not None else terms[1]
        wrong = first.at[(-1,) * first.ndim].multiply(1 + 1e-6)
        return tuple(wrong if t is first else t for t in terms)

    def wrong(*args, **params):
        return spoil(rule(*args, **params))

    def backward(*args):
        terms, inner = rule.backward(*args)
        return spoil(terms), inner

    mutant = Call(rule.forward, backward) if isinstance(rule, Call) else wrong
    with pytest.raises(AssertionError, match="case"):
        check(CASES[name], rules={**PRIMITIVES, primitive(name): mutant})


def test_the_test_finds_a_start_that_is_counted_twice(x64):
    """`lax.dynamic_slice` moves a negative start once more, its primitive does not."""

    def reading(dy, y, x, *starts, **_):
        dx = lax.dynamic_update_slice(jnp.zeros_like(x), dy, starts)
        return dx, *(None for _ in starts)

    def writing(dy, y, x, update, *starts, **_):
        dx = lax.dynamic_update_slice(dy, jnp.zeros_like(update), starts)
        dupdate = lax.dynamic_slice(dy, starts, update.shape)
        return dx, dupdate, *(None for _ in starts)

    mutants = {"dynamic_slice": reading, "dynamic_update_slice": writing}
    for name, mutant in mutants.items():
        with pytest.raises(AssertionError, match="case 0"):
            check(CASES[name][:1], rules={**PRIMITIVES, primitive(name): mutant})


def test_every_primitive_of_the_table_has_a_case():
    names = {name for family in FAMILIES.values() for name in family}
    assert names == set(CASES) | WITHOUT_GRADIENT
    assert {primitive(n) for n in names} - {None} == set(PRIMITIVES)
    newer = {n for n in names if primitive(n) is None}
    assert newer <= {"log2", "one_minus_square", "polynomial"}, "not in this JAX"

"""Every rule of the table against `jax.vjp`, in float64."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax import lax
from jax.extend.core import jaxpr_as_fun

from jaxninja.check.subject.compilation import compiled
from jaxninja.engine import PRIMITIVES, Call, backward, trace, value_and_grad
from jaxninja.engine.primitives.table import FAMILIES, primitive
from jaxninja.jaxpr import equations
from tests.engine.agree import jax_vjp, same, vjps, weights
from tests.engine.inputs import real
from tests.engine.primitives import cases_linear_algebra
from tests.engine.primitives.cases import CASES, PRIMITIVE_NAMES, WITHOUT_GRADIENT

SOLVED = cases_linear_algebra.CASES  # equations are solved, in another order than JAX's


def check(cases, rules=PRIMITIVES, tolerance=1e-12):
    """All cases of a primitive in one XLA program."""
    functions = [f for f, *_ in cases]
    arguments = [[jax.device_put(np.asarray(a)) for a in args] for _, *args in cases]

    def both(arguments):
        pairs = zip(functions, arguments, strict=True)
        return [vjps(f, *args, rules=rules) for f, args in pairs]

    for k, (mine, truth) in enumerate(compiled(both)(arguments)):
        try:
            same(mine, truth, tolerance)
        except AssertionError as error:
            raise AssertionError(f"case {k}: {error}") from error


@pytest.mark.parametrize("name", PRIMITIVE_NAMES)
def test_the_rule_is_right(name, x64):
    for f, *args in CASES[name]:
        found = equations(jax.make_jaxpr(f)(*args).jaxpr)
        assert primitive(name) in {eqn.primitive for eqn in found}
    check(CASES[name], tolerance=1e-10 if name in SOLVED else 1e-12)


@pytest.mark.more  # the same rules again
def test_gradients_have_the_dtype_of_their_operand(x64):
    """Of every case; nothing is computed, as the values were compared above."""

    def cast(x, dtype):
        floating = np.issubdtype(x.dtype, np.floating)
        return jax.ShapeDtypeStruct(x.shape, dtype if floating else x.dtype)

    def low(f, args):
        """In bfloat16, or what the operation takes."""
        args = list(map(np.asarray, args))
        given = [[cast(x, dtype) for x in args] for dtype in ("bfloat16", "float32")]
        try:
            jax.eval_shape(partial(jax_vjp, f), *given[0])
        except (TypeError, ValueError, NotImplementedError):
            return given[1]
        return given[0]

    def kinds(tree):
        return jax.tree.map(lambda a: (a.shape, a.dtype), tree)

    for name in PRIMITIVE_NAMES:
        for f, *args in CASES[name]:
            mine, truth = jax.eval_shape(partial(vjps, f), *low(f, args))
            assert kinds(mine) == kinds(truth), name


def traced(f, args):
    """A case as a function of its jaxpr: no promotion is left in the forward."""
    closed = jax.make_jaxpr(f)(*args)
    return jaxpr_as_fun(closed), list(map(np.asarray, args))


def walked(f, *args):
    graph = trace(f, *args)
    return backward(graph, weights(graph.output)).arguments


@pytest.mark.parametrize("name", [n for n in PRIMITIVE_NAMES if n != "custom_vjp_call"])
def test_no_rule_promotes(name, x64):
    """Traced only, where a program at large forbids it; a custom_vjp brings its own."""
    for f, *args in CASES[name]:
        f, args = traced(f, args)
        with jax.numpy_rank_promotion("raise"), jax.numpy_dtype_promotion("strict"):
            jax.eval_shape(partial(walked, f), *args)


def complexified(f, *args):
    """A case with an imaginary part to what is real; None where JAX takes none."""

    def cast(a):
        a = np.asarray(a)
        return a + 1j * real(*a.shape, seed=9) if a.dtype.kind == "f" else a

    case = (f, *map(cast, args))
    try:
        jax.eval_shape(partial(jax_vjp, f), *map(jnp.asarray, case[1:]))
    except (TypeError, ValueError, NotImplementedError, DeprecationWarning):
        return None
    return case


@pytest.mark.more
def test_complex_numbers(x64):
    """The first case of every primitive that JAX computes with complex numbers."""
    # JAX says only later that it cannot; sign has a test of its own
    left_out = "reduce_window_m", "select_and", "sign"
    names = [name for name in PRIMITIVE_NAMES if not name.startswith(left_out)]
    cases = [complexified(*CASES[name][0]) for name in names]
    cases = [case for case in cases if case]
    assert len(cases) >= 75
    check(cases, tolerance=1e-10)


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


SPOILED = """tanh max scan scatter-mul reduce_window_max fft bessel_i1e linear_solve
triangular_solve lu eigh svd""".split()  # noqa: SIM905


def test_the_inverse_of_cosh_left_of_zero(x64):
    """Not against JAX, which had the other sign there up to 0.10: cosh acosh z = z."""
    z = jnp.asarray([-2 + 1j, -0.5 - 3j, 2 + 0.1j])
    grad = backward(trace(lambda z: jnp.cosh(lax.acosh(z)), z), jnp.ones_like(z))
    np.testing.assert_allclose(grad.arguments[0], jnp.ones(3), rtol=1e-12)


def test_the_sign_of_complex_numbers(x64):
    """Not against JAX, which had zero there up to 0.10: sign z = z / |z|."""
    z = jnp.asarray([-2 + 1j, -0.5 - 3j, 2 + 0.1j])
    weights = jnp.asarray([1 - 2j, 0.3 + 1j, -1j])
    grad = backward(trace(lax.sign, z), weights).arguments[0]
    truth = jax.vjp(lambda z: z / jnp.abs(z), z)[1](weights)[0]
    np.testing.assert_allclose(grad, truth, rtol=1e-12)
    assert backward(trace(lax.sign, 0 * z), weights).arguments[0].tolist() == [0] * 3


def test_qr_of_a_wide_matrix_with_pivots(x64):
    """Not against JAX, which forgot the pivots there: by a difference quotient."""
    x, step = jnp.asarray(real(3, 5)), 1e-6 * real(3, 5, seed=1)
    weights = (real(3, 3), real(3, 5, seed=2))

    @jax.jit
    def f(x):
        q, r = cases_linear_algebra.pivoted(x)[:2]
        return (q * weights[0]).sum() + (r * weights[1]).sum()

    slope = (value_and_grad(f)(x)[1] * step).sum()
    np.testing.assert_allclose(f(x + step) - f(x - step), 2 * slope, rtol=1e-6)


def test_updates_that_multiply_one_entry(x64):
    """JAX's rule is for entries written once; here one gets several, some of them 0."""
    places = np.array([1, 0, 1, 1, 3, -2, 9])

    def f(x, v):
        return x.at[places].multiply(v, mode="drop")

    def plain(x, v):
        hits = (places[:, None] % 4 == np.arange(4)) & (places[:, None] < 4)
        return x * jnp.where(hits, v[:, None], 1).prod(0)

    weights = jnp.asarray(real(4, seed=2))

    @jax.jit
    def both(*args):
        mine = backward(trace(f, *args), weights).arguments
        return mine, jax.vjp(plain, *args)[1](weights)

    for zeros in ([], [2], [2, 3], [1]):
        args = jnp.asarray(real(4)), jnp.asarray(real(7, seed=1)).at[zeros,].set(0)
        same(*both(*args))


@pytest.mark.more
@pytest.mark.parametrize("name", SPOILED)
def test_the_test_finds_a_wrong_rule(name, x64):
    """The largest entry of a gradient is a millionth too large."""
    rule = PRIMITIVES[primitive(name)]

    def spoil(terms):
        first = next(t for t in terms if t is not None)
        largest = abs(first) == abs(first).max()
        wrong = jnp.where(largest, first * (1 + 1e-6), first)
        return tuple(wrong if t is first else t for t in terms)

    def wrong(*args, **params):
        return spoil(rule(*args, **params))

    def backward(*args):
        terms, inner = rule.backward(*args)
        return spoil(terms), inner

    mutant = Call(rule.forward, backward) if isinstance(rule, Call) else wrong
    with pytest.raises(AssertionError, match="case"):
        check(CASES[name][:1], rules={**PRIMITIVES, primitive(name): mutant})


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

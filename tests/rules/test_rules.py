"""Each rule against `jax.vjp` of its plain forward: values, rounding, transforms."""

import importlib
import inspect
import pkgutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxninja import rules
from jaxninja.check.compiled import compiled
from jaxninja.rule import Rule
from jaxninja.rules import RULES, autodiff, manual

CASES = [pytest.param(r, c, id=f"{r.name}-{c}") for r in RULES for c in r.cases]
BY_RULE = pytest.mark.parametrize("rule", RULES, ids=lambda r: r.name)


def inputs(rule, case, dtype, seed=0):
    """Float32 random bits in another dtype, so that all dtypes see the same numbers."""
    arrays = rule.example(jax.random.key(seed), **case.dims)
    floating = [jnp.issubdtype(a.dtype, jnp.floating) for a in arrays]
    return [a.astype(dtype) if f else a for a, f in zip(arrays, floating, strict=True)]


def cotangent(y, seed=1):
    return jax.random.normal(jax.random.key(seed), y.shape, jnp.float32).astype(y.dtype)


def gradients(f, arrays, dy):
    """Cotangents of the floating-point arguments."""
    grads = jax.vjp(f, *arrays)[1](dy)
    return [g for g in grads if g.dtype != jax.dtypes.float0]


def both(f):
    """Value and gradients as one program: eagerly each operation is compiled alone."""
    return compiled(lambda arrays, dy: (f(*arrays), gradients(f, arrays, dy)))


def truth(rule, case, known={}):  # noqa: B006, it is meant to last
    return known.setdefault((rule.name, str(case)), both(plain(rule, case)))


def shape_of(rule, case, arrays):
    return jax.eval_shape(plain(rule, case), *arrays)


def plain(rule, case):
    return lambda *arrays: rule.reference(*arrays, *case.static)


def by_hand(rule, case):
    return lambda *arrays: rule.op(*arrays, *case.static)


def as_jit(f):
    return jax.jit(f)


def as_vmap(f):
    """A batch of one example: batching rules run, the numbers stay."""
    return lambda *arrays: jax.vmap(f)(*(a[None] for a in arrays))[0]


def as_scan(f):
    def scanned(*arrays):
        return jax.lax.scan(lambda c, _: (c, f(*arrays)), 0, None, length=1)[1][0]

    return scanned


def as_remat(f):
    return jax.checkpoint(f)


def close(got, expected, relative=1e-12):
    """Elementwise, relative to the largest entry; NaN equals nothing."""
    assert got.shape == expected.shape
    assert got.dtype == expected.dtype
    scale = float(abs(expected).max()) or 1.0
    difference = float(abs(got - expected).max())
    assert difference <= relative * scale, f"{difference} of {scale}"


@pytest.mark.parametrize("how", [lambda f: f, as_jit, as_vmap, as_scan, as_remat])
@pytest.mark.parametrize(("rule", "case"), CASES)
def test_float64_identity(rule, case, how, x64):
    arrays = inputs(rule, case, jnp.float64)
    mine = both(how(by_hand(rule, case)))
    y = shape_of(rule, case, arrays)
    last = jnp.zeros(y.size, y.dtype).at[-1].set(1).reshape(y.shape)
    for dy in (cotangent(y), last):
        (value, got), (true, expected) = mine(arrays, dy), truth(rule, case)(arrays, dy)
        close(value, true)
        # batchnorm over one row: dx and dgamma are 0 in theory, rounding in autodiff
        for g, e in zip(got, expected, strict=True):
            if rule.name == "batchnorm" and case.dims["N"] == 1:
                assert abs(g).max() == 0 or np.allclose(g, e, rtol=1e-12)
                assert jnp.isfinite(g).all()
            else:
                close(g, e)


@BY_RULE
def test_float64_identity_of_a_plain_call(rule, x64):
    """Without jit each step is a program of its own."""
    case = rule.cases[0]
    arrays = inputs(rule, case, jnp.float64)
    dy = cotangent(shape_of(rule, case, arrays))
    got = gradients(by_hand(rule, case), arrays, dy)
    for g, e in zip(got, truth(rule, case)(arrays, dy)[1], strict=True):
        close(g, e)


@pytest.mark.parametrize(("rule", "case"), CASES)
def test_op_is_the_first_output_of_fwd(rule, case):
    arrays = inputs(rule, case, jnp.float32)
    y, _ = rule.fwd(*arrays, *case.static)
    np.testing.assert_array_equal(rule.op(*arrays, *case.static), y)
    np.testing.assert_array_equal(rule.reference(*arrays, *case.static), y)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16], ids=["f32", "bf16"])
@pytest.mark.parametrize(("rule", "case"), CASES)
def test_rounding_is_no_worse_than_autodiffs(rule, case, dtype):
    """Error against the float64 truth: at most twice autodiff's plus 4 ulp of scale."""
    arrays = inputs(rule, case, dtype)
    dy = cotangent(shape_of(rule, case, arrays))
    got = both(by_hand(rule, case))(arrays, dy)[1]
    theirs = truth(rule, case)(arrays, dy)[1]
    with jax.enable_x64(True):
        wide = inputs(rule, case, dtype)
        wide = [a.astype(jnp.float64) if a.dtype == dtype else a for a in wide]
        exact = truth(rule, case)(wide, dy.astype(jnp.float64))[1]
        for g, a, e in zip(got, theirs, exact, strict=True):
            assert g.dtype == dtype
            scale = float(abs(e).max()) or float(abs(dy.astype(jnp.float64)).sum())
            error = float(abs(g.astype(jnp.float64) - e).max())
            baseline = float(abs(a.astype(jnp.float64) - e).max())
            assert error <= 2 * baseline + 4 * float(jnp.finfo(dtype).eps) * scale


@pytest.mark.parametrize(
    "outer", [jax.jit, as_remat, as_vmap], ids=["jit", "remat", "vmap"]
)
@BY_RULE
def test_hessian_vector_products_go_through_the_rule(rule, outer, x64):
    """fwd calls plain code, so forward mode over the backward pass works."""
    case = rule.cases[0]
    arrays = inputs(rule, case, jnp.float64)
    diff = [i for i, a in enumerate(arrays) if a.dtype == jnp.float64]
    dy = cotangent(shape_of(rule, case, arrays))

    def product(f):
        def gradient(*active):
            full = list(arrays)
            for i, a in zip(diff, active, strict=True):
                full[i] = a
            return tuple(gradients(f, full, dy))

        active = [arrays[i] for i in diff]
        tangents = [cotangent(a, seed=i) for i, a in enumerate(active)]
        return compiled(lambda *at: jax.jvp(gradient, [*at], tangents)[1])(*active)

    mine = product(outer(by_hand(rule, case)))
    for got, expected in zip(mine, product(plain(rule, case)), strict=True):
        scale = max(float(abs(expected).max()), 1e-3)
        assert float(abs(got - expected).max()) <= 1e-11 * scale


@BY_RULE
def test_a_wrong_backward_is_noticed(rule, x64):
    """The comparison of this file can fail: half, negated or shifted by one entry."""
    case = rule.cases[0]
    arrays = inputs(rule, case, jnp.float64)
    dy = cotangent(shape_of(rule, case, arrays))
    for g in truth(rule, case)(arrays, dy)[1]:
        for wrong in (
            g / 2,
            -g,
            g * (1 + 1e-9),
            g.ravel().at[0].add(1e-6).reshape(g.shape),
        ):
            with pytest.raises(AssertionError):
                close(wrong, g)


def test_the_catalogue_is_complete():
    """Each file of a topic that has a `rule` is in the catalogue."""
    found = [
        name
        for _, name, is_folder in pkgutil.walk_packages(
            rules.__path__, "jaxninja.rules."
        )
        if not is_folder and hasattr(importlib.import_module(name), "rule")
    ]
    assert sorted(found) == sorted(rule.fwd.__module__ for rule in RULES)
    assert len({rule.name for rule in RULES}) == len(RULES)


@BY_RULE
def test_the_record_describes_the_function(rule):
    module = importlib.import_module(rule.fwd.__module__)
    assert module.__name__.rsplit(".", 1)[1] == rule.name
    assert module.rule is rule
    assert isinstance(rule, Rule)
    assert getattr(manual, rule.name) is rule.op is getattr(module, rule.name)
    assert getattr(rules, rule.name) is rule.op
    assert getattr(autodiff, rule.name) is rule.reference
    plain = inspect.unwrap(rule.op)
    assert (
        rule.reference is plain or rule.name == "linear_cross_entropy"
    )  # saves memory
    assert rule.op.fwd is rule.fwd
    assert rule.op.bwd is rule.bwd
    assert rule.fwd.__name__ == f"{rule.name}_fwd"
    assert rule.bwd.__name__ == f"{rule.name}_bwd"
    assert module.__doc__.isascii()
    assert len(module.__doc__.splitlines()) <= 27


@BY_RULE
def test_the_rule_is_used_and_autodiff_has_none(rule):
    case = rule.cases[0]
    arrays = inputs(rule, case, jnp.float32)

    def primitives(f):
        return {e.primitive.name for e in jax.make_jaxpr(f)(*arrays).eqns}

    assert primitives(by_hand(rule, case)) == {"custom_vjp_call"}
    assert "custom_vjp_call" not in primitives(plain(rule, case))

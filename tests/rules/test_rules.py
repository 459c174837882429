"""Each rule's record, its types, and its forward mode.

That the backward pass is right is the checker's to prove (test_certified.py). Here one
compiled program a case computes the value by all ways, and both modes.
"""

import copy
import importlib
import pickle
import pkgutil
from dataclasses import replace

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxninja import rules
from jaxninja.check.inputs.examples import drawn
from jaxninja.check.subject.compilation import compiled
from jaxninja.rule import Rule
from jaxninja.rules import RULES, autodiff, manual

MORE = pytest.mark.more  # what each rule's first case has shown of JAX
CASES = [
    pytest.param(r, c, id=f"{r.name}-{c}", marks=[MORE] * (c is not r.cases[0]))
    for r in RULES
    for c in r.cases
]
BY_RULE = pytest.mark.parametrize("rule", RULES, ids=lambda r: r.name)


def is_float(array):
    return jnp.issubdtype(array.dtype, jnp.floating)


def inputs(rule, case, dtype):
    """Float32 random bits in another dtype, so that all dtypes see the same numbers."""
    arrays = drawn(rule.example, 0, case.dims)
    wide = lambda a: jax.device_put(np.asarray(a).astype(dtype))  # noqa: E731
    return jax.tree.map(lambda a: wide(a) if is_float(a) else a, arrays)


def shapes(rule, case, dtype):
    """Those of the inputs: nothing is drawn."""
    given = jax.eval_shape(lambda: rule.example(jax.random.key(0), **case.dims))
    of = lambda a: jax.ShapeDtypeStruct(a.shape, dtype)  # noqa: E731
    return jax.tree.map(lambda a: of(a) if is_float(a) else a, given)


def normal_like(tree, seed):
    """Normal numbers for each float array; None in place of all others. NumPy's: JAX
    would compile the drawing of every shape."""
    random = np.random.default_rng(seed)
    draw = lambda a: jax.device_put(random.normal(size=a.shape).astype(a.dtype))  # noqa: E731
    return jax.tree.map(lambda a: draw(a) if is_float(a) else None, tree)


def for_jax(moves, arrays):
    """Tangents as `jax.jvp` wants them: float0 zeros in place of None."""
    none = lambda a: np.zeros(a.shape, jax.dtypes.float0)  # noqa: E731
    given = jax.tree.leaves(moves, is_leaf=lambda leaf: leaf is None)
    leaves, tree = jax.tree.flatten(arrays)
    pairs = zip(given, leaves, strict=True)
    return tree.unflatten([none(a) if m is None else m for m, a in pairs])


def plain(rule, case):
    return lambda *arrays: rule.reference(*rule.arranged(arrays, case.static))


def by_hand(rule, case):
    return lambda *arrays: rule.op(*rule.arranged(arrays, case.static))


def dot(a, b):
    """Inner product of two pytrees and, as its scale, that of their absolute values."""
    pairs = zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    products = [x * y for x, y in pairs if x.dtype != jax.dtypes.float0]
    return sum(p.sum() for p in products), sum(abs(p).sum() for p in products)


def modes(rule, case):
    """One program of (arrays, dx, dy): values, moves of y, and <dy, J dx>, <J^T dy, dx>
    each with its scale."""

    def run(arrays, dx, dy):
        y, pull = jax.vjp(by_hand(rule, case), *arrays)
        true = jax.jvp(plain(rule, case), arrays, for_jax(dx, arrays))
        mine = rule.jvp(*case.static, arrays, dx)
        values = [y, rule.fwd(*rule.arranged(arrays, case.static))[0], mine[0]]
        back = [g for g in jax.tree.leaves(pull(dy)) if g.dtype != jax.dtypes.float0]
        return values, true, mine[1], dot(dy, mine[1]), dot(back, jax.tree.leaves(dx))

    return compiled(run)


def judge(values, true, moved, forward, backward):
    """Raise AssertionError unless all agree, relative to each array's largest entry."""
    for value in values:
        jax.tree.map(close, value, true[0])
    jax.tree.map(close, moved, true[1])
    scale = max(float(forward[1]), float(backward[1]), 1e-300)
    assert abs(float(forward[0] - backward[0])) <= 1e-12 * scale


def close(got, expected, relative=1e-11):
    """Elementwise, relative to the largest entry; NaN equals nothing."""
    got, expected = np.asarray(got), np.asarray(expected)
    assert got.shape == expected.shape
    assert got.dtype == expected.dtype
    scale = float(abs(expected).max(initial=0)) or 1.0
    difference = float(abs(got - expected).max(initial=0))
    assert difference <= relative * scale, f"{difference} of {scale}"


def first_entry_moved(a):
    a = np.array(a)
    a.flat[0] += 1e-6 * abs(a).max()
    return a


def computed(rule, case):
    arrays = inputs(rule, case, jnp.float64)
    y = jax.eval_shape(by_hand(rule, case), *arrays)
    return modes(rule, case)(arrays, normal_like(arrays, 1), normal_like(y, 2))


@pytest.mark.parametrize(("rule", "case"), CASES)
def test_forward_mode_is_jaxs_and_the_transpose_of_the_backward_pass(rule, case, x64):
    found = computed(rule, case)
    judge(*found)
    if case is rule.cases[0]:
        values, true, moved, forward, backward = found
        for wrong in (
            lambda a: np.asarray(a) * (1 + 1e-9),
            first_entry_moved,
        ):
            with pytest.raises(AssertionError):
                judge(values, true, jax.tree.map(wrong, moved), forward, backward)
        with pytest.raises(AssertionError):
            judge(values, true, moved, (forward[0] + 1e-9 * forward[1], 0), backward)


def test_a_forward_mode_that_forgets_a_path_is_noticed(x64):
    """batchnorm's, without what x moves through the mean."""
    rule = manual.batchnorm.fwd and next(r for r in RULES if r.name == "batchnorm")

    def forgets(eps, ddof, primals, tangents):
        y, dy = rule.jvp(eps, ddof, primals, tangents)
        _, (_, rstd, gamma) = rule.fwd(*primals, eps, ddof)
        return y, dy + gamma * rstd * tangents[0].mean(0)

    with pytest.raises(AssertionError, match=" of "):
        judge(*computed(replace(rule, jvp=forgets), rule.cases[0]))


@pytest.mark.parametrize("dtype", ["float32", pytest.param("bfloat16", marks=MORE)])
@pytest.mark.parametrize(("rule", "case"), CASES)
def test_types_are_kept_under_strict_promotion(rule, case, dtype):
    """Traced only: value, move and gradients have their argument's type and shape."""

    def both(arrays, dx):
        y, residuals = rule.fwd(*rule.arranged(arrays, case.static))
        back = rule.bwd(*case.static, residuals, normal_like(y, 2))
        jax.vjp(plain(rule, case), *arrays)
        return (
            rule.op(*rule.arranged(arrays, case.static)),
            rule.jvp(*case.static, arrays, dx),
            back,
        )

    arrays = shapes(rule, case, dtype)
    moves = jax.eval_shape(lambda a: normal_like(a, 1), arrays)
    with (
        jax.numpy_rank_promotion("raise"),
        jax.numpy_dtype_promotion("strict"),
    ):
        y, (value, moved), back = jax.eval_shape(both, arrays, moves)
    chex.assert_trees_all_equal_shapes_and_dtypes(value, moved, y)
    given = [*floats(arrays)]
    chex.assert_trees_all_equal_shapes_and_dtypes(jax.tree.leaves(back), given)


@pytest.mark.parametrize("rule", RULES, ids=lambda r: r.name)
def test_a_mixture_of_types_is_refused_or_each_keeps_its_own(rule):
    case = rule.cases[0]
    arrays = shapes(rule, case, "float32")
    for i in (i for i, a in enumerate(arrays) if isinstance(a, jax.ShapeDtypeStruct)):
        if not is_float(arrays[i]):
            continue
        mixed = list(arrays)
        mixed[i] = jax.ShapeDtypeStruct(arrays[i].shape, "bfloat16")

        def back(*arrays):
            y, residuals = rule.fwd(*rule.arranged(arrays, case.static))
            return rule.bwd(*case.static, residuals, normal_like(y, 2))

        try:
            found = jax.eval_shape(back, *mixed)
        except ValueError as error:
            if not str(error).startswith(f"{rule.name}: "):
                raise
            continue
        chex.assert_trees_all_equal_shapes_and_dtypes(
            jax.tree.leaves(found), [*floats(mixed)]
        )


@BY_RULE
def test_strict_settings_of_jax_are_no_matter(rule):
    """Traced operation by operation, with jax_enable_checks, and no tracer leaks."""
    if rule.name == "fixed_point":
        pytest.skip("without jit its loop asks whether to go on, of a tracer")
    arrays = shapes(rule, rule.cases[0], "float32")

    def back(*arrays):
        y, pull = jax.vjp(by_hand(rule, rule.cases[0]), *arrays)
        return y, pull(jax.tree.map(jnp.ones_like, y))

    with jax.disable_jit(), jax.enable_checks(True), jax.checking_leaks():
        _, back = jax.eval_shape(back, *arrays)
    moves = [g for g in jax.tree.leaves(back) if g.dtype != jax.dtypes.float0]
    chex.assert_trees_all_equal_shapes_and_dtypes(moves, [*floats(arrays)])


def floats(tree):
    return (a for a in jax.tree.leaves(tree) if is_float(a))


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


def test_a_rule_is_pickled_by_its_name():
    """For other processes; one that no module calls `rule` is copied as any record."""
    for rule in RULES:
        assert pickle.loads(pickle.dumps(rule)) is rule
        assert copy.deepcopy(rule) is rule
    other = replace(RULES[0], source="another")
    assert copy.copy(other) == other


@BY_RULE
def test_the_record_describes_the_function(rule):
    module = importlib.import_module(rule.fwd.__module__)
    assert module.__name__.rsplit(".", 1)[1] == rule.name
    assert module.rule is rule
    assert isinstance(rule, Rule)
    assert getattr(manual, rule.name) is rule.op is getattr(module, rule.name)
    assert getattr(rules, rule.name) is rule.op
    assert getattr(autodiff, rule.name) is rule.reference
    assert rule.reference.__module__.startswith("jaxninja.rules.")
    assert rule.op.fwd is rule.fwd
    assert rule.op.bwd is rule.bwd
    for mode in ("fwd", "bwd", "jvp"):
        assert getattr(rule, mode).__name__ == f"{rule.name}_{mode}"
    assert module.__doc__.isascii()
    assert len(module.__doc__.splitlines()) <= 27


@BY_RULE
def test_the_rule_is_used_and_autodiff_has_none(rule):
    case = rule.cases[0]
    arrays = shapes(rule, case, jnp.float32)

    def primitives(f):
        return {e.primitive.name for e in jax.make_jaxpr(f)(*arrays).eqns}

    assert primitives(by_hand(rule, case)) == {"custom_vjp_call"}
    assert "custom_vjp_call" not in primitives(plain(rule, case))

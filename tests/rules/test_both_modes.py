"""A rule as a function with forward and reverse mode, under JAX's transformations."""

from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxninja import both, check_vjp
from jaxninja.check.inputs.examples import drawn
from jaxninja.check.subject.compilation import compiled
from jaxninja.rules import RULES, both_modes

RULE = {rule.name: rule for rule in RULES}
WHY_NOT = both_modes.available()
pytestmark = pytest.mark.skipif(WHY_NOT is not None, reason=str(WHY_NOT))

# a static option, integers, elementwise
NAMES = ("batchnorm", "tanh", pytest.param("cross_entropy", marks=pytest.mark.more))


def setting(name):
    """f with both modes and the plain one, of the floating-point arguments alone."""
    rule = RULE[name]
    case = rule.cases[0]
    arrays = [np.asarray(a) for a in drawn(rule.example, 0, case.dims)]
    floats = [i for i, a in enumerate(arrays) if jnp.issubdtype(a.dtype, jnp.floating)]
    wide = [arrays[i].astype(float) for i in floats]

    def of_floats(op):
        def f(*given):
            full = list(arrays)
            for i, a in zip(floats, given, strict=True):
                full[i] = a
            return op(*full, *case.static)

        return f

    random = np.random.default_rng(0)
    moves = [random.normal(size=a.shape) for a in wide]
    return of_floats(both(rule)), of_floats(rule.reference), wide, moves


def scalar(f):
    return lambda *args: jnp.sin(f(*args)).sum()


def gradient(f):
    return lambda x, *rest: jax.grad(scalar(f))(x, *rest)


def scanned(f):
    def run(x, *rest):
        step = lambda c, _: (c + jnp.mean(f(c, *rest)), None)  # noqa: E731
        return jax.lax.scan(step, x, None, length=2)[0]

    return run


def batch(f, x, *rest):
    return jax.vmap(lambda x: f(x, *rest))(jnp.stack([x, 2 * x, x + 1]))


HOW = {
    "value": lambda f, a, t: f(*a),
    "jvp": lambda f, a, t: jax.jvp(f, a, t),
    "linearize": lambda f, a, t: jax.linearize(f, *a)[1](*t),
    "jacfwd": lambda f, a, t: jax.jacfwd(f)(*a),
    "grad": lambda f, a, t: gradient(f)(*a),
    "jacrev": lambda f, a, t: jax.jacrev(f)(*a),
    "hessian": lambda f, a, t: jax.hessian(scalar(f))(*a),
    "forward over reverse": lambda f, a, t: jax.jvp(gradient(f), a, t),
    "reverse over forward": lambda f, a, t: jax.grad(
        lambda x: jax.jvp(scalar(f), (x, *a[1:]), t)[1]
    )(a[0]),
    "grad of grad": lambda f, a, t: jax.grad(
        lambda x: (gradient(f)(x, *a[1:]) ** 2).sum()
    )(a[0]),
    "vmap": lambda f, a, t: batch(f, *a),
    "vmap of grad": lambda f, a, t: batch(gradient(f), *a),
    "grad of vmap": lambda f, a, t: jax.grad(scalar(partial(batch, f)))(*a),
    "jvp of vmap": lambda f, a, t: jax.jvp(lambda x: batch(f, x, *a[1:]), a[:1], t[:1]),
    "scan": lambda f, a, t: gradient(scanned(f))(*a),
    "jvp of scan": lambda f, a, t: jax.jvp(scanned(f), a, t),
    "remat": lambda f, a, t: gradient(jax.checkpoint(f))(*a),
}  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_all_transformations_are_those_of_the_plain_function(name, x64):
    mine, plain, arrays, moves = setting(name)

    def every(f):
        return lambda a, t: {
            how: run(f, tuple(a), tuple(t)) for how, run in HOW.items()
        }

    got, expected = (
        compiled(every(mine))(arrays, moves),
        compiled(every(plain))(arrays, moves),
    )
    for how in HOW:
        pairs = zip(
            jax.tree.leaves(got[how]), jax.tree.leaves(expected[how]), strict=True
        )
        for g, e in pairs:
            scale = max(float(abs(np.asarray(e)).max()), 1e-3)
            np.testing.assert_allclose(g, e, rtol=0, atol=1e-11 * scale, err_msg=how)


def test_the_rules_own_jvp_is_the_one_that_runs(x64):
    """One that is wrong shows in forward mode, and in reverse mode it does not."""
    twice = lambda p, t: (jnp.tanh(p[0]), 2 * t[0])  # noqa: E731
    f = both(replace(RULE["tanh"], jvp=twice))
    x = jnp.array([0.3])
    np.testing.assert_array_equal(jax.jvp(f, (x,), (x,))[1], 2 * x)
    np.testing.assert_allclose(jax.grad(scalar(f))(x), gradient(jnp.tanh)(x))


def test_options_are_taken_as_the_op_takes_them_and_by_name():
    x = jnp.array([-1.0, 2.0])
    f = both(RULE["leaky_relu"].op)
    np.testing.assert_allclose(f(x), [-0.01, 2])
    np.testing.assert_allclose(f(x, 0.5), f(x, slope=0.5))


def test_an_argument_may_be_none(x64):
    rule = RULE["linear_cross_entropy"]
    x, W, _, labels = rule.example(jax.random.key(0), 5, 3, 7)
    f = lambda x: both(rule)(x, W, None, labels)  # noqa: E731
    plain = lambda x: rule.reference(x, W, None, labels, *rule.bench.static)  # noqa: E731
    move = (jnp.ones_like(x),)
    ways = lambda f: (*jax.jvp(f, (x,), move), jax.grad(f)(x))  # noqa: E731
    found = compiled(lambda: (ways(f), ways(plain)))()
    for got, expected, rtol in zip(*found, (1e-5, 1e-5, 1e-4), strict=True):
        np.testing.assert_allclose(got, expected, rtol, 1e-6)


def test_what_has_no_forward_mode_is_refused():
    with pytest.raises(TypeError, match="no jvp"):
        both(replace(RULE["tanh"], jvp=None))
    for thing in (jnp.tanh, 3):
        with pytest.raises(TypeError, match="neither a Rule nor an op"):
            both(thing)


def test_another_hijax_is_said_to_be_missing(monkeypatch):
    from jax.experimental import hijax

    for name in ("VJPHiPrimitive", "HiPrim"):
        monkeypatch.delattr(hijax, name, raising=False)
    with pytest.raises(NotImplementedError, match="both: JAX "):
        both(RULE["tanh"])
    assert both_modes.available()


def test_the_checker_checks_both_modes():
    """With arguments or the rule's own; a wrong jvp is found, and where it is."""
    rule = RULE["batchnorm"]
    args = rule.example(jax.random.key(0), 7, 5)
    for given in ((), (*args, 1e-3, 0)):
        report = check_vjp(both(rule), *given, level="quick")
        assert report.ok, report.table()
        assert "jvp" in report.coverage.transformations
    assert "jvp" not in check_vjp(rule, level="quick").coverage.transformations

    def forgets_gamma(eps, ddof, primals, tangents):
        dx, dgamma, dbeta = tangents
        return rule.jvp(eps, ddof, primals, (dx, 0 * dgamma, dbeta))

    def raises(eps, ddof, primals, tangents):
        return tangents[0].nothing

    for jvp, text in ((forgets_gamma, "batchnorm"), (raises, "nothing")):
        report = check_vjp(both(replace(rule, jvp=jvp)), level="quick")
        (found,) = [f for f in report.findings if f.code == "E-JVP"]
        assert report.verdict == "fail"
        assert text in found.sentence
        assert "test_both_modes.py" in found.where

"""Every rule of the table against `jax.vjp`, in float64."""

import jax
import jax.numpy as jnp
import pytest
from agree import same, vjps
from cases import CASES, PRIMITIVE_NAMES, WITHOUT_GRADIENT
from jax.extend.core import jaxprs_in_params

from jaxninja.engine import PRIMITIVES, Call
from jaxninja.engine.table import FAMILIES, primitive


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


@pytest.mark.parametrize("name", ["tanh", "max", "dot_general", "scatter", "scan"])
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


def test_every_primitive_of_the_table_has_a_case():
    names = {name for family in FAMILIES.values() for name in family}
    assert names == set(CASES) | WITHOUT_GRADIENT
    assert {primitive(n) for n in names} - {None} == set(PRIMITIVES)
    newer = {n for n in names if primitive(n) is None}
    assert newer <= {"log2", "one_minus_square", "polynomial"}, "not in this JAX"

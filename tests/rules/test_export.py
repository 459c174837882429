"""Each rule compiles for a GPU as far as that can be seen without one."""

import jax
import jax.numpy as jnp
import pytest

from jaxninja.rules import RULES, blocking
from tests.exported import calls, cpu_only


def both_passes(rule, case):
    """The value by op, the value and the cotangents by fwd and bwd."""

    def run(*arrays):
        op = lambda *given: rule.op(*rule.arranged(given, case.static))  # noqa: E731
        y, pull = jax.vjp(op, *arrays)
        cotangents = jax.tree.leaves(pull(jax.tree.map(jnp.ones_like, y)))
        return op(*arrays), [g for g in cotangents if g.dtype != jax.dtypes.float0]

    return run


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_a_rule_exports_for_a_gpu_without_a_call_of_a_cpu(rule, monkeypatch):
    """With what `blocking` chooses there."""
    monkeypatch.setattr(blocking, "in_parallel", lambda: True)
    case = rule.cases[0]
    example = lambda key: rule.example(key, **case.dims)  # noqa: E731
    arrays = jax.eval_shape(example, jax.random.key(0))
    assert cpu_only(calls(both_passes(rule, case), *arrays)) == []


def test_a_call_of_a_cpu_is_seen():
    matrix = jax.ShapeDtypeStruct((3, 3), jnp.float32)
    assert cpu_only(calls(jnp.linalg.cholesky, matrix, platform="cpu"))
    for_a_gpu = calls(jnp.linalg.cholesky, matrix)
    assert for_a_gpu
    assert cpu_only(for_a_gpu) == []

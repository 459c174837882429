"""Each rule compiles for a GPU as far as that can be seen without one."""

import jax
import jax.numpy as jnp
import pytest

from jaxninja.rules import RULES, blocking
from tests.exported import calls, of_no_gpu


def both_passes(rule, case):
    """The value by op, the value and the cotangents by fwd and bwd."""

    def run(*arrays):
        op = lambda *given: rule.op(*rule.arranged(given, case.static))  # noqa: E731
        y, pull = jax.vjp(op, *arrays)
        cotangents = jax.tree.leaves(pull(jax.tree.map(jnp.ones_like, y)))
        return op(*arrays), [g for g in cotangents if g.dtype != jax.dtypes.float0]

    return run


def inputs(rule, case, dtype):
    """Shapes and types of the arrays of a case, those of floats in `dtype`."""
    example = lambda key: rule.example(key, **case.dims)  # noqa: E731
    floating = lambda a: jnp.issubdtype(a.dtype, jnp.floating)  # noqa: E731
    arrays = jax.eval_shape(example, jax.random.key(0))
    return jax.tree.map(lambda a: a.update(dtype=dtype) if floating(a) else a, arrays)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_a_rule_exports_for_a_gpu_without_a_call_of_a_cpu(rule, monkeypatch):
    """Each of its cases, with what `blocking` chooses there; the first in bfloat16."""
    monkeypatch.setattr(blocking, "in_parallel", lambda: True)
    ways = [(case, "float32") for case in rule.cases]
    for case, dtype in (*ways, (rule.cases[0], "bfloat16")):
        arrays = inputs(rule, case, jnp.dtype(dtype))
        assert of_no_gpu(calls(both_passes(rule, case), *arrays)) == [], (case, dtype)


def test_a_call_of_a_cpu_is_seen():
    """That of a function which asks for a kernel of a CPU by its name."""
    matrix = jax.ShapeDtypeStruct((3, 3), jnp.float32)
    name = "lapack_spotrf_ffi"
    wrong = lambda a: jax.ffi.ffi_call(name, matrix)(a) + jnp.linalg.cholesky(a)  # noqa: E731
    found = calls(wrong, matrix, allowed=[name])
    assert len(found) == 2
    assert of_no_gpu(found) == [name]

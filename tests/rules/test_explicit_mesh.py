"""Rules on a mesh of Explicit axes, where the type of an array says how it is split.

Traced only, on a mesh without devices; what is computed there is shown in a process of
its own, which has two.
"""

import os
import subprocess
import sys
import textwrap

import jax
import jax.numpy as jnp
import pytest
from jax.sharding import AbstractMesh, AxisType, NamedSharding, PartitionSpec

from jaxninja.rules import RULES, blocking

MESH = AbstractMesh((2,), ("data",), (AxisType.Explicit,))
WHOLE = {"gamma", "beta", "W", "w", "C", "A", "key", "bias", "temperature", "theta",
         "positions", "Wx", "Wh", "bx", "bh"}  # fmt: skip
PAIRS = {"contrastive", "cosine_similarity"}  # their b is no bias
STEPS_FIRST = {"rnn", "gru", "lstm", "linear_recurrence"}


def batch_axis(rule, name):
    """The axis of an argument that is split, None where it is whole."""
    if name in WHOLE or (name == "b" and rule.name not in PAIRS):
        return None
    return 1 if rule.name in STEPS_FIRST and name in ("x", "a") else 0


def placed(rule, case):
    """Shapes of a case, of twice the size so that a batch has two halves."""
    dims = {
        n: size if n in ("G", "alike") else 2 * size for n, size in case.dims.items()
    }
    given = jax.eval_shape(lambda: rule.example(jax.random.key(0), **dims))
    options = getattr(rule.op, "nondiff_argnums", ())
    names = [name for i, name in enumerate(rule.arguments) if i not in options]
    for name, argument in zip(names, given, strict=False):
        axis = batch_axis(rule, name)
        parts = () if axis is None else (None,) * axis + ("data",)
        where = NamedSharding(MESH, PartitionSpec(*parts))
        yield jax.tree.map(lambda a, where=where: a.update(sharding=where), argument)


def spec(array):
    return jax.typeof(array).sharding.spec


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_value_and_gradients_lie_where_their_arguments_do(rule, monkeypatch):
    monkeypatch.setattr(blocking, "rows", lambda count, width, itemsize: count - 1)
    for case in rule.cases:
        if (rule.name, case.static) == ("cumsum", (0,)):
            continue  # along the axis that is split
        arrays = tuple(placed(rule, case))

        def back(*arrays, case=case):
            op = lambda *given: rule.op(*rule.arranged(given, case.static))  # noqa: E731
            y, pull = jax.vjp(op, *arrays)
            moves = jax.tree.leaves(pull(jax.tree.map(jnp.ones_like, y)))
            pairs = zip(jax.tree.leaves(arrays), moves, strict=True)
            floats = [(a, g) for a, g in pairs if g.dtype != jax.dtypes.float0]
            assert [spec(g) for _, g in floats] == [spec(a) for a, _ in floats]
            return y

        with jax.sharding.use_abstract_mesh(MESH):
            jax.eval_shape(back, *arrays)


COMPUTED = """
    import jax
    import numpy as np
    from jax.sharding import AxisType, NamedSharding, PartitionSpec
    from jaxninja import manual

    mesh = jax.make_mesh((2,), ("data",), axis_types=(AxisType.Explicit,))
    random = np.random.default_rng(0)
    normal = lambda *shape: random.normal(size=shape).astype("float32")
    split = lambda a: jax.device_put(a, NamedSharding(mesh, PartitionSpec("data")))
    ids = random.integers(0, 7, (4, 3))

    def loss(parameters, ids):
        C, gamma, W, b = parameters
        x = manual.rmsnorm(manual.embedding(C, ids), gamma)
        q = x.reshape(4, 3, 2, 4)
        x = x + manual.attention(q, q, q).reshape(4, 3, 8)
        y = manual.linear(x[:, 0], W, b)
        head = manual.linear_cross_entropy(x[:, 1], W, b, ids[:, 2])
        return manual.cross_entropy(y, ids[:, 1]) + head

    parameters = normal(7, 8), normal(8), normal(8, 7), normal(7)
    step = jax.jit(jax.value_and_grad(loss))
    expected = step(parameters, ids)
    with jax.set_mesh(mesh):
        found = step(parameters, split(ids))
    for one, other in zip(*map(jax.tree.leaves, (found, expected)), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)
    print("equal")
"""


def test_a_network_of_rules_on_two_devices_computes_as_on_one():
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(COMPUTED)],
        env=os.environ | {"JAX_NUM_CPU_DEVICES": "2"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "equal\n"

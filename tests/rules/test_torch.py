"""Each rule that PyTorch has, against PyTorch: value and every gradient in float64.

A truth that shares no code with JAX. `torch_peers/` has a file a topic, each a table
`PEERS` of rule name -> function of tensors and static options (NotImplemented where
PyTorch lacks these options), and where the rule's own cases leave something out, a
table `MORE` of rule name -> further cases. How weights are laid out there and here is
said where they are moved over.
"""

import importlib
import pkgutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed")

from jaxninja.check.subject.compilation import compiled  # noqa: E402
from jaxninja.rules import RULES  # noqa: E402
from tests.rules import torch_peers  # noqa: E402

TOPICS = [
    importlib.import_module(f"tests.rules.torch_peers.{module.name}")
    for module in pkgutil.iter_modules(torch_peers.__path__)
]
PEERS = {name: f for topic in TOPICS for name, f in topic.PEERS.items()}
MORE = {n: c for topic in TOPICS for n, c in getattr(topic, "MORE", {}).items()}
CASES = [
    pytest.param(rule, case, id=f"{rule.name}-{case}")
    for rule in RULES
    if rule.name in PEERS
    for case in (*rule.cases, *MORE.get(rule.name, ()))
]


def close(got, expected):
    """To 1e-10 of the largest entry."""
    got, expected = np.asarray(got), np.asarray(expected)
    assert got.shape == expected.shape
    scale = abs(expected).max(initial=0) or 1.0
    np.testing.assert_allclose(got / scale, expected / scale, rtol=0, atol=1e-10)


def in_jax(rule, case, arrays, dy=None):
    """y and the gradients of the floating-point arrays, in their order."""

    def run(arrays, dy):
        y, pull = jax.vjp(lambda *a: rule.op(*a, *case.static), *arrays)
        grads = jax.tree.leaves(pull(dy))
        return jax.tree.leaves(y), [g for g in grads if g.dtype != jax.dtypes.float0]

    return compiled(run)(arrays, dy)


def in_torch(rule, case, arrays, dy):
    """The same of the peer."""
    leaves, tree = jax.tree.flatten(arrays)
    tensors = [torch.tensor(np.asarray(a)) for a in leaves]
    floats = [t.requires_grad_() for t in tensors if t.is_floating_point()]
    tensors = [t if t.is_floating_point() else t.long() for t in tensors]
    y = PEERS[rule.name](*tree.unflatten(tensors), *case.static)
    if y is NotImplemented:
        pytest.skip("PyTorch has no such option")
    y = jax.tree.leaves(y)
    cotangents = [torch.tensor(np.asarray(g)) for g in jax.tree.leaves(dy)]
    grads = torch.autograd.grad(y, floats, cotangents)
    return [a.detach().numpy() for a in y], [g.numpy() for g in grads]


def example(rule, case):
    """Float64 arguments and a cotangent."""
    arrays = rule.example(jax.random.key(0), **case.dims)
    wide = lambda a: a.astype(float) if a.dtype == jnp.float32 else a  # noqa: E731
    arrays = jax.tree.map(wide, arrays)
    y = jax.eval_shape(lambda *a: rule.op(*a, *case.static), *arrays)
    draw = lambda a: jax.random.normal(jax.random.key(1), a.shape, a.dtype)  # noqa: E731
    return arrays, jax.tree.map(draw, y)


@pytest.mark.parametrize(("rule", "case"), CASES)
def test_value_and_gradients_are_pytorchs(rule, case, x64):
    arrays, dy = example(rule, case)
    y, grads = in_torch(rule, case, arrays, dy)
    mine, my_grads = in_jax(rule, case, arrays, dy)
    for got, expected in zip([*mine, *my_grads], [*y, *grads], strict=True):
        close(got, expected)
        if np.any(expected):
            with pytest.raises(AssertionError):
                close(got * (1 + 1e-9), expected)


def test_every_peer_is_that_of_a_rule():
    assert {*PEERS} <= {rule.name for rule in RULES}
    assert {*MORE} <= {*PEERS}

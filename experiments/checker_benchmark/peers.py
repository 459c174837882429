"""The checkers that people use today, on the same rules.

Each is a function of a rule that says what happened:

    "detected"        it failed the rule
    "passed"          it did not
    "not applicable"  it has no way to take such a rule
    "crashed"         something else went wrong; counted, not interpreted

They see what the author of a test would give them: the rule's own example at each of
its cases, with the integer arguments closed over.
"""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np
from jax.test_util import check_grads

from experiments.checker_benchmark.samples import widened
from jaxninja.mutation.operators import is_float
from jaxninja.rule import Rule

DETECTED, PASSED = "detected", "passed"
NOT_APPLICABLE, CRASHED = "not applicable", "crashed"


class Call(NamedTuple):
    """A rule as a function of its floating-point arguments alone."""

    op: Callable[..., Any]
    plain: Callable[..., Any]
    active: tuple


def calls(rule: Rule, seed: int, double: bool, scale: float = 1.0) -> Iterator[Call]:
    """One call for each case of the rule."""
    for case in rule.cases:
        args = rule.example(jax.random.key(seed), **case.dims)
        wide = widened(args, scale)
        yield _call(rule, wide if double else _narrowed(wide), case.static)


def _narrowed(args):
    """Floating-point leaves in float32."""
    return jax.tree.map(lambda a: a.astype(jnp.float32) if is_float(a) else a, args)


def _call(rule: Rule, args, static) -> Call:
    floats = [i for i, a in enumerate(args) if all(map(is_float, jax.tree.leaves(a)))]

    def closed(f):
        def g(*active):
            full = list(args)
            for i, a in zip(floats, active, strict=True):
                full[i] = a
            return f(*full, *static)

        return g

    active = tuple(args[i] for i in floats)
    return Call(closed(rule.op), closed(rule.reference), active)


def _tried(check: Callable[[Call], None]) -> Callable[[Rule, int, float], str]:
    """Make a check that raises AssertionError a peer."""

    def peer(rule: Rule, seed: int = 0, scale: float = 1.0) -> str:
        double = check.__name__.endswith("64")
        with jax.enable_x64(True):  # also for float32, whose inputs are drawn wide
            try:
                for call in calls(rule, seed, double, scale):
                    check(call)
            except AssertionError:
                return DETECTED
            except Exception as error:
                return _interpreted(error)
        return PASSED

    peer.__name__ = check.__name__
    return peer


def _interpreted(error: Exception) -> str:
    """JAX's own complaint about a rule fails the test as well."""
    return DETECTED if str(error).startswith("Custom VJP") else CRASHED


@_tried
def check_grads_32(call: Call) -> None:
    with jax.enable_x64(False):
        check_grads(call.op, call.active, order=1, modes=("rev",))


@_tried
def check_grads_64(call: Call) -> None:
    check_grads(call.op, call.active, order=1, modes=("rev",))


@_tried
def chex_numerical_grads_32(call: Call) -> None:
    with jax.enable_x64(False):
        chex.assert_numerical_grads(call.op, call.active, order=1, modes=("rev",))


@_tried
def sum_allclose_32(call: Call) -> None:
    """What most tests do: gradients of the sum of the output, np.allclose."""
    with jax.enable_x64(False):
        mine, truth = (_gradients_of_sum(f, call.active) for f in (call.op, call.plain))
        for a, b in zip(mine, truth, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


def _gradients_of_sum(f, active):
    def total(*a):
        return sum(y.sum() for y in jax.tree.leaves(f(*a)))

    return jax.tree.leaves(jax.grad(total, tuple(range(len(active))))(*active))


def gradcheck_slow(rule: Rule, seed: int = 0, scale: float = 1.0) -> str:
    """torch.autograd.gradcheck: full Jacobians, a one-hot cotangent at a time."""
    return _gradcheck(rule, seed, scale, fast=False)


def gradcheck_fast(rule: Rule, seed: int = 0, scale: float = 1.0) -> str:
    """torch.autograd.gradcheck in fast mode: one non-negative random projection."""
    return _gradcheck(rule, seed, scale, fast=True)


def _gradcheck(rule: Rule, seed: int, scale: float, fast: bool) -> str:
    try:
        from experiments.checker_benchmark import torch_peer
    except ImportError:
        return NOT_APPLICABLE
    with jax.enable_x64(True):
        try:
            return DETECTED if torch_peer.fails(rule, seed, scale, fast) else PASSED
        except Exception:
            return CRASHED


PEERS = {
    "check_grads f32": check_grads_32,
    "check_grads f64": check_grads_64,
    "chex f32": chex_numerical_grads_32,
    "sum allclose f32": sum_allclose_32,
    "gradcheck slow": gradcheck_slow,
    "gradcheck fast": gradcheck_fast,
}

"""What waits in memory between forward and backward, against what autodiff keeps."""

import jax
import jax.numpy as jnp

from jaxninja.check.errors import running
from jaxninja.check.report import Residuals
from jaxninja.check.subject.plain_forward import opened
from jaxninja.check.subject.pytrees import (
    cotangent,
    float_leaves,
    is_float,
    with_floats,
)
from jaxninja.check.subject.subject import Subject
from jaxninja.rule import Rule


def residuals_of(subject: Subject, args: tuple) -> Residuals:
    """Bytes of the rule's residuals and of autodiff's, and those never read."""
    with running(f"fwd of {subject.name}"):
        y, residuals = jax.eval_shape(subject.fwd, args)
    floats = [a for a in jax.tree.leaves(y) if is_float(a)]

    def backward(residuals, dy):
        out = subject.bwd(residuals, cotangent(y, dy))
        return [a for a in jax.tree.leaves(out) if hasattr(a, "dtype")]

    with running(f"bwd of {subject.name}"):
        jaxpr = jax.make_jaxpr(backward)(residuals, floats).jaxpr
    read = {v for eqn in jaxpr.eqns for v in eqn.invars if not hasattr(v, "val")}
    read |= {v for v in jaxpr.outvars if not hasattr(v, "val")}
    paths = [
        "residuals" + jax.tree_util.keystr(path)
        for path, _ in jax.tree_util.tree_leaves_with_path(residuals)
    ]
    leaves = jax.tree.leaves(residuals)
    unused = tuple(
        name
        for name, leaf, var in zip(paths, leaves, jaxpr.invars, strict=False)
        if var not in read and leaf.size
    )
    return Residuals(bytes_of(residuals), bytes_of(_autodiffs(subject, args)), unused)


def residual_bytes(rule: Rule) -> tuple[int, int]:
    """Bytes kept by the rule and by `jax.vjp` of its reference at its `bench` size.

    Nothing is computed.
    """
    inputs, static = bench_arrays(rule), rule.bench.static

    def pullback(*arrays):
        return jax.vjp(lambda *a: rule.reference(*rule.arranged(a, static)), *arrays)[1]

    mine = jax.eval_shape(lambda *a: rule.fwd(*rule.arranged(a, static))[1], *inputs)
    return bytes_of(mine), bytes_of(jax.eval_shape(pullback, *inputs))


def bench_arrays(rule: Rule) -> tuple:
    """Shapes and dtypes of the rule's example at its `bench` size."""
    return jax.eval_shape(lambda: rule.example(jax.random.key(0), **rule.bench.dims))


def _autodiffs(subject: Subject, args: tuple):
    """Shapes of the arrays that the pullback of the plain forward holds."""
    plain = opened(subject.plain)

    def f(*floats):
        return float_leaves(plain(*with_floats(args, floats)))

    floats = [jnp.asarray(a) for a in float_leaves(args)]
    return jax.eval_shape(lambda *floats: jax.vjp(f, *floats)[1], *floats)


def bytes_of(tree) -> int:
    """Of all arrays of a pytree."""
    leaves = [a for a in jax.tree.leaves(tree) if hasattr(a, "dtype")]
    sizes = (a.size * getattr(a.dtype, "itemsize", 4) for a in leaves)
    return int(sum(sizes))

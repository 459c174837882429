"""What waits in memory between forward and backward, against what autodiff keeps."""

import jax

from jaxninja.check.errors import running
from jaxninja.check.records import Residuals
from jaxninja.check.subject.kept_arrays import kept, total
from jaxninja.check.subject.plain_forward import opened
from jaxninja.check.subject.pytrees import cotangent, is_float
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
    mine = kept(subject.op, args, subject.name)
    theirs = kept(opened(subject.plain), args, subject.name)
    return Residuals(total(mine), total(theirs), unused)


def residual_bytes(rule: Rule) -> tuple[int, int]:
    """Bytes kept by the rule and by `jax.vjp` of its reference at its `bench` size.

    Nothing is computed.
    """
    arrays, static = bench_arrays(rule), rule.bench.static

    def bytes_kept(f):
        return total(kept(lambda *a: f(*rule.arranged(a, static)), arrays, rule.name))

    return bytes_kept(rule.op), bytes_kept(rule.reference)


def bench_arrays(rule: Rule) -> tuple:
    """Shapes and dtypes of the rule's example at its `bench` size."""
    return jax.eval_shape(lambda: rule.example(jax.random.key(0), **rule.bench.dims))


def bytes_of(tree) -> int:
    """Of all arrays of a pytree."""
    leaves = [a for a in jax.tree.leaves(tree) if hasattr(a, "dtype")]
    sizes = (a.size * getattr(a.dtype, "itemsize", 4) for a in leaves)
    return int(sum(sizes))

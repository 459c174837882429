"""Entries that count for nothing, and what they may hold: masked out, even -inf.

A score that a mask hides may be anything. A row of a table that no index asks for, or
a gate that meets a state of zeros, has no gradient either, and nothing hides it: it is
a large number here, but not an infinite one.
"""

import jax
import numpy as np
from jax.extend.core import jaxprs_in_params

from jaxninja.check.inputs.kinds import kind_of
from jaxninja.check.subject.pytrees import is_float
from jaxninja.jaxpr import opened, run

# What is read by an index, or summed with others, is no score of its own any more.
_READS = frozenset(("gather", "dynamic_slice", "dot_general", "conv_general_dilated"))
NOTHING: frozenset[int] = frozenset()


def without_gradient(args: tuple, gradients: list[np.ndarray], value: float) -> tuple:
    """Entries with a gradient of exactly zero set to `value`."""
    rest = iter(gradients)

    def convert(leaf):
        if not is_float(leaf):
            return leaf
        unused = np.asarray(next(rest)) == 0
        if kind_of(leaf) != "real" or not unused.any() or unused.all():
            return leaf
        return np.where(unused, np.asarray(value, leaf.dtype), leaf)

    return jax.tree.map(convert, args)


def masked_out(args: tuple, gradients: list[np.ndarray], closed) -> tuple:
    """Those set to -inf of which the forward chooses by a `where`.

    Args:
        closed: jaxpr of the plain forward on `args`.
    """
    chosen = _chosen(closed.jaxpr)
    leaves, tree = jax.tree.flatten(args)
    hidden = jax.tree.leaves(without_gradient(args, gradients, -np.inf))
    rows = enumerate(zip(leaves, hidden, strict=True))
    return jax.tree.unflatten(tree, [b if i in chosen else a for i, (a, b) in rows])


def _chosen(jaxpr) -> set[int]:
    """Which arguments of a jaxpr a `where` chooses among, or what is made of them."""
    chosen: set[int] = set()

    def through(jaxpr, ins: list) -> None:
        consts = [NOTHING] * len(jaxpr.constvars)
        run(jaxpr, consts, ins, step, lambda _: NOTHING)

    def step(eqn, ins):
        name, made = eqn.primitive.name, NOTHING.union(*ins)
        if name == "select_n":
            chosen.update(NOTHING.union(*ins[1:]))
        for inner in jaxprs_in_params(eqn.params):
            body, _ = opened(inner)
            given = ins[-len(body.invars) :] if len(body.invars) <= len(ins) else []
            through(body, given or [made] * len(body.invars))
        return [NOTHING if name in _READS else made] * len(eqn.outvars)

    through(jaxpr, [frozenset({i}) for i in range(len(jaxpr.invars))])
    return chosen

"""The rule of cond: one branch runs, and is walked; the values of the others are zeros.

Which branch ran is known when the program runs, so the graphs of all branches are kept,
with the values of one of them; the way back is a cond on the same index.
"""

from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from jaxninja.engine.core import Call, evaluate, walk
from jaxninja.jaxpr import opened


def cond_forward(eqn, operands, active, rules):
    index, *operands = operands

    def run(jaxpr):
        def branch(*operands):
            graph = evaluate(*opened(jaxpr), operands, active[1:], rules, eqn)
            outs = [graph.values[i] for i in graph.tape.outputs]
            return outs, replace(graph, values=list(map(_keepable, graph.values)))

        return branch

    outs, graphs = _switch(index, list(map(run, eqn.params["branches"])), operands)
    return outs, (index, graphs)


def cond_backward(eqn, saved, cts, active, rules):
    index, graphs = saved

    def run(k):
        def branch(graphs, cts):
            grads = walk(graphs[k], cts)
            return [grads[i] for i in graphs[k].tape.arguments], grads

        return branch

    branches = [run(k) for k in range(len(graphs))]
    terms, grads = _switch(index, branches, (graphs, cts))
    return [None, *terms], grads


def _keepable(value):
    """Random keys cannot be zeros, and no gradient needs them."""
    return None if jnp.issubdtype(value.dtype, jax.dtypes.prng_key) else value


def _switch(index, branches, operands) -> tuple[Any, list]:
    """Run one of several branches, each operands -> (common, its own).

    Returns what they have in common, and for every branch its own result: zeros, of the
    right shapes, for those that did not run.
    """
    own = [jax.eval_shape(branch, *operands)[1] for branch in branches]
    blank = [[jnp.zeros(s.shape, s.dtype) for s in jax.tree.leaves(o)] for o in own]

    def alone(k, branch):
        def run(*operands):
            common, mine = branch(*operands)
            results = [*blank[:k], jax.tree.leaves(mine), *blank[k + 1 :]]
            return common, results

        return run

    runs = [alone(k, branch) for k, branch in enumerate(branches)]
    common, results = lax.switch(index, runs, *operands)
    trees = map(jax.tree.structure, own)
    return common, [t.unflatten(r) for t, r in zip(trees, results, strict=True)]


BRANCHES = {"cond": Call(cond_forward, cond_backward)}

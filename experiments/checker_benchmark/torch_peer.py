"""A JAX rule as a torch.autograd.Function in float64, for torch's gradcheck."""

import jax
import jax.numpy as jnp
import numpy as np
import torch

from experiments.checker_benchmark.samples import widened
from jaxninja.mutation.operators import is_float
from jaxninja.rule import Rule


def fails(rule: Rule, seed: int, scale: float, fast: bool) -> bool:
    """Whether gradcheck at its default tolerances refuses the rule in some case."""
    for case in rule.cases:
        args = widened(rule.example(jax.random.key(seed), **case.dims), scale)
        leaves, tree = jax.tree.flatten(args)
        active = [i for i, a in enumerate(leaves) if is_float(a)]
        f = _function(rule, case.static, leaves, tree, active)
        inputs = [_tensor(leaves[i]).requires_grad_() for i in active]
        good = torch.autograd.gradcheck(
            f.apply, inputs, fast_mode=fast, raise_exception=False
        )
        if not good:
            return True
    return False


def _function(rule: Rule, static, leaves, tree, active):
    """The rule as a Function of its floating-point leaves; others are closed over."""
    fwd = jax.jit(lambda *args: rule.fwd(*args, *static))

    class Wrapped(torch.autograd.Function):
        @staticmethod
        def forward(ctx, *tensors):
            full = list(leaves)
            for i, t in zip(active, tensors, strict=True):
                full[i] = jnp.asarray(t.detach().numpy())
            value, ctx.kept = fwd(*jax.tree.unflatten(tree, full))
            flat, ctx.out_tree = jax.tree.flatten(value)
            outs = tuple(map(_tensor, flat))
            return outs if len(outs) > 1 else outs[0]

        @staticmethod
        def backward(ctx, *dys):
            flat = [jnp.asarray(d.detach().numpy()) for d in dys]
            dy = jax.tree.unflatten(ctx.out_tree, flat)
            grads = rule.bwd(*static, ctx.kept, dy)
            return tuple(_aligned(grads, leaves, tree, active))

    return Wrapped


def _aligned(grads, leaves, tree, active):
    """A gradient for each active leaf, None where the rule returned None."""
    prefix = jax.tree.unflatten(tree, leaves)
    flat = []
    for g, argument in zip(grads, prefix, strict=True):
        count = len(jax.tree.leaves(argument))
        flat += [None] * count if g is None else jax.tree.leaves(g)
    return [None if flat[i] is None else _tensor(flat[i]) for i in active]


def _tensor(a) -> torch.Tensor:
    return torch.from_numpy(np.array(a))

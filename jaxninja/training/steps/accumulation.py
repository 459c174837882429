"""The gradient of a batch in parts: one after the other, which takes memory for one, or
each on a device of its own. The sum is the same up to rounding."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import Mesh
from jax.sharding import PartitionSpec as P

from jaxninja.data.text import IGNORED


def in_parts(value_and_grad: Callable[..., Any], parts: int) -> Callable[..., Any]:
    """The same loss and gradients up to rounding, of a part of the batch at a time.

    Each part is weighted by its share of what the batch predicts: the loss is the mean
    over the labels that there are, however they are divided among the parts.

    Args:
        value_and_grad: of parameters, ids [N, T] and labels; a mean over the labels
            that are not IGNORED, and no statistics of the batch.
        parts: a divisor of N. Part k has the rows k, k + parts, ...: of a batch that is
            divided among devices each device has its share of every part.
    """
    if parts == 1:
        return value_and_grad

    def whole(params, ids, labels):
        total = jnp.maximum((labels != IGNORED).sum(), 1)

        def add(sums, part):
            counted = (part[1] != IGNORED).sum()
            share = counted / total
            found = value_and_grad(params, *part)
            return jax.tree.map(
                lambda s, g: s + share.astype(g.dtype) * g, sums, found
            ), None

        divided = (_divided(ids, parts), _divided(labels, parts))
        first = jax.tree.map(lambda a: a[0], divided)
        shapes = jax.eval_shape(value_and_grad, params, *first)
        zeros = jax.tree.map(lambda a: jnp.zeros(a.shape, a.dtype), shapes)
        return jax.lax.scan(add, zeros, divided)[0]

    return whole


def among_devices(value_and_grad: Callable[..., Any], mesh: Mesh) -> Callable[..., Any]:
    """The same loss and gradients, of a batch whose rows the devices of `mesh` share.

    Each device takes its rows by itself, and the gradients are added up once, at the
    end. XLA would add up that of an output layer at each block of its rows, and would
    not divide a loop over heads. Unchecked by `check_vma`, since within a device the
    gradient is that of its rows alone, and the one sum over devices stands below.

    Args:
        value_and_grad: as for `in_parts`.
        mesh: its devices, along "data", divide N.
    """

    def part(params, ids, labels):
        counted = (labels != IGNORED).sum()
        share = counted / jnp.maximum(jax.lax.psum(counted, "data"), 1)
        found = value_and_grad(params, ids, labels)
        return jax.lax.psum(
            jax.tree.map(lambda g: share.astype(g.dtype) * g, found), "data"
        )

    rows = P("data")
    return jax.shard_map(
        part, mesh=mesh, in_specs=(P(), rows, rows), out_specs=P(), check_vma=False
    )


def _divided(a: jax.Array, parts: int) -> jax.Array:
    """[N, ...] -> [parts, N / parts, ...]."""
    return a.reshape(-1, parts, *a.shape[1:]).swapaxes(0, 1)

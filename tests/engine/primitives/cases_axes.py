"""Inputs for operations along axes: shapes, reductions, convolution."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from tests.engine.inputs import NO_ROWS, SCALAR, TIED, X, Y, real


def dot(contract, batch=((), ()), **options):
    return lambda x, y: lax.dot_general(x, y, (contract, batch), **options)


KERNEL, PIXELS = real(4, 3, 3, 2), real(2, 5, 6, 3)
LAYOUT = ("NHWC", "HWIO", "NHWC")


def conv(strides, padding, x_dilation, w_dilation, layout=None, **groups):
    return lambda x, w: lax.conv_general_dilated(
        x, w, strides, padding, x_dilation, w_dilation, layout, **groups
    )


STRIDED = ((2, 1), ((0, 1), (2, 2)), (1, 2), (1, 2))


def pooled(how, start, window=(2, 3), strides=(1, 2), padding="SAME", *dilations):
    return lambda x: lax.reduce_window(
        x, np.asarray(start, x.dtype), how, window, strides, padding, *dilations
    )


def extrema(how, start):
    spread = ((1, 2), ((1, 0), (2, 1)), (2, 1))
    shapes = [(pooled(how, start), X), (pooled(how, start), TIED)]
    return [*shapes, (pooled(how, start, (2, 2), *spread), real(4, 5))]


def slopes_of_pooling(x, t):
    """The derivatives that JAX takes of pooling, in both modes, to walk through."""
    pool = pooled(lax.max, -np.inf)
    return jax.jvp(pool, (x,), (t,))[1], jax.vjp(pool, x)[1](pool(t))[0]


def on_this_device(x):
    mesh = jax.sharding.Mesh(np.array(jax.devices()[:1]), ("data",))
    spec = jax.sharding.PartitionSpec("data")
    return lax.with_sharding_constraint(x, jax.sharding.NamedSharding(mesh, spec))


CASES = {
    # shapes
    "reshape": [(lambda x: x.reshape(2, 6), X), (lambda x: x.reshape(-1), NO_ROWS)],
    "squeeze": [(lambda x: lax.squeeze(x, (0, 2)), real(1, 3, 1, 2))],
    "transpose": [(lambda x: x.transpose(2, 0, 1), real(2, 3, 4))],
    "broadcast_in_dim": [
        (lambda x: lax.broadcast_in_dim(x, (3, 5, 4), (0, 2)), X),
        (lambda x: lax.broadcast_in_dim(x, (2, 3, 4), (1, 2)), real(1, 4)),
        (lambda x: lax.broadcast_in_dim(x, (1, 2, 1), (0, 2)), real(1, 1)),
        (lambda x: lax.broadcast_in_dim(x, (2, 0), ()), SCALAR),
    ],
    "rev": [(lambda x: lax.rev(x, (0, 1)), X)],
    "copy": [(lambda x: lax.optimization_barrier(jnp.array(x, copy=True)), X)],
    "optimization_barrier": [(lambda x, y: lax.optimization_barrier((x, y)), X, Y)],
    "device_put": [(lambda x: jax.device_put(x * 2), X)],
    "sharding_constraint": [(on_this_device, X)],
    "slice": [
        (lambda x: lax.slice(x, (1, 0), (3, 3)), X),
        (lambda x: lax.slice(x, (0, 1), (3, 4), (2, 2)), X),
        (lambda x: lax.slice(x, (0, 1), (3, 3), (1, 3)), X),
        (lambda x: lax.slice(x, (2, 0), (2, 4), (2, 1)), X),
    ],
    "pad": [
        (lambda x, v: lax.pad(x, v, ((1, 2, 0), (0, 0, 2))), X, SCALAR),
        (lambda x, v: lax.pad(x, v, ((-1, 2, 1), (-1, -2, 0))), X, SCALAR),
    ],
    "concatenate": [
        (lambda x, y: lax.concatenate([x, y[:1], x], 0), X, Y),
        (lambda x, y: lax.concatenate([x, y], 1), X, NO_ROWS.reshape(3, 0)),
    ],
    "split": [
        (lambda x: lax.split(x, (1, 3), 1), X),
        (lambda x: lax.split(x, (1, 2), 0)[1], X),  # one piece has no cotangent
    ],
    "stack": [(lambda x, y: jnp.stack([x, y, x], 1), X, Y)],
    "unstack": [(lambda x: jnp.unstack(x, axis=1)[1:], X)],
    "tile": [(lambda x: jnp.tile(x, (2, 3)), X)],
    # reductions
    "reduce_sum": [(lambda x: x.sum((0, 2)), real(2, 3, 4)), (jnp.sum, NO_ROWS)],
    "reduce_max": [
        (lambda x: x.max(0), X),
        (lambda x: x.max(1), TIED),
        (jnp.max, TIED),
    ],
    "reduce_min": [(lambda x: x.min(0), X), (lambda x: x.min(1), TIED)],
    "reduce_prod": [
        (lambda x: x.prod((0, 2)), real(2, 3, 4)),
        (jnp.prod, np.array([2.0, 0.0, 3.0])),
        (jnp.prod, np.array([0.0, 5.0, 0.0])),
        (lambda x: x.prod(0), real(1, 4)),
        (lambda x: x.prod(0), NO_ROWS),
    ],
    "cumsum": [
        (lambda x: lax.cumsum(x, 1), X),
        (lambda x: lax.cumsum(x, 0, reverse=True), X),
    ],
    "dot_general": [
        (dot(((1,), (0,))), real(3, 4), real(4, 2)),
        (dot(((0, 2), (3, 0)), ((1,), (1,))), real(2, 5, 3), real(3, 5, 4, 2)),
        (dot(((3,), (1,)), ((2, 0), (0, 2))), real(2, 3, 5, 4), real(5, 4, 2)),
        (dot(((), ())), real(2), real(3)),
        (dot(((0,), (0,)), precision=("highest", "default")), real(3), real(3, seed=1)),
        (
            dot(((1,), (0,)), preferred_element_type=jnp.float32),
            real(3, 4).astype(np.float16),
            real(4, 2).astype(np.float16),
        ),
    ],
    "sort": [
        (lambda x: lax.sort(x, dimension=0), X),
        (lambda x, y: lax.sort((x, y), dimension=1, num_keys=1), TIED, Y),
        (lambda x: lax.sort((TIED, x), num_keys=1, is_stable=False)[1], X),
        (lambda x: lax.sort((np.arange(12).reshape(3, 4) % 3, x), num_keys=1)[1], X),
    ],
    "top_k": [
        (lambda x: lax.top_k(x, 2), X),
        (lambda x: lax.top_k(x, 3)[0], TIED),
    ],
    # convolution
    "conv_general_dilated": [
        (jnp.convolve, real(6), real(3)),
        (conv((2, 1), ((0, 1), (2, 2)), (1, 1), (1, 2)), real(2, 3, 7, 5), KERNEL),
        (conv((3, 2), ((-1, 2), (1, 0)), (2, 1), (2, 1)), real(2, 3, 7, 5), KERNEL),
        (
            conv((1, 2), ((1, 1), (0, 1)), (1, 2), (1, 1), LAYOUT),
            real(2, 5, 6, 3),
            KERNEL.T,
        ),
        *(
            (conv(*STRIDED, feature_group_count=g), real(2, 2 * g, 7, 5), real(*w))
            for g, w in ((2, (4, 2, 3, 2)), (3, (3, 2, 2, 2)))
        ),
        (conv(*STRIDED, batch_group_count=2), real(4, 3, 7, 5), KERNEL),
        (
            conv(*STRIDED, LAYOUT, feature_group_count=3),
            real(2, 5, 6, 6),
            real(3, 2, 2, 6),
        ),
        (
            conv(*STRIDED, LAYOUT, batch_group_count=2),
            real(4, 5, 6, 2),
            real(3, 2, 2, 6),
        ),
    ],
    # windows
    "reduce_window_sum": [
        (pooled(lax.add, 0.0), X),
        (
            pooled(lax.add, 0.0, (2, 2), (2, 1), ((1, 2), (0, -1)), (2, 1), (1, 2)),
            real(4, 5),
        ),
    ],
    "reduce_window_max": extrema(lax.max, -np.inf),
    "reduce_window_min": extrema(lax.min, np.inf),
    "select_and_gather_add": [(slopes_of_pooling, X, Y)],
    "select_and_scatter_add": [(slopes_of_pooling, X, Y)],
}

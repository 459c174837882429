"""What the machine allows: matrix products at the network's shapes, and copying."""

import jax
import jax.numpy as jnp
from jax import lax

from experiments.benchmarks.clock import repeated

N, K, H, V = 32, 30, 200, 27
STEP_FLOPS = 6 * N * (K * H + H * V)  # 2.19 million: two layers, three products each

# the six products of a step: shapes of a and b, and the axes that are summed over
PRODUCTS = {
    "embcat @ W1": ((N, K), (K, H), 1, 0),
    "W2T @ h.T": ((V, H), (N, H), 1, 1),
    "dlogits @ W2T": ((N, V), (V, H), 1, 0),
    "dlogits.T @ h": ((V, N), (N, H), 1, 0),
    "W1 @ dhprebn.T": ((K, H), (N, H), 1, 1),
    "embcat.T @ dhprebn": ((K, N), (N, H), 1, 0),
    "1024 x 1024 x 1024": ((1024, 1024), (1024, 1024), 1, 0),
}


def contenders():
    """Name -> function that repeats a product, or a copy, so many times."""
    made = {name: _product(*spec) for name, spec in PRODUCTS.items()}
    return made | {"copy of 256 MiB": _copy(2**26)}


def flops(name: str) -> int:
    a, b, _, axis_b = PRODUCTS[name]
    return 2 * a[0] * a[1] * b[1 - axis_b]


def _product(shape_a, shape_b, axis_a, axis_b):
    keys = jax.random.split(jax.random.key(0))
    a, b = (
        jax.random.normal(k, s) for k, s in zip(keys, (shape_a, shape_b), strict=True)
    )
    axes = (((axis_a,), (axis_b,)), ((), ()))

    def once(_, a):
        out = lax.dot_general(a, b, axes)
        return lax.dynamic_update_slice(a, 1e-9 * out[:1, :1], (0, 0))

    run = jax.jit(lambda a, count: lax.fori_loop(0, count, once, a))
    return lambda count: jax.block_until_ready(run(a, count))


def _copy(size):
    x = jnp.ones(size)
    run = jax.jit(lambda x: x + 1)
    return repeated(lambda: jax.block_until_ready(run(x)))

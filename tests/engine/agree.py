"""Is a gradient of the engine that of JAX? By default to 1e-12 of its largest entry."""

import chex
import jax
import jax.numpy as jnp
import numpy as np

from jaxninja.check.subject.compilation import compiled
from jaxninja.engine import PRIMITIVES, backward, trace


def same(mine, truth, tolerance=1e-12):
    """Every leaf, in shape, dtype and value; infinities and NaNs in the same places."""
    chex.assert_trees_all_equal_shapes_and_dtypes(mine, truth)
    for a, b in zip(jax.tree.leaves(mine), jax.tree.leaves(truth), strict=True):
        wide = np.complex128 if a.dtype.kind == "c" else np.float64
        a, b = np.asarray(a, wide), np.asarray(b, wide)
        finite = np.isfinite(b)
        np.testing.assert_array_equal(a[~finite], b[~finite])
        scale = abs(b[finite]).max(initial=0.0)
        # an absolute 1e-300 lets denormal numbers be rounded
        assert abs(a[finite] - b[finite]).max(initial=0.0) <= tolerance * scale + 1e-300


def weights(tree, seed=0):
    """A dense random cotangent for every leaf; float0 zeros for integers."""
    rng = np.random.default_rng(seed)

    def one(y):
        if jnp.issubdtype(y.dtype, jnp.complexfloating):
            return jnp.asarray(rng.normal(size=(*y.shape, 2)) @ [1, 1j], y.dtype)
        if jnp.issubdtype(y.dtype, jnp.floating):
            return jnp.asarray(rng.normal(size=y.shape), y.dtype)
        return np.zeros(y.shape, jax.dtypes.float0)

    return jax.tree.map(one, tree)


def vjps(f, *args, rules=PRIMITIVES):
    """(value, gradients) by the engine and by JAX, of arguments that can move."""
    graph = trace(f, *args, rules=rules)
    grads = backward(graph, weights(graph.output)).arguments
    mine = graph.output, tuple(grads[k] for k in moving(args))
    return mine, jax_vjp(f, *args)


def jax_vjp(f, *args):
    places = moving(args)

    def of_moving(*given):
        filled = list(args)
        for k, a in zip(places, given, strict=True):
            filled[k] = a
        return f(*filled)

    value, pull = jax.vjp(of_moving, *(args[k] for k in places))
    return value, pull(weights(value))


def moving(args):
    return [k for k, a in enumerate(args) if jnp.issubdtype(a.dtype, jnp.inexact)]


def agree(f, *args, tolerance=1e-12, rules=PRIMITIVES):
    """Compiled, as one XLA program is quicker than each operation by itself."""
    args = [jax.device_put(np.asarray(a)) for a in args]
    both = compiled(lambda args: vjps(f, *args, rules=rules))
    same(*both(args), tolerance)

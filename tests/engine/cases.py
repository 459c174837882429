"""Inputs for every primitive of the table: generic ones, ties, kinks and edges.

A case is a function that uses the primitive, and its arguments; the gradient is taken
with respect to all floating arguments.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxninja.engine.table import FAMILIES, primitive


def real(*shape, seed=0, low=-2.0, high=2.0):
    """Generic numbers: no zeros, no ones, no symmetry."""
    return np.random.default_rng([seed, *shape]).uniform(low, high, shape)


X, Y = real(3, 4), real(3, 4, seed=1)
ABOVE = real(3, 4, low=0.1, high=3)  # for log, sqrt, ...
INSIDE = real(3, 4, low=-0.9, high=0.9)  # for asin, atanh, ...
SCALAR = np.float64(1.3)
TIED = np.array([[1.0, 2.0, 2.0, -1.0], [0.0, 0.0, 0.0, 0.0], [3.0, 1.0, 2.0, 3.0]])
EDGE = np.array([-1.0, -0.0, 0.0, 1.0, 2.0, 1e-300, 1e3])
NO_ROWS = np.zeros((0, 4))


def unary(f, x=X, *more):
    return [(f, x), (f, SCALAR if x is not INSIDE else np.float64(0.3)), *more]


def at(x, mode=None):
    return lambda i: lambda x: x.at[i].get(mode=mode)


def dot(contract, batch=((), ()), **options):
    return lambda x, y: lax.dot_general(x, y, (contract, batch), **options)


def clamped(low, high):
    def f(x):
        return lax.clamp(jnp.asarray(low, x.dtype), x, jnp.asarray(high, x.dtype))

    return f


def switch_off(x, y):
    return lax.stop_gradient(x) * y


@jax.custom_vjp
def doubled(x, n):
    return jnp.sin(x) * n


doubled.defvjp(
    lambda x, n: (jnp.sin(x) * n, (jnp.cos(x), n)),
    lambda res, dy: (2 * dy * res[0] * res[1], None),  # wrong on purpose: twice
)


@jax.custom_jvp
def tripled(x, y):
    return jnp.sin(x) * y, x + y


@tripled.defjvp
def tripled_jvp(primals, tangents):
    (x, y), (dx, dy) = primals, tangents
    return tripled(x, y), (3 * jnp.cos(x) * y * dx + dy, dx)


def body(c, x):
    return jnp.tanh(c * x), c + x


def scanned(c, xs):
    return lax.scan(body, c, xs)


def recurrent(w, h, xs):
    def step(h, x):
        h = jnp.tanh(h @ w + x)
        return h, lax.stop_gradient(h) * w.sum()

    return lax.scan(step, h, xs)


def branches(x):
    return lax.cond(x[0, 0] > 0, jnp.sin, lambda x: x * x, x)


SCATTER_ROWS = np.array([2, 0, 2])  # row 2 twice
ROWS = real(3, 4, seed=5)


def on_this_device(x):
    mesh = jax.sharding.Mesh(np.array(jax.devices()[:1]), ("data",))
    spec = jax.sharding.PartitionSpec("data")
    return lax.with_sharding_constraint(x, jax.sharding.NamedSharding(mesh, spec))


CASES = {
    # elementwise
    "add": [
        (lax.add, X, Y),
        (lambda x, y: x + lax.add(x, y), X, SCALAR),
        (lax.add, real(3, 1), Y),
    ],
    "add_jaxvals": [(lambda x: jax.vjp(lambda x: jnp.sin(x) * x, x)[1](x)[0], X)],
    "sub": [(lax.sub, X, Y), (lax.sub, SCALAR, Y)],
    "mul": [(lax.mul, X, Y), (lax.mul, X, SCALAR), (lambda x: x * x, X)],
    "div": [(lax.div, X, Y), (lax.div, SCALAR, Y), (lax.div, EDGE, EDGE[::-1])],
    "neg": unary(lax.neg),
    "pow": [
        (lax.pow, ABOVE, Y),
        (lax.pow, ABOVE, SCALAR),
        (lax.pow, np.array([0.0, 0.0, 0.0, 2.0]), np.array([0.5, 1.0, 0.0, 0.0])),
        (
            lambda x: lax.pow(x, np.array([0, 1, 2, -1])),
            np.array([0.0, 0.0, -2.0, 3.0]),
        ),
    ],
    "integer_pow": [
        (lambda x, n=n: lax.integer_pow(x, n), x)
        for n in (0, 1, 2, 3, -1, -2)
        for x in (X, EDGE)
    ],
    "square": unary(lax.square),
    "sqrt": unary(lax.sqrt, ABOVE, (lax.sqrt, EDGE[1:])),
    "rsqrt": unary(lax.rsqrt, ABOVE, (lax.rsqrt, EDGE[2:])),
    "cbrt": unary(lax.cbrt),
    "exp": unary(lax.exp, X, (lax.exp, NO_ROWS)),
    "exp2": unary(lax.exp2),
    "expm1": unary(lax.expm1, X, (lax.expm1, EDGE)),
    "log": unary(lax.log, ABOVE, (lax.log, EDGE)),
    "log2": [(lambda x: jnp.log2(x), ABOVE)],
    "log1p": unary(lax.log1p, ABOVE, (lax.log1p, EDGE)),
    "logistic": unary(lax.logistic, X, (lax.logistic, 30 * X)),
    "tanh": unary(lax.tanh, X, (lax.tanh, 10 * X)),
    "convert_element_type": [
        (lambda x: x.astype(jnp.float32), X),
        (lambda x: x.astype(jnp.int32) * x, X),
    ],
    "reduce_precision": [(lambda x: lax.reduce_precision(x, 8, 7), X)],
    # special
    "sinh": unary(lax.sinh),
    "cosh": unary(lax.cosh),
    "asinh": unary(lax.asinh),
    "acosh": [(lax.acosh, 1.5 + ABOVE)],
    "atanh": unary(lax.atanh, INSIDE),
    "sin": unary(lax.sin),
    "cos": unary(lax.cos),
    "tan": unary(lax.tan),
    "asin": unary(lax.asin, INSIDE),
    "acos": unary(lax.acos, INSIDE),
    "atan": unary(lax.atan),
    "atan2": [(lax.atan2, X, Y), (lax.atan2, X, SCALAR)],
    "erf": unary(lax.erf),
    "erfc": unary(lax.erfc),
    "erf_inv": unary(lax.erf_inv, INSIDE),
    "lgamma": unary(lax.lgamma, ABOVE),
    "digamma": unary(lax.digamma, ABOVE),
    "one_minus_square": [(lambda x: lax.one_minus_square(x), X)],
    "polynomial": [(lambda x, a, b, c: lax.polynomial(x, [a, b, c]), X, Y, Y + 1, X)],
    # kinks
    "abs": unary(lax.abs, X, (lax.abs, EDGE)),
    "max": [(lax.max, X, Y), (lax.max, X, SCALAR), (lax.max, TIED[0], TIED[2])],
    "min": [(lax.min, X, Y), (lax.min, SCALAR, X), (lax.min, TIED[0], TIED[2])],
    "rem": [(lax.rem, X, Y), (lax.rem, 5 * X, SCALAR)],
    "clamp": [
        (lax.clamp, X, Y, X + 1),
        (lax.clamp, X, Y, X - 1),
        (lax.clamp, 0 * EDGE, EDGE, 0 * EDGE + 1),
        (lax.clamp, 0 * EDGE, EDGE, 0 * EDGE),
        # with scalar bounds JAX differentiates x alone
        (clamped(-0.5, 0.7), X),
        (clamped(0.0, 1.0), EDGE),
        (clamped(1.0, -1.0), EDGE),
    ],
    "select_n": [
        (lambda x, y: lax.select_n(X > 0, x, y), X, Y),
        (lambda x, y: lax.select_n(np.True_, x, y), X, Y),
        (lambda x, y: lax.select_n(np.array([2, 0, 1, 2]), x[0], y[1], x[2]), X, Y),
    ],
    **{
        name: [(lambda x, f=f: f(x) * x, 3 * X)]
        for name, f in {
            "ceil": lax.ceil,
            "floor": lax.floor,
            "round": lax.round,
            "sign": lax.sign,
        }.items()
    },
    "stop_gradient": [(switch_off, X, Y)],
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
        (lambda x: lax.sort((np.arange(12).reshape(3, 4) % 3, x), num_keys=1)[1], X),
    ],
    "top_k": [
        (lambda x: lax.top_k(x, 2), X),
        (lambda x: lax.top_k(x, 3)[0], TIED),
    ],
    # indexing
    "gather": [
        (lambda x: x[np.array([[0, 2], [2, 2]])], X),
        (lambda x: x[np.array([0, -1]), np.array([3, 3])], X),
        (lambda x: x[:, np.array([1, 1, 0])], X),
        (lambda x: x.at[np.array([0, 7])].get(mode="clip"), X),
        (lambda x: x.at[np.array([0, 7])].get(mode="fill", fill_value=0), X),
        (lambda x: jnp.take_along_axis(x, np.array([[0], [3], [3]]), 1), X),
        (jax.vmap(lambda x, i: x[i], in_axes=(0, None)), X, np.array([1, 1, 2])),
    ],
    "scatter": [
        (lambda x, v: x.at[SCATTER_ROWS].set(v), X, ROWS),
        (lambda x, v: x.at[np.array([0, 7])].set(v, mode="drop"), X, ROWS[:2]),
        (lambda x, v: x.at[1:, 2].set(v), X, SCALAR),
    ],
    "scatter-add": [
        (lambda x, v: x.at[SCATTER_ROWS].add(v), X, ROWS),
        (lambda x, v: x.at[:, np.array([0, 0, 9])].add(v), X, real(3, 3)),
        (jax.vmap(lambda x, v: x.at[np.array([0, 0])].add(v)), X, ROWS[:, :2]),
    ],
    "scatter-sub": [(lambda x, v: x.at[SCATTER_ROWS].subtract(v), X, ROWS)],
    "dynamic_slice": [
        (lambda x, i=i: lax.dynamic_slice(x, (jnp.asarray(i), 1), (2, 2)), X)
        for i in (0, 9)
    ],
    "dynamic_update_slice": [
        (lambda x, v, i=i: lax.dynamic_update_slice(x, v, (jnp.asarray(i), 1)), X, w)
        for i, w in ((0, real(2, 2)), (9, real(1, 3)))
    ],
    # calls
    **{
        name: [
            (lambda x, f=f: f(x, 1), X),
            (lambda x, f=f: f(x, 0, reverse=True), TIED),
        ]
        for name, f in {
            "cumlogsumexp": lax.cumlogsumexp,
            "cummax": lax.cummax,
            "cummin": lax.cummin,
            "cumprod": lax.cumprod,
        }.items()
    },
    "custom_jvp_call": [
        (tripled, X, Y),
        (jax.nn.relu, TIED - 1),
        (jax.nn.relu6, 5 * X),
    ],
    "custom_vjp_call": [(lambda x: doubled(x, 3), X)],
    "remat": [(jax.checkpoint(lambda x: jnp.sin(jnp.sin(x)) * x), X)],
    # loops
    "scan": [
        (scanned, Y[0], X),
        (lambda c, x: lax.scan(body, c, x, reverse=True)[0], Y[0], X),
        (recurrent, real(4, 4), Y[0], X),
        (lambda x: lax.fori_loop(0, 3, lambda i, c: c * x + i, x), X),
        (lambda x: lax.scan(lambda c, _: (c, x * 2), 0, None, length=2)[1], X),
        (lambda c: lax.scan(lambda c, k: (c + k, c), c, np.arange(3)), SCALAR),
    ],
    "cond": [
        (branches, X),
        (branches, -X),
        (lambda x, i: lax.switch(i, [jnp.sin, jnp.exp, lax.neg], x), X, np.int32(2)),
    ],
}

# the walk stops at a while loop; a test of its own says how
WITHOUT_GRADIENT = {"while"}

PRIMITIVE_NAMES = [
    name
    for family in FAMILIES.values()
    for name in family
    if primitive(name) is not None and name not in WITHOUT_GRADIENT
]

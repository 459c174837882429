"""SciPy's solvers behind a pure_callback, with their own derivatives."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import scipy.optimize
import scipy.sparse
import scipy.sparse.linalg

from experiments.checker_benchmark.strangers.record import (
    Stranger,
    Twin,
    by_reference,
    collect,
    normal,
    positive,
)

CASES: list[Stranger] = []
case = collect(CASES)

ROW = np.array([0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 1, 3])
COLUMN = np.array([0, 1, 1, 2, 2, 3, 3, 4, 4, 0, 4, 0])


def network(rng):
    values = jnp.where(ROW == COLUMN, 3, 0) + 0.5 * normal(rng, len(ROW))
    return values.astype(jnp.float32), normal(rng, 5)


@case(
    "scipy.sparse.linalg.spsolve by a callback, in flow and circuit models in JAX",
    "linear solve",
    network,
    Twin(
        "adjoint not transposed",
        "transpose|operand",
        "values b",
        "The adjoint system is solved with the matrix as it is.",
    ),
    Twin(
        "rows for columns",
        "transpose|swap|index",
        "values",
        "An entry's gradient has solution and adjoint at each other's places.",
    ),
    Twin("sign", "sign|ratio", "values", "The entries' gradient has no sign."),
    options=by_reference,
    narrow=False,
)
def scipy_sparse_solve(slip):
    def host(values, b, transposed):
        at = (COLUMN, ROW) if transposed else (ROW, COLUMN)
        matrix = scipy.sparse.csc_matrix((np.asarray(values), at), (len(b), len(b)))
        x = scipy.sparse.linalg.spsolve(matrix, np.asarray(b))
        return x.astype(np.asarray(b).dtype)

    def called(values, b, transposed):
        def solve(v, right):
            return host(v, right, transposed)

        shape = jax.ShapeDtypeStruct(b.shape, b.dtype)
        return jax.pure_callback(solve, shape, values, b, vmap_method="sequential")

    def plain(values, b):
        dense = jnp.zeros((len(b), len(b)), values.dtype).at[ROW, COLUMN].add(values)
        return jnp.linalg.solve(dense, b)

    @jax.custom_vjp
    def solve(values, b):
        return called(values, b, False)

    def fwd(values, b):
        x = called(values, b, False)
        return x, (values, x)

    def bwd(res, g):
        values, x = res
        y = called(values, g, slip != "adjoint not transposed")
        if slip == "rows for columns":
            return -y[COLUMN] * x[ROW], y
        dvalues = y[ROW] * x[COLUMN]
        return dvalues if slip == "sign" else -dvalues, y

    solve.defvjp(fwd, bwd)
    return solve, plain


def detections(rng):
    truth = positive(rng, 2, 4, 2, low=0.0, high=1.0)
    return positive(rng, 2, 4, 2, low=0.0, high=1.0), truth


@case(
    "DETR's matching of boxes by scipy.optimize.linear_sum_assignment in a callback",
    "detection loss",
    detections,
    Twin(
        "order as given",
        "residual|operand|index|term|path",
        "boxes truth",
        "The gradient pairs boxes and targets in the order in which they came.",
    ),
    Twin(
        "inverse matching",
        "index|transpose|residual",
        "truth",
        "The targets' gradient is sent along the matching, not back.",
        witness=lambda rng: (_cycle(rng), _corners(rng)),
    ),
    Twin(
        "boxes counted twice",
        "ratio|factor",
        "boxes truth",
        "Divided by the number of boxes twice.",
    ),
    options=by_reference,
    narrow=False,
)
def hungarian_matching(slip):
    def matched(cost):
        def host(c):
            found = [
                scipy.optimize.linear_sum_assignment(m)[1]
                for m in np.asarray(c).reshape(-1, *c.shape[-2:])
            ]
            return np.stack(found).astype(np.int32).reshape(c.shape[:-1])

        shape = jax.ShapeDtypeStruct(cost.shape[:-1], jnp.int32)
        return jax.pure_callback(host, shape, cost, vmap_method="sequential")

    def costs(boxes, truth):
        return jnp.abs(boxes[:, :, None] - truth[:, None]).sum(-1)

    def plain(boxes, truth):
        n = boxes.shape[1]
        orders = np.array(list(itertools.permutations(range(n))))
        every = costs(boxes, truth)[:, np.arange(n), orders].sum(-1)
        return every.min(1).mean() / n

    def forward(boxes, truth):
        cost = costs(boxes, truth)
        order = matched(cost)
        least = jnp.take_along_axis(cost, order[..., None], -1)
        return least.mean(), order

    @jax.custom_vjp
    def loss(boxes, truth):
        return forward(boxes, truth)[0]

    def fwd(boxes, truth):
        value, order = forward(boxes, truth)
        return value, (boxes, truth, order)

    def bwd(res, g):
        boxes, truth, order = res
        if slip == "order as given":
            order = jnp.broadcast_to(jnp.arange(order.shape[1]), order.shape)
        met = jnp.take_along_axis(truth, order[..., None], 1)
        d = g / order.size * jnp.sign(boxes - met)
        if slip == "boxes counted twice":
            d = d / order.shape[1]
        back = order if slip == "inverse matching" else jnp.argsort(order, 1)
        return d, -jnp.take_along_axis(d, back[..., None], 1)

    loss.defvjp(fwd, bwd)
    return loss, plain


def _corners(rng):
    corners = jnp.array([[0, 0], [0, 1], [1, 0], [1, 1.0]], jnp.float32)
    return corners + 0.1 * normal(rng, 6, 4, 2)


def _cycle(rng):
    return jnp.roll(_corners(rng), 1, axis=1) + 0.1 * normal(rng, 6, 4, 2)

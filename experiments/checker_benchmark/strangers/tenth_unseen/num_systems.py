"""Systems of equations, tensors and roots."""

from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from experiments.checker_benchmark.strangers.record import (
    Stranger,
    Twin,
    collect,
    normal,
    positive,
)

CASES: list[Stranger] = []
case = collect(CASES)


@case(
    "arrowhead systems of bundle adjustment, by Schur's complement, in jax",
    "structured solve",
    lambda rng: (
        positive(rng, 4),
        normal(rng, 4, std=0.3),
        jnp.asarray(3.0, jnp.float32),
        normal(rng, 5),
    ),
    Twin(
        "border counted once",
        "term|path|factor",
        "border",
        "The border's gradient is that of its row; its column's is forgotten.",
    ),
    Twin(
        "sign",
        "sign",
        "diag border corner",
        "The matrix's gradient has the wrong sign.",
    ),
    Twin(
        "right side",
        "function|term|operand|residual",
        "rhs",
        "The right side's gradient is the cotangent, without a solve.",
    ),
    narrow=False,
    scales=(1.0,),
    fixed=(0, 1, 2),
)
def arrow_matrix_solve(slip):
    # [diag(d) w; w^T c] x = r
    def solve(diag, border, corner, rhs):
        top, last = rhs[:-1], rhs[-1]
        s = corner - (border / diag) @ border
        y = (last - (border / diag) @ top) / s
        return jnp.concatenate([(top - border * y) / diag, y[None]])

    plain = solve
    arrow = jax.custom_vjp(solve)

    def fwd(diag, border, corner, rhs):
        x = solve(diag, border, corner, rhs)
        return x, (diag, border, corner, x)

    def bwd(res, g):
        diag, border, corner, x = res
        lam = solve(diag, border, corner, g)
        sign = 1 if slip == "sign" else -1
        dborder = sign * lam[:-1] * x[-1]
        if slip != "border counted once":
            dborder = dborder + sign * lam[-1] * x[:-1]
        drhs = g if slip == "right side" else lam
        return sign * lam[:-1] * x[:-1], dborder, sign * lam[-1] * x[-1], drhs

    arrow.defvjp(fwd, bwd)
    return arrow, plain


@case(
    "tensorly's CP decomposition as a layer in jax",
    "tensor factorisation",
    lambda rng: (
        [normal(rng, 3, 2), normal(rng, 4, 2), normal(rng, 5, 2)],
        normal(rng, 3, 4, 5),
    ),
    Twin(
        "mode",
        "swap|operand|index|residual|function",
        "factors",
        "The first mode's product takes the first factor in place of the second.",
    ),
    Twin(
        "tensor",
        "sign",
        "tensor",
        "The tensor's gradient has the sign of the reconstruction's.",
    ),
    Twin(
        "two",
        "factor|ratio",
        "factors",
        "The factors' gradients lack the 2 of the square.",
    ),
)
def cp_reconstruction_loss(slip):
    def rebuilt(factors):
        return jnp.einsum("ir,jr,kr->ijk", *factors)

    def plain(factors, tensor):
        return ((rebuilt(factors) - tensor) ** 2).sum()

    loss = jax.custom_vjp(plain)

    def fwd(factors, tensor):
        R = rebuilt(factors) - tensor
        return (R * R).sum(), (factors, R)

    def bwd(saved, g):
        (A, B, C), R = saved
        R = 2 * g * R
        S = R / 2 if slip == "two" else R
        dA = jnp.einsum("ijk,jr,kr->ir", S, B, C)
        if slip == "mode":
            dA = jnp.einsum("ijk,jr,kr->ir", S, jnp.roll(B, 1, 0), C)
        dB = jnp.einsum("ijk,ir,kr->jr", S, A, C)
        dC = jnp.einsum("ijk,ir,jr->kr", S, A, B)
        return [dA, dB, dC], R if slip == "tensor" else -R

    loss.defvjp(fwd, bwd)
    return loss, plain


@case(
    "inverse of a monotone map by Newton's method (flows), implicit gradient",
    "root by iteration",
    lambda rng: (normal(rng, 5), positive(rng, 5), positive(rng, 5)),
    Twin(
        "slope",
        "term|factor|function|path",
        "y a b",
        "The slope at the root lacks the cubic part.",
    ),
    Twin(
        "sign",
        "sign",
        "a b",
        "The parameters' gradients have the sign of y's.",
    ),
    Twin(
        "power",
        "power|factor|function|operand|residual",
        "b",
        "The cubic coefficient's gradient takes the square of the root.",
    ),
    options=lambda plain: {"reference": plain},
    narrow=False,
    scales=(0.3, 1.0, 3.0),
)
def implicit_cubic_inverse(slip):
    # a x + b x^3 = y
    def newton(y, a, b):
        def body(_, x):
            return x - (a * x + b * x**3 - y) / (a + 3 * b * x * x)

        return lax.fori_loop(0, 40, body, y / (a + b))

    def plain(y, a, b):
        # Cardano's, in hyperbolic form
        p, q = a / b, y / b
        s = jnp.sqrt(p / 3)
        return 2 * s * jnp.sinh(jnp.arcsinh(q / (2 * s**3)) / 3)

    inverse = jax.custom_vjp(newton)

    def fwd(y, a, b):
        x = newton(y, a, b)
        return x, (x, a, b)

    def bwd(res, g):
        x, a, b = res
        slope = a if slip == "slope" else a + 3 * b * x**2
        lam = g / slope
        s = 1 if slip == "sign" else -1
        return lam, s * lam * x, s * lam * (x**2 if slip == "power" else x**3)

    inverse.defvjp(fwd, bwd)
    return inverse, plain


@partial(
    jax.tree_util.register_dataclass,
    data_fields=["val", "row", "col"],
    meta_fields=["n"],
)
@dataclass(frozen=True)
class Coo:
    val: jax.Array
    row: jax.Array
    col: jax.Array
    n: int


@case(
    "sparse matrices in coordinate form as dataclasses (jax.experimental.sparse)",
    "sparse product with a dataclass",
    lambda rng: (
        Coo(
            normal(rng, 6),
            jnp.asarray([0, 0, 1, 3, 3, 2], jnp.int32),
            jnp.asarray([1, 2, 0, 3, 1, 3], jnp.int32),
            5,
        ),
        normal(rng, 4, 2),
    ),
    Twin(
        "not transposed",
        "transpose|swap|operand|index|residual",
        "dense",
        "The dense side's gradient gathers and scatters at exchanged indices.",
    ),
    Twin(
        "repeats",
        "duplicates|index|sum",
        "dense",
        "A column that several entries read keeps the last one's gradient.",
    ),
    Twin(
        "rows of the wrong side",
        "index|operand|swap|residual",
        "sparse",
        "Values take the cotangent's rows at their columns.",
    ),
)
def coo_matrix_product(slip):
    def plain(sparse, dense):
        out = jnp.zeros((sparse.n, dense.shape[1]), dense.dtype)
        return out.at[sparse.row].add(sparse.val[:, None] * dense[sparse.col])

    spmm = jax.custom_vjp(plain)

    def spmm_fwd(sparse, dense):
        return plain(sparse, dense), (sparse, dense)

    def spmm_bwd(res, g):
        sparse, dense = res
        r, c = sparse.row, sparse.col
        at = c if slip == "rows of the wrong side" else r
        dval = jnp.einsum("ek,ek->e", g[at], dense[c])
        if slip == "not transposed":
            ddense = jnp.zeros_like(dense).at[r].add(sparse.val[:, None] * g[c])
        elif slip == "repeats":
            ddense = jnp.zeros_like(dense).at[c].set(sparse.val[:, None] * g[r])
        else:
            ddense = jnp.zeros_like(dense).at[c].add(sparse.val[:, None] * g[r])
        no = lambda i: np.zeros(i.shape, jax.dtypes.float0)  # noqa: E731
        return Coo(dval, no(r), no(c), sparse.n), ddense

    spmm.defvjp(spmm_fwd, spmm_bwd)
    return spmm, plain

"""The solution of A x = b for a symmetric, positive definite A.

    A = L @ L.T (Cholesky)       y = L \\ b       x = L.T \\ y

However x is computed, it satisfies A x = b. Perturb that equation:

    dA x + A dx = db     so      dx = A \\ (db - dA x)

Transposed: a cotangent dx of x first goes through the same solve, A being symmetric,

    w = A \\ dx                  db = w          dA = -w @ x.T

and since only the symmetric part of A is used, (A + A.T) / 2, dA is made symmetric too:

    dA = -(w @ x.T + x @ w.T) / 2

One more solve with the L that is there already, a sum of outer products, and no
derivative of the factorisation itself.

Check: n = 1: x = b / A, db = dx / A, dA = -b dx / A^2. A = I gives db = dx.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxninja.rule import Case, Rule
from jaxninja.rules.solvers.symmetric import factor, right_side, solve, square


class Residuals(NamedTuple):
    L: jax.Array  # [n, n], in float32 at least: nothing is factored twice
    x: jax.Array  # [n] or [n, k], the output: held anyway; b is not kept


@jax.custom_vjp
def cholesky_solve(
    A: Float[Array, "n n"], b: Float[Array, "n *k"]
) -> Float[Array, "n *k"]:
    """Solve A x = b, A symmetric and positive definite, by its Cholesky factor.

    Args:
        A: [n, n]; (A + A.T) / 2 is what counts, and so dA is symmetric.
        b: [n], or [n, k] for k right-hand sides.

    Returns:
        x, of the shape of b; NaN where A is not positive definite. In bfloat16 and
        float16 it is computed in float32.

    Raises:
        ValueError: A is not square, b does not fit, or they are not of one
            floating-point type.

    Source: Giles 2008, Collected Matrix Derivative Results.
    """
    return cholesky_solve_fwd(A, b)[0]


def cholesky_solve_fwd(A, b):
    square("cholesky_solve", A)
    right_side("cholesky_solve", A, b)
    L = factor(A)
    x = solve(L, b).astype(b.dtype)
    return x, Residuals(L, x)


def cholesky_solve_bwd(res, dx):
    """Returns dA [n, n], symmetric, and db of the shape of b."""
    L, x = res
    w = solve(L, dx)
    outer = _columns(w) @ _columns(x.astype(w.dtype)).T
    return (-(outer + outer.T) / 2).astype(dx.dtype), w.astype(dx.dtype)


cholesky_solve.defvjp(cholesky_solve_fwd, cholesky_solve_bwd)


def cholesky_solve_jvp(primals, tangents):
    x, (L, _) = cholesky_solve_fwd(*primals)
    dA, db = tangents
    return x, solve(L, db - (dA + dA.T) / 2 @ x).astype(x.dtype)


def plain(A, b):
    """The factor by JAX and two triangular solves, left to `jax.vjp`."""
    square("cholesky_solve", A)
    right_side("cholesky_solve", A, b)
    return solve(factor(A), b).astype(b.dtype)


def _columns(x):
    return x[:, None] if x.ndim == 1 else x


def example(key, n, k):
    key_A, key_b = jax.random.split(key)
    M = jax.random.normal(key_A, (n, n))
    return M @ M.T / n + jnp.eye(n), jax.random.normal(key_b, (n, k))


rule = Rule(
    op=cholesky_solve,
    fwd=cholesky_solve_fwd,
    bwd=cholesky_solve_bwd,
    jvp=cholesky_solve_jvp,
    example=example,
    reference=plain,
    cases=(Case({"n": 5, "k": 3}), Case({"n": 1, "k": 1}), Case({"n": 4, "k": 4})),
    bench=Case({"n": 512, "k": 64}),
    source="Giles 2008, Collected Matrix Derivative Results",
)

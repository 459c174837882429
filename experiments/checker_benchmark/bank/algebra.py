"""Linear algebra: dy of a matrix function turned round by transposes and solves.

With Y = A^-1, perturbing A Y = I gives dY = -Y dA Y, hence dA = -Y^T dY Y^T.
"""

import jax.numpy as jnp
import numpy as np
from jax.scipy.linalg import solve_triangular

from experiments.checker_benchmark.bank.record import (
    array,
    generator,
    normal,
    record,
    sizes,
)


def inverse(a):
    return jnp.linalg.inv(a)


def inverse_fwd(a):
    y = jnp.linalg.inv(a)
    return y, y


def inverse_bwd(y, dy):
    return (-y.T @ dy @ y.T,)


def cholesky_solve(a, b):
    """x with a x = b, by the Cholesky factor of the symmetric part of a."""
    return cholesky_solve_fwd(a, b)[0]


def cholesky_solve_fwd(a, b):
    L = jnp.linalg.cholesky((a + a.T) / 2)
    x = _solve(L, b)
    return x, (L, x)


def _solve(L, b):
    half = solve_triangular(L, b, lower=True)
    return solve_triangular(L, half, lower=True, trans=1)


def cholesky_solve_bwd(res, dy):
    L, x = res
    db = _solve(L, dy)
    da = -db @ x.T
    return (da + da.T) / 2, db


def logdet(a):
    """log |det a|."""
    return jnp.linalg.slogdet(a)[1]


def logdet_fwd(a):
    return logdet(a), jnp.linalg.inv(a)


def logdet_bwd(inv, dy):
    return (dy * inv.T,)


def determinant(a):
    return jnp.linalg.det(a)


def determinant_fwd(a):
    wide = a.astype(jnp.promote_types(a.dtype, jnp.float32))  # no svd in bfloat16
    return jnp.linalg.det(a), (*jnp.linalg.svd(wide),)


def determinant_bwd(res, dy):
    """dy times the cofactors of a = u s vt, which a singular matrix has too."""
    u, s, vt = res
    others = jnp.where(jnp.eye(s.size, dtype=bool), 1, s).prod(-1)
    sign = jnp.linalg.det(u) * jnp.linalg.det(vt)
    return ((dy * sign * (u * others) @ vt).astype(dy.dtype),)


def trace_product(a, b):
    """trace(a b)."""
    return jnp.trace(a @ b)


def trace_product_fwd(a, b):
    return trace_product(a, b), (a, b)


def trace_product_bwd(res, dy):
    a, b = res
    return dy * b.T, dy * a.T


def triangular_solve(L, b):
    """x with L x = b; only the lower triangle of L is read."""
    return solve_triangular(L, b, lower=True)


def triangular_solve_fwd(L, b):
    x = triangular_solve(L, b)
    return x, (L, x)


def triangular_solve_bwd(res, dy):
    L, x = res
    db = solve_triangular(L, dy, lower=True, trans=1)
    return jnp.tril(-db @ x.T), db


def gram(x):
    return x @ x.T


def gram_fwd(x):
    return x @ x.T, x


def gram_bwd(x, dy):
    return ((dy + dy.T) @ x,)


def quadratic_form(x, a):
    """x^T a x, a number a row of x."""
    return jnp.einsum("ni,ij,nj->n", x, a, x)


def quadratic_form_fwd(x, a):
    return quadratic_form(x, a), (x, a)


def quadratic_form_bwd(res, dy):
    x, a = res
    g = dy[:, None]
    return g * (x @ (a + a.T)), (g * x).T @ x


def frobenius(a):
    """sqrt of the sum of squares."""
    return jnp.sqrt((a * a).sum())


def frobenius_fwd(a):
    norm = frobenius(a)
    return norm, (a, norm)


def frobenius_bwd(res, dy):
    a, norm = res
    return (dy * a / norm,)


def matrix_square(a):
    return a @ a


def matrix_square_fwd(a):
    return a @ a, a


def matrix_square_bwd(a, dy):
    return (dy @ a.T + a.T @ dy,)


def well_conditioned(key, D):
    """A matrix far from singular: the identity times D plus noise."""
    return (_near_identity(generator(key), {"D": D}),)


def _near_identity(rng, dims):
    D = dims["D"]
    return array(rng, "D D", dims, 0.1, 0.8) + D * np.eye(D, dtype=np.float32)


def definite_and_right(key, D, K):
    """A symmetric positive definite matrix and right-hand sides."""
    rng, dims = generator(key), {"D": D, "K": K}
    m = array(rng, "D D", dims, 0.1, 0.8)
    return m @ m.T + D * np.eye(D, dtype=np.float32), array(rng, "D K", dims)


def triangular_and_right(key, D, K):
    rng, dims = generator(key), {"D": D, "K": K}
    return jnp.tril(_near_identity(rng, dims)), array(rng, "D K", dims)


SQUARE = (sizes("D=5"), sizes("D=3"))
RIGHT = (sizes("D=5 K=3"), sizes("D=4 K=4"))
GILES = "Giles 2008, Collected matrix derivative results"

RULES = (
    record(inverse, inverse_fwd, inverse_bwd, well_conditioned, *SQUARE, source=GILES),
    record(
        cholesky_solve,
        cholesky_solve_fwd,
        cholesky_solve_bwd,
        definite_and_right,
        *RIGHT,
        source=GILES,
    ),
    record(logdet, logdet_fwd, logdet_bwd, well_conditioned, *SQUARE, source=GILES),
    record(
        determinant,
        determinant_fwd,
        determinant_bwd,
        well_conditioned,
        sizes("D=4"),
        sizes("D=3"),
        source=GILES,
    ),
    record(
        trace_product,
        trace_product_fwd,
        trace_product_bwd,
        normal("N D", "D N"),
        sizes("N=3 D=5"),
        sizes("N=4 D=4"),
        source=GILES,
    ),
    record(
        triangular_solve,
        triangular_solve_fwd,
        triangular_solve_bwd,
        triangular_and_right,
        *RIGHT,
        source=GILES,
    ),
    record(
        gram,
        gram_fwd,
        gram_bwd,
        normal("N D"),
        sizes("N=5 D=3"),
        sizes("N=4 D=4"),
        source=GILES,
    ),
    record(
        quadratic_form,
        quadratic_form_fwd,
        quadratic_form_bwd,
        normal("N D", "D D"),
        sizes("N=5 D=3"),
        sizes("N=4 D=4"),
        source=GILES,
    ),
    record(
        frobenius,
        frobenius_fwd,
        frobenius_bwd,
        normal("N D"),
        sizes("N=3 D=5"),
        sizes("N=4 D=4"),
        source=GILES,
    ),
    record(
        matrix_square,
        matrix_square_fwd,
        matrix_square_bwd,
        normal("D D"),
        *SQUARE,
        source=GILES,
    ),
)

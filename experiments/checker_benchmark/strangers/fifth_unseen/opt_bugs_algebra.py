"""Bugs of matrices: inverses, powers, triangular systems, and spreads."""

import jax
import jax.numpy as jnp
from jax import lax

from experiments.checker_benchmark.strangers.record import (
    Stranger,
    Twin,
    collect,
    normal,
)

CASES: list[Stranger] = []
case = collect(CASES)


def triangular_system(rng):
    factors = normal(rng, 4, 4, std=0.3) + 1.5 * jnp.eye(4, dtype=jnp.float32)
    return factors, normal(rng, 4, 2), True, False


def by_parts(rng):
    return triangular_system(rng)[:2]


def quarter_turn(rng):
    return (jnp.array([[0, -1, 0], [1, 0, 0], [0, 0, 1]], jnp.float32),)


@case(
    "pymc-devs/pytensor#1230",
    "triangular solve",
    triangular_system,
    Twin(
        "as reported",
        "mask|option|region|elements",
        "a",
        "With a unit diagonal, which is not read, the diagonal gets a gradient.",
        witness=lambda rng: (*triangular_system(rng)[:3], True),
    ),
    kind="bug",
    name="solve_triangular pytensor#1230",
    narrow=False,
    scales=(0.5, 1.0, 2.0),
)
def unit_triangular(slip):
    """Of a's one triangle, maybe with ones for its diagonal, as of LU factors."""

    def plain(a, b, lower, unit):
        return lax.linalg.triangular_solve(
            a, b, left_side=True, lower=lower, unit_diagonal=unit
        )

    solve = jax.custom_vjp(plain, nondiff_argnums=(2, 3))

    def fwd(a, b, lower, unit):
        x = plain(a, b, lower, unit)
        return x, (a, x)

    def bwd(lower, unit, res, g):
        a, x = res
        db = lax.linalg.triangular_solve(
            a, g, left_side=True, lower=lower, transpose_a=True, unit_diagonal=unit
        )
        da = -db @ x.T
        start = 1 if unit and not slip else 0
        return jnp.tril(da, -start) if lower else jnp.triu(da, start), db

    solve.defvjp(fwd, bwd)
    return solve, plain


@case(
    "tensor4all/tenferro-rs#772",
    "linear solve",
    by_parts,
    Twin(
        "as reported",
        "zero|path",
        "a",
        "Only the right-hand sides get a cotangent, never the matrix.",
    ),
    kind="bug",
    name="pivoted_solve tenferro-rs#772",
    narrow=False,
    scales=(0.5, 1.0, 2.0),
)
def pivoted_solve(slip):
    """Solves by the LU factors, which are kept for the transposed system."""

    @jax.custom_vjp
    def solve(a, b):
        return jnp.linalg.solve(a, b)

    def fwd(a, b):
        factors = jax.scipy.linalg.lu_factor(a)
        x = jax.scipy.linalg.lu_solve(factors, b)
        return x, (factors, x)

    def bwd(res, g):
        factors, x = res
        db = jax.scipy.linalg.lu_solve(factors, g, trans=1)
        da = jnp.zeros_like(factors[0]) if slip else -db @ x.T
        return da, db

    solve.defvjp(fwd, bwd)
    return solve, solve.fun


@case(
    "pytorch/pytorch.github.io#2135",
    "matrix inverse",
    quarter_turn,
    Twin(
        "as reported",
        "transpose",
        "a",
        "NumPy's transpose(-2, -1) of a matrix leaves it as it is.",
    ),
    kind="bug",
    name="inverse pytorch.github.io#2135",
    narrow=False,
    scales=(0.5, 1.0, 2.0),
)
def inverse_by_numpy(slip):
    """The inverse of one matrix; the result is kept."""

    @jax.custom_vjp
    def inverse(a):
        return jnp.linalg.inv(a)

    def fwd(a):
        y = jnp.linalg.inv(a)
        return y, y

    def bwd(y, g):
        turned = y.transpose(-2, -1) if slip else y.T
        return (-(turned @ (g @ turned)),)

    inverse.defvjp(fwd, bwd)
    return inverse, inverse.fun


@case(
    "ooples/AiDotNet.Tensors#231",
    "matrix power",
    lambda rng: (*by_parts(rng)[:1], 3),
    Twin(
        "as reported",
        "zero|path",
        "a",
        "For negative powers the gradient goes to the inverse, which is nobody's.",
        witness=lambda rng: (*by_parts(rng)[:1], -2),
    ),
    kind="bug",
    name="matrix_power AiDotNet.Tensors#231",
    narrow=False,
    scales=(0.5, 1.0, 1.5),
)
def matrix_power(slip):
    """Integer powers of a square matrix, negative ones by the inverse."""

    def plain(a, power):
        base = jnp.linalg.inv(a) if power < 0 else a
        y = jnp.eye(len(a), dtype=a.dtype)
        for _ in range(abs(power)):
            y = y @ base
        return y

    raised = jax.custom_vjp(plain, nondiff_argnums=(1,))

    def fwd(a, power):
        return plain(a, power), a

    def bwd(power, a, g):
        count = abs(power)
        base = jnp.linalg.inv(a) if power < 0 else a
        powers = [jnp.eye(len(a), dtype=a.dtype)]
        for _ in range(count - 1):
            powers.append(powers[-1] @ base)
        d = jnp.zeros_like(a)
        for k in range(count):
            d = d + powers[k].T @ g @ powers[count - 1 - k].T
        if power < 0:
            d = jnp.zeros_like(a) if slip else -base.T @ d @ base.T
        return (d,)

    raised.defvjp(fwd, bwd)
    return raised, plain


@case(
    "Lightning-AI/lightning-thunder#1848",
    "reduction",
    lambda rng: (normal(rng, 3, 6), 1),
    Twin(
        "as reported",
        "eps|factor|ratio",
        "x",
        "A constant is added to the deviation that divides, in the gradient only.",
        witness=lambda rng: (normal(rng, 3, 6, std=1e-6), 1),
    ),
    kind="bug",
    name="std lightning-thunder#1848",
    narrow=False,
)
def standard_deviation(slip):
    """Standard deviations of rows, of n - correction degrees of freedom."""

    def plain(x, correction):
        return jnp.std(x, axis=-1, ddof=correction)

    std = jax.custom_vjp(plain, nondiff_argnums=(1,))

    def fwd(x, correction):
        s = plain(x, correction)
        return s, (x, s)

    def bwd(correction, res, g):
        x, s = res
        below = s + 1e-8 if slip else s
        count = x.shape[-1] - correction
        centred = x - x.mean(-1, keepdims=True)
        return ((g / (count * below))[:, None] * centred,)

    std.defvjp(fwd, bwd)
    return std, plain

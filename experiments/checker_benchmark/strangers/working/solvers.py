"""Solutions of equations, differentiated at the solution."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from experiments.checker_benchmark.strangers.record import (
    Stranger,
    Twin,
    collect,
    draw,
    normal,
    positive,
)

CASES: list[Stranger] = []
case = collect(CASES)


@case(
    "jaxopt.linear_solve.solve_cholesky in ridge regression",
    "linear solver",
    lambda rng: (*draw(x=(6, 3), y=(6,))(rng), jnp.float32(0.5)),
    Twin("penalty's gradient", "sign", "penalty", "The penalty's gradient is -w.u."),
    Twin("fit only", "term|path", "x", "dx lacks the path through x^T x."),
    narrow=False,
    fixed=(2,),
)
def ridge_solution(slip):
    def system(x, penalty):
        return x.T @ x + penalty * jnp.eye(x.shape[1], dtype=x.dtype)

    @jax.custom_vjp
    def ridge(x, y, penalty):
        return jnp.linalg.solve(system(x, penalty), x.T @ y)

    def fwd(x, y, penalty):
        w = ridge.fun(x, y, penalty)
        return w, (x, y, penalty, w)

    def bwd(res, g):
        x, y, penalty, w = res
        u = jnp.linalg.solve(system(x, penalty), g)
        dx = jnp.outer(y - x @ w, u) - jnp.outer(x @ u, w)
        if slip == "fit only":
            dx = jnp.outer(y - x @ w, u)
        sign = 1 if slip == "penalty's gradient" else -1
        return dx, x @ u, sign * (w @ u)

    ridge.defvjp(fwd, bwd)
    return ridge, ridge.fun


@case(
    "deep equilibrium models in equinox and jaxopt.FixedPointIteration",
    "fixed point",
    lambda rng: (0.3 * normal(rng, 4, 4), normal(rng, 3, 4), normal(rng, 4)),
    Twin("one step", "path|term|function|factor", "w x b", "The last step only."),
    Twin("not transposed", "transpose|operand", "w x b", "Solved with J for J^T."),
    options=lambda plain: {"reference": plain, "edges": False},
    fixed=(0,),
    narrow=False,
    scales=(0.5, 1.0),
)
def deep_equilibrium(slip):
    def cell(z, w, x, b):
        return jnp.tanh(z @ w + x + b)

    def plain(w, x, b):
        z = jnp.zeros_like(x)
        for _ in range(60):
            z = cell(z, w, x, b)
        return z

    def solve(step, start):
        def unsettled(state):
            i, old, new = state
            return (i < 200) & (jnp.abs(new - old).max() > 1e-12)

        def advance(state):
            i, _, new = state
            return i + 1, new, step(new)

        return lax.while_loop(unsettled, advance, (0, start + 1, start))[2]

    @jax.custom_vjp
    def equilibrium(w, x, b):
        return solve(lambda z: cell(z, w, x, b), jnp.zeros_like(x))

    def fwd(w, x, b):
        z = equilibrium(w, x, b)
        return z, (w, x, b, z)

    def bwd(res, g):
        w, _, _, z = res
        slope = 1 - z * z
        back = w if slip == "not transposed" else w.T
        u = solve(lambda u: g + (slope * u) @ back, g)
        dpre = slope * (g if slip == "one step" else u)
        return z.T @ dpre, dpre, dpre.sum(0)

    equilibrium.defvjp(fwd, bwd)
    return equilibrium, plain


@case(
    "lineax.Tridiagonal",
    "linear solver",
    lambda rng: (
        *(normal(rng, 4), positive(rng, 5, low=3.0, high=5.0), normal(rng, 4)),
        normal(rng, 5),
    ),
    Twin("diagonals exchanged", "swap", "lower upper", "dlower and dupper exchanged."),
    Twin(
        "not transposed",
        "transpose|operand",
        "lower diagonal upper b",
        "Solved with the matrix for its transpose.",
    ),
    Twin("shifted", "index|operand", "lower", "Products of the wrong neighbours."),
    narrow=False,
    fixed=(0, 1, 2),
)
def tridiagonal_solve(slip):
    def dense(lower, diagonal, upper):
        return jnp.diag(diagonal) + jnp.diag(upper, 1) + jnp.diag(lower, -1)

    @jax.custom_vjp
    def solve(lower, diagonal, upper, b):
        return jnp.linalg.solve(dense(lower, diagonal, upper), b)

    def fwd(lower, diagonal, upper, b):
        x = solve.fun(lower, diagonal, upper, b)
        return x, (lower, diagonal, upper, x)

    def bwd(res, g):
        lower, diagonal, upper, x = res
        if slip == "not transposed":
            u = jnp.linalg.solve(dense(lower, diagonal, upper), g)
        else:
            u = jnp.linalg.solve(dense(upper, diagonal, lower), g)
        dlower, dupper = -u[1:] * x[:-1], -u[:-1] * x[1:]
        if slip == "shifted":
            dlower = -u[1:] * x[1:]
        if slip == "diagonals exchanged":
            dlower, dupper = dupper, dlower
        return dlower, -u * x, dupper, u

    solve.defvjp(fwd, bwd)
    return solve, solve.fun


def spd(rng):
    a = rng.normal(size=(4, 4))
    return (jnp.asarray(a @ a.T + 2 * np.eye(4), jnp.float32),)


@case(
    "square roots of covariances in bayes-newton",
    "matrix function",
    spd,
    Twin("halved", "function|ratio|path", "a", "As if root and change commuted."),
    Twin(
        "sum of squares",
        "operand|function|residual",
        "a",
        "Divided by eigenvalue sums, not root sums.",
    ),
    options=lambda plain: {"edges": False},
    narrow=False,
    scales=(1.0, 10.0),
)
def matrix_sqrt(slip):
    @jax.custom_vjp
    def sqrtm(a):
        values, vectors = jnp.linalg.eigh(a)
        return (vectors * jnp.sqrt(values)) @ vectors.T

    def fwd(a):
        values, vectors = jnp.linalg.eigh(a)
        return (vectors * jnp.sqrt(values)) @ vectors.T, (values, vectors)

    def bwd(res, g):
        values, v = res
        root = jnp.sqrt(values)
        if slip == "halved":
            return (0.5 * (v / root) @ v.T @ (g + g.T) / 2,)
        sums = root[:, None] + root
        if slip == "sum of squares":
            sums = values[:, None] + values
        inner = v.T @ ((g + g.T) / 2) @ v
        return (v @ (inner / sums) @ v.T,)

    sqrtm.defvjp(fwd, bwd)
    return sqrtm, sqrtm.fun


@case(
    "discrete Lyapunov equations in control with JAX",
    "linear solver",
    lambda rng: (0.3 * normal(rng, 3, 3), normal(rng, 3, 3)),
    Twin("adjoint not transposed", "transpose|operand", "a q", "a for a^T."),
    Twin("one side", "term|path|factor", "a", "da has one of its two terms."),
    options=lambda plain: {"edges": False},
    fixed=(0,),
    narrow=False,
)
def lyapunov_solve(slip):
    def solve(a, q):
        n = len(a)
        system = jnp.eye(n * n, dtype=a.dtype) - jnp.kron(a, a)
        return jnp.linalg.solve(system, q.reshape(-1)).reshape(n, n)

    @jax.custom_vjp
    def lyapunov(a, q):
        return solve(a, q)

    def fwd(a, q):
        p = solve(a, q)
        return p, (a, p)

    def bwd(res, g):
        a, p = res
        u = solve(a if slip == "adjoint not transposed" else a.T, g)
        first = u @ a @ p.T
        return first if slip == "one side" else first + u.T @ a @ p, u

    lyapunov.defvjp(fwd, bwd)
    return lyapunov, lyapunov.fun

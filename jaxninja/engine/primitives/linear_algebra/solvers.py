"""VJPs of solving linear equations: A x = b, so dA x + A dx = db.

    dx = A^-1 (db - dA x)

Transposed, with the cotangent dx of x from here on:

    db = A^-T dx                 the same equations with A transposed
    dA = -db x^T                 that is -db[i] x[j] for A[i, j]

A triangle has that gradient within itself: what lies outside is not read.
"""

import jax.numpy as jnp
from jax.extend.core import primitives

from jaxninja.engine import private
from jaxninja.engine.core import Call, evaluate, walk
from jaxninja.engine.errors import NoRule
from jaxninja.engine.primitives.linear_algebra.matrices import product, solved
from jaxninja.jaxpr import bind


def triangular_solve(dx, x, a, b, *, left_side, transpose_a, **params):
    """op(a) x = b, or x op(a) = b; op transposes, conjugates, both or neither."""
    flags = params | {"left_side": left_side, "transpose_a": not transpose_a}
    db = solved(a, dx, **flags)
    dop = -product(db, x.mT) if left_side else -product(x.mT, db)
    da = dop.mT if transpose_a else dop
    da = jnp.conj(da) if params["conjugate_a"] else da
    inside = -1 if params["unit_diagonal"] else 0
    return jnp.tril(da, inside) if params["lower"] else jnp.triu(da, -inside), db


def tridiagonal_solve(dx, x, low, diagonal, high, b, **params):
    """The diagonals of A: low[i] = A[i, i-1], high[i] = A[i, i+1]; ends are not read.

    Transposing exchanges them: A^T[i, i-1] = A[i-1, i] = high[i-1].
    """
    from_low, from_high = jnp.roll(low, -1, -1), jnp.roll(high, 1, -1)
    db = primitives.tridiagonal_solve_p.bind(
        from_high, diagonal, from_low, dx, **params
    )
    before = jnp.roll(x, 1, -2).at[..., 0, :].set(0)
    after = jnp.roll(x, -1, -2).at[..., -1, :].set(0)
    terms = (-(db * other).sum(-1) for other in (before, x, after))
    return *terms, db


# ---- A as a function: x = solve(b) with matvec(x) = b


def linear_solve_forward(eqn, operands, active, rules):
    results = bind(eqn, operands)
    return results, (operands, results)


def linear_solve_backward(eqn, saved, cts, active, rules):
    """As above, and what A depends on: its gradient is that of matvec at a fixed x."""
    operands, results = saved
    solve = private.linear_solve_of(eqn)
    if solve.transposed is None:
        raise NoRule(
            f"the custom_linear_solve at {private.where(eqn)} has no transpose_solve, "
            "which its backward pass needs: give it, or symmetric=True"
        )
    x = results[: len(operands) - solve.b]
    db = solve.transposed(operands, cts[: len(x)])
    jaxpr, consts, place = solve.matvec
    moves = [*active[place], *(False for _ in x)]
    graph = evaluate(jaxpr, consts, [*operands[place], *x], moves, rules, eqn)
    grads = walk(graph, [-ct for ct in db])
    terms: list = [None] * len(operands)
    terms[place] = [grads[i] for i in graph.tape.arguments[: len(operands[place])]]
    terms[solve.b :] = db
    return terms, grads


SOLVERS = {
    "linear_solve": Call(linear_solve_forward, linear_solve_backward),
    "triangular_solve": triangular_solve,
    "tridiagonal_solve": tridiagonal_solve,
}

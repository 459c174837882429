"""Eigenvalues, determinants, stationary states and optimal gains of matrices."""

import jax
import jax.numpy as jnp

from experiments.checker_benchmark.strangers.record import (
    Stranger,
    Twin,
    collect,
    draw,
    normal,
)

CASES: list[Stranger] = []
case = collect(CASES)


@case(
    "jax.scipy.linalg.eigh_tridiagonal, of Lanczos' coefficients and chains",
    "eigenvalues",
    draw(diagonal=(6,), beside=(5,)),
    Twin(
        "both places",
        "factor|ratio",
        "beside",
        "An entry beside the diagonal stands in two places, and is counted once.",
    ),
    Twin(
        "rows of the vectors",
        "transpose|index",
        "diagonal beside",
        "The rows of the matrix of eigenvectors are taken for the vectors.",
    ),
    narrow=False,
)
def tridiagonal_eigenvalues(slip):
    def dense(diagonal, beside):
        sides = jnp.diag(beside, 1) + jnp.diag(beside, -1)
        return jnp.diag(diagonal) + sides

    @jax.custom_vjp
    def eigenvalues(diagonal, beside):
        return jnp.linalg.eigh(dense(diagonal, beside))[0]

    def fwd(diagonal, beside):
        return jnp.linalg.eigh(dense(diagonal, beside))

    def bwd(v, g):
        if slip == "rows of the vectors":
            v = v.T
        weighted = v * g
        times = 1 if slip == "both places" else 2
        return (weighted * v).sum(1), times * (weighted[:-1] * v[1:]).sum(1)

    eigenvalues.defvjp(fwd, bwd)
    return eigenvalues, eigenvalues.fun


@case(
    "jnp.linalg.slogdet of a batch, as in flows and wave functions",
    "determinant",
    draw(a=(4, 3, 3)),
    Twin(
        "inverse",
        "transpose",
        "a",
        "The inverse is not transposed.",
    ),
    Twin(
        "determinant",
        "factor|operand|ratio|term",
        "a",
        "The gradient is the determinant's, not that of its logarithm.",
    ),
    Twin(
        "sign",
        "sign|factor|ratio|mask|region",
        "a",
        "The gradient is multiplied by the sign of the determinant.",
        witness=lambda rng: (normal(rng, 16, 3, 3),),
    ),
    narrow=False,
)
def signed_logdet(slip):
    @jax.custom_vjp
    def slogdet(a):
        sign, logdet = jnp.linalg.slogdet(a)
        return sign, logdet

    def fwd(a):
        sign, logdet = jnp.linalg.slogdet(a)
        return (sign, logdet), (a, sign, logdet)

    def bwd(res, g):
        a, sign, logdet = res
        _, g = g  # the sign is constant
        if slip == "determinant":
            g = g * sign * jnp.exp(logdet)
        if slip == "sign":
            g = g * sign
        inverse = jnp.linalg.inv(a)
        if slip != "inverse":
            inverse = jnp.swapaxes(inverse, -1, -2)
        return (g[:, None, None] * inverse,)

    slogdet.defvjp(fwd, bwd)
    return slogdet, slogdet.fun


@case(
    "Markov chains in quantecon-like JAX code: the stationary distribution",
    "linear system",
    draw(logits=(5, 5)),
    Twin(
        "adjoint system",
        "transpose",
        "logits",
        "The system of the forward pass is solved where its transpose is needed.",
    ),
    Twin(
        "from and to",
        "transpose|swap",
        "logits",
        "The gradient of the transition matrix is transposed.",
    ),
    Twin(
        "rows sum to one",
        "term|path",
        "logits",
        "The normalisation of the softmax is not passed back.",
    ),
    narrow=False,
    scales=(0.3, 1.0, 2.0),
)
def stationary_distribution(slip):
    """Of the chain whose transition matrix has the softmax of the logits as rows."""

    def system(logits):
        chain = jax.nn.softmax(logits, -1)
        return chain, jnp.eye(len(chain), dtype=chain.dtype) - chain.T + 1

    @jax.custom_vjp
    def stationary(logits):
        _, a = system(logits)
        return jnp.linalg.solve(a, jnp.ones(len(a), a.dtype))

    def fwd(logits):
        pi = stationary.fun(logits)
        return pi, (logits, pi)

    def bwd(res, g):
        logits, pi = res
        chain, a = system(logits)
        u = jnp.linalg.solve(a if slip == "adjoint system" else a.T, g)
        dchain = jnp.outer(pi, u)
        if slip == "from and to":
            dchain = dchain.T
        dlogits = chain * dchain
        if slip != "rows sum to one":
            dlogits = dlogits - chain * dlogits.sum(-1, keepdims=True)
        return (dlogits,)

    stationary.defvjp(fwd, bwd)
    return stationary, stationary.fun


def plant(rng):
    a = jnp.eye(3, dtype=jnp.float32) + 0.3 * normal(rng, 3, 3)
    eyes = jnp.eye(3, dtype=jnp.float32), jnp.eye(2, dtype=jnp.float32)
    return a, normal(rng, 3, 2), *eyes


@case(
    "linear-quadratic regulators in trajax-like control code, by Riccati's equation",
    "implicit solver",
    plant,
    Twin(
        "open loop",
        "operand|residual|term",
        "a b",
        "The dynamics without the feedback stand where the closed loop should.",
    ),
    Twin(
        "adjoint of the equation",
        "transpose",
        "a b q r",
        "The equation for the adjoint has the closed loop transposed.",
    ),
    Twin(
        "input in the gain",
        "term|path",
        "b",
        "The input matrix counts through the cost, not where the gain has it.",
    ),
    narrow=False,
    scales=(0.5, 1.0, 2.0),
)
def riccati_gain(slip):
    """The feedback and the cost, of symmetric weights, by a fixed number of steps."""

    def weights(q, r):
        return (q + q.T) / 2, (r + r.T) / 2

    def feedback(a, b, r, p):
        return jnp.linalg.solve(r + b.T @ p @ b, b.T @ p @ a)

    def plain(a, b, q, r):
        q, r = weights(q, r)

        def step(p, _):
            return q + a.T @ p @ (a - b @ feedback(a, b, r, p)), None

        p, _ = jax.lax.scan(step, q, None, length=150)
        return feedback(a, b, r, p), p

    solve = jax.custom_vjp(plain)

    def fwd(a, b, q, r):
        k, p = plain(a, b, q, r)
        return (k, p), (a, b, r, k, p)

    def bwd(res, g):
        a, b, r, k, p = res
        gk, gp = g
        closed = a - b @ k
        if slip == "open loop":
            closed = a
        _, r = weights(r, r)
        w = jnp.linalg.solve(r + b.T @ p @ b, gk)
        source = gp + b @ w @ closed.T
        loop = a - b @ k
        turned = loop.T if slip == "adjoint of the equation" else loop
        n = len(a)
        steps = jnp.eye(n * n, dtype=a.dtype) - jnp.kron(turned, turned)
        dq = jnp.linalg.solve(steps, source.ravel()).reshape(n, n)
        dr = k @ dq @ k.T - w @ k.T
        along = p @ closed @ (dq + dq.T)
        da = along + p @ b @ w
        db = -along @ k.T - p @ b @ w @ k.T
        if slip != "input in the gain":
            db = db + p @ closed @ w.T
        return da, db, *weights(dq, dr)

    solve.defvjp(fwd, bwd)
    return solve, plain

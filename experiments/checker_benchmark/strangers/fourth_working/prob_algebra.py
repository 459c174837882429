"""Linear algebra: Sylvester's equation, polar factors, circulants and a filter."""

import jax
import jax.numpy as jnp
from jax import lax
from jax.scipy.linalg import cho_factor, cho_solve

from experiments.checker_benchmark.strangers.record import (
    Stranger,
    Twin,
    collect,
    normal,
)

CASES: list[Stranger] = []
case = collect(CASES)


def two_systems(rng):
    a = 0.4 * normal(rng, 3, 3) + 2 * jnp.eye(3, dtype=jnp.float32)
    b = 0.4 * normal(rng, 4, 4) + 2 * jnp.eye(4, dtype=jnp.float32)
    return a, b, normal(rng, 3, 4)


@case(
    "scipy.linalg.solve_sylvester, as written for lineax",
    "linear solve",
    two_systems,
    Twin(
        "right matrix not transposed",
        "transpose",
        "b",
        "Its gradient is that of its transpose.",
    ),
    Twin(
        "adjoint equation",
        "transpose|operand",
        "a b c",
        "The equation is solved again with the matrices as they are.",
    ),
    Twin("sign", "sign|ratio", "a b", "The gradients of the matrices have none."),
    narrow=False,
)
def sylvester_solve(slip):
    """X of A X + X B = C, by Kronecker products."""

    def solve(a, b, c):
        n, m = c.shape
        one_m, one_n = jnp.eye(m, dtype=c.dtype), jnp.eye(n, dtype=c.dtype)
        whole = jnp.kron(a, one_m) + jnp.kron(one_n, b.T)
        return jnp.linalg.solve(whole, c.reshape(-1)).reshape(n, m)

    @jax.custom_vjp
    def sylvester(a, b, c):
        return solve(a, b, c)

    def fwd(a, b, c):
        x = solve(a, b, c)
        return x, (a, b, x)

    def bwd(res, g):
        a, b, x = res
        y = solve(a, b, g) if slip == "adjoint equation" else solve(a.T, b.T, g)
        da, db = -y @ x.T, -x.T @ y
        if slip == "right matrix not transposed":
            db = db.T
        if slip == "sign":
            da, db = -da, -db
        return da, db, y

    sylvester.defvjp(fwd, bwd)
    return sylvester, solve


def square_layer(rng):
    return normal(rng, 4, 4) + 2 * jnp.eye(4, dtype=jnp.float32)


@case(
    "orthogonal layers by the polar factor, as in optax.contrib.muon's updates",
    "factorisation",
    lambda rng: (square_layer(rng), 15),
    Twin(
        "not antisymmetric",
        "term|path|ratio|factor",
        "a",
        "The cotangent in the basis is taken whole, not less its transpose.",
    ),
    Twin(
        "difference of singular values",
        "sign|ratio|operand|function",
        "a",
        "Divided by differences and by 2 on the diagonal, as for eigenvectors.",
    ),
    Twin(
        "right basis",
        "operand|transpose|residual",
        "a",
        "Turned back by the left singular vectors on both sides.",
    ),
    narrow=False,
)
def polar_factor(slip):
    """The orthogonal matrix nearest to a, by Newton's steps."""

    def plain(a, steps):
        def step(_, q):
            return (q + jnp.linalg.inv(q).T) / 2

        scale = jnp.sqrt(jnp.square(a).mean() * len(a))
        return lax.fori_loop(0, steps, step, a / scale)

    nearest = jax.custom_vjp(plain, nondiff_argnums=(1,))

    def fwd(a, steps):
        return plain(a, steps), a

    def bwd(steps, a, g):
        u, s, vt = jnp.linalg.svd(a)
        m = u.T @ g @ vt.T
        k = m if slip == "not antisymmetric" else m - m.T
        if slip == "difference of singular values":
            sums = s - s[:, None] + 2 * jnp.eye(len(s), dtype=s.dtype)
        else:
            sums = s + s[:, None]
        turned = u @ (k / sums)
        return (turned @ u.T if slip == "right basis" else turned @ vt,)

    nearest.defvjp(fwd, bwd)
    return nearest, plain


def blurred(rng):
    kernel = jnp.array([1.0, 0.3, 0.1, 0.05, 0.1, 0.2, 0.05], jnp.float32)
    return kernel, normal(rng, 7)


@case(
    "deconvolution in periodic domains, with operators of circulants in lineax",
    "structured solve",
    blurred,
    Twin(
        "conjugate",
        "transpose|operand|sign",
        "kernel b",
        "The adjoint system has the same transfer function.",
    ),
    Twin(
        "convolution for correlation",
        "transpose|operand|index",
        "kernel",
        "The kernel's gradient is a convolution, its shifts reversed.",
    ),
    Twin(
        "right-hand side",
        "operand|residual",
        "kernel",
        "Correlated with the right-hand side in place of the solution.",
    ),
    narrow=False,
)
def circulant_solve(slip):
    """x of kernel * x = b, a circular convolution."""

    def forward(kernel, b):
        transfer = jnp.fft.rfft(kernel)
        return jnp.fft.irfft(jnp.fft.rfft(b) / transfer, len(b)), transfer

    def plain(kernel, b):
        return forward(kernel, b)[0]

    solve = jax.custom_vjp(plain)

    def fwd(kernel, b):
        x, transfer = forward(kernel, b)
        return x, (transfer, x, b)

    def bwd(res, g):
        transfer, x, b = res
        adjoint = transfer if slip == "conjugate" else jnp.conj(transfer)
        spectrum = jnp.fft.rfft(g) / adjoint
        other = jnp.fft.rfft(b if slip == "right-hand side" else x)
        if slip != "convolution for correlation":
            other = jnp.conj(other)
        dkernel = -jnp.fft.irfft(spectrum * other, len(x))
        return dkernel, jnp.fft.irfft(spectrum, len(x))

    solve.defvjp(fwd, bwd)
    return solve, plain


@case(
    "trend and cycle by Hodrick and Prescott, in macroeconomic models with JAX",
    "linear solve with two outputs",
    lambda rng: (normal(rng, 9), jnp.float32(6.25)),
    Twin(
        "cycle",
        "term|path|sign",
        "y penalty",
        "What is left of the series depends on it directly only.",
    ),
    Twin(
        "differences of the trend",
        "operand|residual|function",
        "penalty",
        "The penalty's slope has the differences of the series.",
    ),
    Twin(
        "first differences",
        "function|operand|index|region",
        "penalty",
        "The penalty's slope has differences of first order.",
    ),
    fixed=(1,),
    narrow=False,
)
def hodrick_prescott(slip):
    """Trend and cycle of a series; second differences of the trend are penalised."""

    def factor(n, penalty):
        one = jnp.eye(n, dtype=penalty.dtype)
        twice = jnp.diff(one, 2, axis=0)
        return cho_factor(one + penalty * twice.T @ twice)

    def plain(y, penalty):
        trend = cho_solve(factor(len(y), penalty), y)
        return {"trend": trend, "cycle": y - trend}

    decompose = jax.custom_vjp(plain)

    def fwd(y, penalty):
        out = plain(y, penalty)
        return out, (y, out["trend"], penalty)

    def bwd(res, g):
        y, trend, penalty = res
        into = g["trend"]
        if slip != "cycle":
            into = into - g["cycle"]
        dy = cho_solve(factor(len(trend), penalty), into)
        kept = y if slip == "differences of the trend" else trend
        order = 1 if slip == "first differences" else 2
        dpenalty = -(jnp.diff(dy, order) * jnp.diff(kept, order)).sum()
        return dy + g["cycle"], dpenalty

    decompose.defvjp(fwd, bwd)
    return decompose, plain

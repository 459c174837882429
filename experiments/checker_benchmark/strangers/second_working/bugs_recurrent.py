"""Bugs of loops, of linear attention and of its chunks, with their threads."""

import jax
import jax.numpy as jnp
from jax import lax
from jax.scipy.linalg import solve_triangular

from experiments.checker_benchmark.strangers.record import (
    Stranger,
    Twin,
    collect,
    draw,
    normal,
    positive,
    unit_rows,
)

CASES: list[Stranger] = []
case = collect(CASES)


@case(
    "elixir-nx/nx#1747",
    "loop",
    lambda rng: (normal(rng, 5), 4),
    Twin(
        "as reported",
        "index|residual|operand|factor",
        "x",
        "The loop runs back with the accumulators in their first order.",
    ),
    kind="bug",
    name="multiply_loop nx#1747",
    scales=(0.1, 1.0, 3.0),
)
def multiply_loop(slip):
    def run(x, steps):
        def body(acc, _):
            return acc * x, acc

        return lax.scan(body, jnp.ones_like(x), length=steps)

    def plain(x, steps):
        return run(x, steps)[0]

    power = jax.custom_vjp(plain, nondiff_argnums=(1,))

    def fwd(x, steps):
        y, accs = run(x, steps)
        return y, (x, accs)

    def bwd(steps, res, g):
        x, accs = res

        def body(carry, acc):
            dacc, dx = carry
            return (dacc * x, dx + dacc * acc), None

        (_, dx), _ = lax.scan(body, (g, jnp.zeros_like(x)), accs, reverse=not slip)
        return (dx,)

    power.defvjp(fwd, bwd)
    return power, plain


def wy_args(gated):
    def args(rng):
        k, v, beta = unit_rows(rng, 5, 3), normal(rng, 5, 2), positive(rng, 5, high=0.9)
        return k, v, beta, -positive(rng, 5, low=0.1, high=0.5) if gated else None

    return args


@case(
    "fla-org/flash-linear-attention#863",
    "delta rule",
    wy_args(True),
    Twin(
        "as reported",
        "term|path|option",
        "k beta",
        "Without gates the keys' side of the gradient is not stored.",
        witness=wy_args(False),
    ),
    kind="bug",
    name="wy_transform flash-linear-attention#863",
    fixed=(0, 2, 3),
    narrow=False,
)
def wy_transform(slip):
    def parts(k, beta, g):
        T = len(k)
        G = jnp.zeros(T, k.dtype) if g is None else jnp.cumsum(g)
        below = jnp.tril(jnp.ones((T, T), bool), -1)
        decay = jnp.where(below, jnp.exp(jnp.where(below, G[:, None] - G, 0)), 0)
        return jnp.exp(G), decay, beta[:, None] * (k @ k.T) * decay

    @jax.custom_vjp
    def transform(k, v, beta, g):
        grown, _, A = parts(k, beta, g)
        M = A + jnp.eye(len(k), dtype=k.dtype)
        w = solve_triangular(M, (beta * grown)[:, None] * k, lower=True)
        return w, solve_triangular(M, beta[:, None] * v, lower=True)

    def fwd(k, v, beta, g):
        w, u = transform.fun(k, v, beta, g)
        return (w, u), (k, v, beta, g, w, u)

    def bwd(res, cotangents):
        k, v, beta, g, w, u = res
        grown, decay, A = parts(k, beta, g)
        M = A + jnp.eye(len(k), dtype=k.dtype)
        dk_in, dv_in = [solve_triangular(M.T, d) for d in cotangents]
        dA = -(dk_in @ w.T + dv_in @ u.T) * (decay > 0)
        kk = dA * decay * beta[:, None]
        dk = kk @ k + kk.T @ k
        dbeta = (dA * decay * (k @ k.T)).sum(1) + (dv_in * v).sum(1)
        if g is not None or not slip:
            dk = dk + (beta * grown)[:, None] * dk_in
            dbeta = dbeta + grown * (dk_in * k).sum(1)
        if g is None:
            return dk, beta[:, None] * dv_in, dbeta, None
        dG = (dA * A).sum(1) - (dA * A).sum(0)
        dG = dG + beta * grown * (dk_in * k).sum(1)
        return dk, beta[:, None] * dv_in, dbeta, jnp.cumsum(dG[::-1])[::-1]

    transform.defvjp(fwd, bwd)
    return transform, transform.fun


def memory_args(saved, chunk):
    def args(rng):
        arrays = draw(q=(8, 3), k=(8, 3), v=(8, 2), gate=(8,))(rng)
        return *arrays, saved, chunk

    return args


@case(
    "NX-AI/mlstm_kernels#10",
    "linear attention in chunks",
    memory_args(4, 4),
    Twin(
        "as reported",
        "index|residual|operand|factor",
        "k v gate",
        "More is looked up than was saved where the backward's chunks are shorter.",
        witness=memory_args(4, 2),
    ),
    kind="bug",
    name="chunked_memory mlstm_kernels#10",
)
def chunked_memory(slip):
    def run(q, k, v, gate):
        def step(C, part):
            q, k, v, gate = part
            new = jax.nn.sigmoid(gate) * C + jnp.outer(k, v)
            return new, (q @ new, C, new)

        zero = jnp.zeros((k.shape[1], v.shape[1]), k.dtype)
        return lax.scan(step, zero, (q, k, v, gate))[1]

    def totals(gate, size):
        """The sum of the logarithms of the gates of each chunk."""
        logs = jnp.pad(jax.nn.log_sigmoid(gate), (0, -len(gate) % size))
        return logs.reshape(-1, size).sum(1)

    def plain(q, k, v, gate, saved, chunk):
        return run(q, k, v, gate)[0]

    memory = jax.custom_vjp(plain, nondiff_argnums=(4, 5))

    def fwd(q, k, v, gate, saved, chunk):
        o, before, after = run(q, k, v, gate)
        return o, (q, k, v, gate, before, after, totals(gate, saved))

    def bwd(saved, chunk, res, do):
        q, k, v, gate, before, after, sums = res
        decays = jnp.exp(sums if slip else totals(gate, chunk))

        def step(dC, part):
            q, k, v, gate, old, do = part
            dC = dC + jnp.outer(q, do)
            dgate = (dC * old).sum() * jax.nn.sigmoid(gate) * jax.nn.sigmoid(-gate)
            return jax.nn.sigmoid(gate) * dC, (dC @ v, k @ dC, dgate)

        dC, grads = jnp.zeros_like(before[0]), []
        for i in reversed(range(0, len(q), chunk)):
            part = slice(i, i + chunk)
            xs = [a[part] for a in (q, k, v, gate, before, do)]
            grads.append(lax.scan(step, dC, xs, reverse=True)[1])
            reach = jnp.exp(jnp.cumsum(jax.nn.log_sigmoid(gate[part])))
            written = (reach[:, None] * q[part]).T @ do[part]
            dC = decays[min(i // chunk, len(decays) - 1)] * dC + written
        dk, dv, dgate = (jnp.concatenate(g) for g in zip(*grads[::-1], strict=True))
        return jnp.einsum("tke,te->tk", after, do), dk, dv, dgate

    memory.defvjp(fwd, bwd)
    return memory, plain


def stencil(rng):
    used = jnp.array([[1, 0, 1], [1, 1, 0], [0, 1, 1]], bool)
    return positive(rng, 3, 3), used, normal(rng, 6)


@case(
    "NVIDIA/warp#1552",
    "loop with a maximum",
    stencil,
    Twin(
        "as reported",
        "index|mask|region|elements|operand|residual",
        "coefficients x",
        "With `continue` the last step that ran is taken for everyone's winner.",
    ),
    kind="bug",
    name="stencil_argmax warp#1552",
)
def stencil_argmax(slip):
    def reaches(coefficients):
        P, Q = coefficients.shape
        return jnp.arange(1, P + 1)[:, None] + jnp.arange(1, Q + 1)

    def products(coefficients, used, x):
        reach = (coefficients * reaches(coefficients)).reshape(-1)
        return jnp.where(used.reshape(-1), x[:, None] * reach, -1e20)

    @jax.custom_vjp
    def largest(coefficients, used, x):
        return products(coefficients, used, x).max(1)

    def fwd(coefficients, used, x):
        values = products(coefficients, used, x)
        winner = jnp.argmax(values, 1)
        if slip:
            last = used.size - 1 - jnp.argmax(used.reshape(-1)[::-1])
            winner = jnp.full_like(winner, last)
        return values.max(1), (coefficients, used, x, winner)

    def bwd(res, g):
        coefficients, used, x, winner = res
        g = jnp.where(used.reshape(-1)[winner], g, 0)
        reach = reaches(coefficients).reshape(-1)[winner]
        dx = g * coefficients.reshape(-1)[winner] * reach
        flat = jnp.zeros(used.size, x.dtype).at[winner].add(g * x * reach)
        return flat.reshape(used.shape), None, dx

    largest.defvjp(fwd, bwd)
    return largest, largest.fun

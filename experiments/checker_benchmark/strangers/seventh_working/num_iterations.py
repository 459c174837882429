"""Iterations, roots, integrals."""

import jax
import jax.numpy as jnp
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
    "simpson of scipy.integrate and quadax, by fixed samples",
    "quadrature",
    lambda rng: (normal(rng, 3, 7), positive(rng)),
    Twin(
        "twos for fours",
        "swap|index|factor",
        "values",
        "The weights of the inner samples are interchanged.",
    ),
    Twin(
        "spacing",
        "zero|term",
        "spacing",
        "The spacing has no gradient.",
    ),
)
def simpson_integral(slip):
    def weights(n, dtype):
        inner = jnp.where(jnp.arange(n) % 2 == 1, 4, 2)
        return inner.at[jnp.asarray([0, n - 1])].set(1).astype(dtype) / 3

    def plain(values, spacing):
        return spacing * (values @ weights(values.shape[-1], values.dtype))

    integrate = jax.custom_vjp(plain)

    def fwd(values, spacing):
        return plain(values, spacing), (values, spacing)

    def bwd(res, g):
        values, spacing = res
        w = weights(values.shape[-1], values.dtype)
        dspacing = jnp.zeros_like(spacing) if slip == "spacing" else g @ (values @ w)
        if slip == "twos for fours":
            w = w.at[1:-1].set(2 - w[1:-1])
        return spacing * g[:, None] * w, dspacing

    integrate.defvjp(fwd, bwd)
    return integrate, plain


def curve(rng):
    params = {"height": positive(rng, 4), "rate": positive(rng, 4, low=0.3)}
    return params, normal(rng, 4)


@case(
    "Bisection of jaxopt and optimistix, for the inverse of a monotone flow",
    "root",
    curve,
    Twin(
        "sign of the parameters",
        "sign",
        "params",
        "The minus of the implicit function theorem is forgotten.",
    ),
    Twin(
        "slope of the identity",
        "term|ratio|factor",
        "params target",
        "The slope lacks the 1 of x itself.",
    ),
    fixed=(0,),
    narrow=False,
)
def bisection_root(slip):
    def above(x, params, target):
        return x + params["height"] * jnp.tanh(params["rate"] * x) - target

    def bisect(params, target):
        reach = jnp.abs(target) + params["height"]

        def halve(_, ends):
            low, high = ends
            middle = 0.5 * (low + high)
            left = above(middle, params, target) > 0
            return jnp.where(left, low, middle), jnp.where(left, middle, high)

        low, high = lax.fori_loop(0, 60, halve, (-reach, reach))
        return 0.5 * (low + high)

    def slope(x, params):
        bend = 1 - jnp.tanh(params["rate"] * x) ** 2
        return 1 + params["height"] * params["rate"] * bend, bend

    def plain(params, target):
        x = lax.stop_gradient(bisect(params, target))
        return x - above(x, params, target) / slope(x, params)[0]

    @jax.custom_vjp
    def root(params, target):
        return bisect(params, target)

    def fwd(params, target):
        x = bisect(params, target)
        return x, (params, x)

    def bwd(res, g):
        params, x = res
        whole, bend = slope(x, params)
        u = g / (whole - 1 if slip == "slope of the identity" else whole)
        down = u if slip == "sign of the parameters" else -u
        dparams = {
            "height": down * jnp.tanh(params["rate"] * x),
            "rate": down * params["height"] * bend * x,
        }
        return dparams, u

    root.defvjp(fwd, bwd)
    return root, plain


def ring(rng):
    turn = jnp.arange(6) * jnp.pi / 3
    points = jnp.stack([jnp.cos(turn), 1.5 * jnp.sin(turn)], 1)
    return points + normal(rng, 6, 2, std=0.2), positive(rng, 6, low=0.8, high=1.3)


@case(
    "geometric median by Weiszfeld's iteration in robust federated learning on JAX",
    "implicit solution",
    ring,
    Twin(
        "whole pull",
        "term",
        "points",
        "The part along the line to the median is left in the points' gradient.",
    ),
    Twin(
        "weights in the Hessian",
        "factor|term|residual",
        "points weights",
        "The Hessian is that of the unweighted median.",
    ),
    fixed=(1,),
    narrow=False,
)
def geometric_median(slip):
    def plain(points, weights):
        def step(_, m):
            pull = weights / jnp.sqrt(((points - m) ** 2).sum(1))
            return pull @ points / pull.sum()

        return lax.fori_loop(0, 400, step, weights @ points / weights.sum())

    median = jax.custom_vjp(plain)

    def fwd(points, weights):
        m = plain(points, weights)
        return m, (points, weights, m)

    def bwd(res, g):
        points, weights, m = res
        off = m - points
        far = jnp.sqrt((off**2).sum(1))
        u = off / far[:, None]
        across = jnp.eye(2, dtype=g.dtype) - u[:, :, None] * u[:, None]
        across = across / far[:, None, None]
        own = jnp.ones_like(weights)
        if slip != "weights in the Hessian":
            own = weights
        v = jnp.linalg.solve(jnp.einsum("n,nij->ij", own, across), g)
        dpoints = weights[:, None] * (across @ v)
        if slip == "whole pull":
            dpoints = jnp.outer(weights / far, v)
        return dpoints, -u @ v

    median.defvjp(fwd, bwd)
    return median, plain


def sparse(rng):
    return normal(rng, 6, 4, std=0.4), normal(rng, 6), jnp.float32(0.15), 25


@case(
    "unrolled ISTA (LISTA and ProximalGradient of jaxopt)",
    "unrolled optimiser",
    sparse,
    Twin(
        "threshold of the first step",
        "sum|term",
        "penalty",
        "Only the first step's threshold counts for the penalty.",
    ),
    Twin(
        "residual before",
        "residual|index|term",
        "design target",
        "The gradient of the least squares is taken at the iterate after the step.",
    ),
    fixed=(0,),
    narrow=False,
)
def ista_steps(slip):
    rate = 0.2

    def step(z, design, target, penalty):
        moved = z - rate * design.T @ (design @ z - target)
        size = jnp.maximum(jnp.abs(moved) - rate * penalty, 0)
        return jnp.sign(moved) * size

    def plain(design, target, penalty, steps):
        z = jnp.zeros_like(design[0])
        return lax.fori_loop(0, steps, lambda _, z: step(z, design, target, penalty), z)

    solve = jax.custom_vjp(plain, nondiff_argnums=(3,))

    def fwd(design, target, penalty, steps):
        def body(z, _):
            new = step(z, design, target, penalty)
            return new, (z, new)

        z, kept = lax.scan(body, jnp.zeros_like(design[0]), None, length=steps)
        return z, (design, target, kept)

    def bwd(steps, res, g):
        design, target, (before, after) = res

        def body(carry, kept):
            dz, dd, dt, dl = carry
            old, new = kept
            through = jnp.where(new != 0, dz, 0)
            push = -rate * (through * jnp.sign(new)).sum()
            dl = push if slip == "threshold of the first step" else dl + push
            at = new if slip == "residual before" else old
            pulled = design @ through
            off = design @ at - target
            dd = dd - rate * (jnp.outer(off, through) + jnp.outer(pulled, at))
            return (
                through - rate * design.T @ pulled,
                dd,
                dt + rate * pulled,
                dl,
            ), None

        zero = jnp.zeros_like(design), jnp.zeros_like(target), jnp.zeros((), g.dtype)
        (_, dd, dt, dl), _ = lax.scan(body, (g, *zero), (before, after), reverse=True)
        return dd, dt, dl

    solve.defvjp(fwd, bwd)
    return solve, plain

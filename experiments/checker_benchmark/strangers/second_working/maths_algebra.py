"""Linear algebra and order: Kronecker factors, an eigenpair, shrinkage, quantiles."""

import jax
import jax.numpy as jnp
import numpy as np

from experiments.checker_benchmark.strangers.record import (
    Stranger,
    Twin,
    collect,
    normal,
)

CASES: list[Stranger] = []
case = collect(CASES)


def gram(rng, n: int):
    """A symmetric matrix of products, as of features or gradients."""
    x = rng.normal(size=(2 * n, n))
    return jnp.asarray(x.T @ x / (2 * n), jnp.float32)


def factors(rng):
    return gram(rng, 3), gram(rng, 4), normal(rng, 3, 4), jnp.float32(0.1)


def lopsided(rng):
    """Factors that are not symmetric."""
    a, b, v, damping = factors(rng)
    skew = jnp.triu(0.3 * normal(rng, 3, 3), 1)
    return a + skew, b + 0.2 * jnp.triu(normal(rng, 4, 4), 1), v, damping


@case(
    "kfac-jax's Kronecker-factored curvature blocks",
    "damped Kronecker solve",
    factors,
    Twin("other factor", "factor|operand|term", "a b", "dA and dB lack the other."),
    Twin("one damping", "sum|term|path", "damping", "Damping of B is left out."),
    Twin(
        "same factors",
        "transpose",
        "a b v damping",
        "The factors are not transposed in the adjoint system.",
        witness=lopsided,
    ),
    fixed=(3,),
    narrow=False,
    scales=(1.0,),
)
def kronecker_solve(slip):
    """X of (A + d I) X (B + d I)^T = V."""

    def damped(a, damping):
        return a + damping * jnp.eye(a.shape[0], dtype=a.dtype)

    def both(a, b, v):
        return jnp.linalg.solve(b, jnp.linalg.solve(a, v).T).T

    @jax.custom_vjp
    def precondition(a, b, v, damping):
        return both(damped(a, damping), damped(b, damping), v)

    def fwd(a, b, v, damping):
        a, b = damped(a, damping), damped(b, damping)
        x = both(a, b, v)
        return x, (a, b, x)

    def bwd(res, g):
        a, b, x = res
        dv = both(a, b, g) if slip == "same factors" else both(a.T, b.T, g)
        da, db = -dv @ b @ x.T, -dv.T @ a @ x
        if slip == "other factor":
            da, db = -dv @ x.T, -dv.T @ x
        ddamping = jnp.trace(da)
        if slip != "one damping":
            ddamping = ddamping + jnp.trace(db)
        return da, db, dv, ddamping

    precondition.defvjp(fwd, bwd)
    return precondition, precondition.fun


@case(
    "leading eigenpair in matfree and traceax style libraries",
    "eigenvector",
    lambda rng: (gram(rng, 5),),
    Twin("gap's sign", "sign|ratio|term", "a", "Solved with S less the eigenvalue."),
    Twin("not projected", "term|path", "a", "The part along the vector is kept."),
    Twin("one triangle's share", "transpose|term|path", "a", "Not made symmetric."),
    narrow=False,
    scales=(1.0,),
)
def leading_eigenpair(slip):
    """The largest eigenvalue of the symmetric part, and its vector, sum positive."""

    def plain(a):
        values, vectors = jnp.linalg.eigh((a + a.T) / 2)
        v = vectors[:, -1]
        return values[-1], jnp.where(v.sum() < 0, -v, v)

    @jax.custom_vjp
    def leading(a):
        return plain(a)

    def fwd(a):
        value, v = plain(a)
        return (value, v), (a, value, v)

    def bwd(res, cotangents):
        a, value, v = res
        dvalue, dv = cotangents
        if slip != "not projected":
            dv = dv - v * (v @ dv)
        s = (a + a.T) / 2
        gap = value * jnp.eye(v.size, dtype=v.dtype) - s + jnp.outer(v, v)
        x = jnp.linalg.solve(gap, dv)
        if slip == "gap's sign":
            x = -x
        ds = dvalue * jnp.outer(v, v) + jnp.outer(x, v)
        return (ds if slip == "one triangle's share" else (ds + ds.T) / 2,)

    leading.defvjp(fwd, bwd)
    return leading, plain


@case(
    "jaxopt.prox.prox_group_lasso",
    "proximal operator",
    lambda rng: (normal(rng, 4, 3), jnp.float32(0.3)),
    Twin("shrinkage is constant", "term|path", "x", "The norm is held fixed."),
    Twin(
        "dead groups pass",
        "mask|region|predicate",
        "x strength",
        "Groups that are set to zero have a gradient.",
        witness=lambda rng: (0.4 * normal(rng, 4, 3), jnp.float32(0.6)),
    ),
    Twin(
        "empty group",
        "edge|mask|predicate",
        "x strength",
        "A group of zeros is divided by its norm.",
        witness=lambda rng: (normal(rng, 4, 3).at[1].set(0), jnp.float32(0.3)),
    ),
    fixed=(1,),
)
def group_soft_threshold(slip):
    @jax.custom_vjp
    def shrink(x, strength):
        square = (x * x).sum(-1, keepdims=True)
        norm = jnp.sqrt(jnp.where(square > 0, square, 1))
        kept = (square > 0) & (norm > strength)
        return jnp.where(kept, 1 - strength / norm, 0) * x

    def fwd(x, strength):
        return shrink.fun(x, strength), (x, strength)

    def bwd(res, g):
        x, strength = res
        square = (x * x).sum(-1, keepdims=True)
        norm = jnp.sqrt(jnp.where(square > 0, square, 1))
        kept = (square > 0) & (norm > strength)
        if slip == "empty group":
            norm = jnp.sqrt(square)
            kept = jnp.where(norm > strength, 1, 0 / norm)
        if slip == "dead groups pass":
            kept = square > 0
        u = x / norm
        radial = (u * g).sum(-1, keepdims=True)
        share = strength / norm
        dx = (1 - share) * g + share * u * radial
        if slip == "shrinkage is constant":
            dx = (1 - share) * g
        dstrength = -(kept * radial).sum().astype(strength.dtype)
        return (kept * dx).astype(x.dtype), dstrength

    shrink.defvjp(fwd, bwd)
    return shrink, shrink.fun


@case(
    "tfp.substrates.jax.stats.quantiles",
    "quantile",
    lambda rng: (normal(rng, 2, 8), jnp.array([0.25, 0.5, 0.9], jnp.float32)),
    Twin("weights swapped", "swap|operand|index", "x", "The far neighbour has more."),
    Twin("order kept", "index|operand", "x", "The gradient stays in sorted order."),
    Twin("q unscaled", "factor|ratio", "q", "A step of q is taken for one of places."),
    fixed=(1,),
    narrow=False,
)
def linear_quantile(slip):
    """Of each row, by linear interpolation between the sorted values."""

    def places(q, n):
        position = q * (n - 1)
        low = jnp.clip(jnp.floor(position), 0, n - 1).astype(jnp.int32)
        return low, jnp.minimum(low + 1, n - 1), position - low

    @jax.custom_vjp
    def quantile(x, q):
        s = jnp.sort(x, -1)
        low, high, w = places(q, x.shape[-1])
        return (1 - w) * s[:, low] + w * s[:, high]

    def fwd(x, q):
        order = jnp.argsort(x, -1)
        s = jnp.take_along_axis(x, order, -1)
        low, high, w = places(q, x.shape[-1])
        return (1 - w) * s[:, low] + w * s[:, high], (order, s, q)

    def bwd(res, g):
        order, s, q = res
        n = s.shape[-1]
        low, high, w = places(q, n)
        if slip == "weights swapped":
            low, high = high, low
        ds = jnp.zeros_like(s).at[:, low].add((1 - w) * g).at[:, high].add(w * g)
        rows = np.arange(s.shape[0])[:, None]
        dx = ds if slip == "order kept" else jnp.zeros_like(s).at[rows, order].set(ds)
        low, high, _ = places(q, n)
        dq = (g * (s[:, high] - s[:, low])).sum(0)
        return dx, dq if slip == "q unscaled" else dq * (n - 1)

    quantile.defvjp(fwd, bwd)
    return quantile, quantile.fun

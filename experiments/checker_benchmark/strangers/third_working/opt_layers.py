"""Optimisation as a layer: proximal steps, projections and programmes."""

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


def gram(rng, n: int):
    """A symmetric matrix of products, as of features."""
    x = normal(rng, 3 * n, n)
    return x.T @ x / (3 * n)


def elastic(scaling: float):
    def args(rng):
        strengths = {"l1": positive(rng, 3, low=0.2, high=0.6), "ridge": 0.5}
        strengths["ridge"] = jnp.float32(strengths["ridge"])
        return normal(rng, 4, 3), strengths, scaling

    return args


@case(
    "jaxopt.prox.prox_elastic_net",
    "proximal operator",
    elastic(1.0),
    Twin(
        "ridge's part of l1",
        "term|path",
        "strengths",
        "That l1 is in the denominator too is forgotten.",
    ),
    Twin("dead zone passes", "mask|region|predicate", "x", "dx is not masked."),
    Twin(
        "scaling",
        "option|factor|ratio|constant",
        "strengths",
        "The step's scaling is left out of the gradient of the threshold.",
        witness=elastic(0.5),
    ),
    fixed=(1,),
)
def elastic_net_prox(slip):
    """Of scaling * (l1 |x| + l1 * ridge / 2 x^2), l1 by columns."""

    def plain(x, strengths, scaling=1.0):
        threshold = scaling * strengths["l1"]
        shrunk = x - jnp.sign(x) * threshold
        shrunk = jnp.where(jnp.abs(x) > threshold, shrunk, 0)
        return shrunk / (1 + threshold * strengths["ridge"])

    prox = jax.custom_vjp(plain, nondiff_argnums=(2,))

    def fwd(x, strengths, scaling):
        y = plain(x, strengths, scaling)
        return y, (x, strengths, y)

    def bwd(scaling, res, g):
        x, strengths, y = res
        l1, ridge = strengths["l1"], strengths["ridge"]
        threshold = scaling * l1
        kept = jnp.abs(x) > threshold
        down = g / (1 + threshold * ridge)
        dx = down if slip == "dead zone passes" else jnp.where(kept, down, 0)
        dthreshold = -jnp.where(kept, jnp.sign(x) * down, 0)
        if slip != "ridge's part of l1":
            dthreshold = dthreshold - ridge * y * down
        dthreshold = dthreshold.sum(0)
        dridge = -(threshold * y * down).sum()
        dl1 = dthreshold if slip == "scaling" else scaling * dthreshold
        return dx, {"l1": dl1, "ridge": dridge}

    prox.defvjp(fwd, bwd)
    return prox, plain


@case(
    "jaxopt.projection and semidefinite layers: projection on the semidefinite cone",
    "projection",
    lambda rng: (normal(rng, 4, 4),),
    Twin(
        "pairs of both signs",
        "mask|region|term|path|predicate|factor",
        "a",
        "Only pairs of positive eigenvalues pass.",
    ),
    Twin("vectors held", "term|path|mask", "a", "The eigenvectors are held fixed."),
    Twin("not symmetric", "transpose|term|path", "a", "Not made symmetric."),
    options=lambda plain: {"edges": False},
    narrow=False,
)
def psd_projection(slip):
    """The nearest positive semidefinite matrix to the symmetric part."""

    @jax.custom_vjp
    def project(a):
        values, vectors = jnp.linalg.eigh((a + a.T) / 2)
        return (vectors * jnp.where(values > 0, values, 0)) @ vectors.T

    def fwd(a):
        values, vectors = jnp.linalg.eigh((a + a.T) / 2)
        above = jnp.where(values > 0, values, 0)
        return (vectors * above) @ vectors.T, (values, vectors)

    def bwd(res, g):
        values, vectors = res
        above, size = jnp.where(values > 0, values, 0), jnp.abs(values)
        both = size[:, None] + size
        slopes = (above[:, None] + above) / jnp.where(both > 0, both, 1)
        if slip == "pairs of both signs":
            slopes = jnp.where((values[:, None] > 0) & (values > 0), 1.0, 0.0)
        if slip == "vectors held":
            slopes = jnp.diag(jnp.diagonal(slopes))
        inner = vectors.T @ g @ vectors
        ds = vectors @ (slopes.astype(g.dtype) * inner) @ vectors.T
        return (ds if slip == "not symmetric" else (ds + ds.T) / 2,)

    project.defvjp(fwd, bwd)
    return project, project.fun


def programme(skew: float):
    def args(rng):
        q = gram(rng, 5) + skew * jnp.triu(normal(rng, 5, 5), 1)
        return (q, normal(rng, 5)), (normal(rng, 2, 5), normal(rng, 2))

    return args


@case(
    "jaxopt.EqualityConstrainedQP",
    "quadratic programme",
    programme(0.0),
    Twin(
        "multipliers' part",
        "term|path|transpose",
        "equality",
        "The constraints' matrix is in the stationarity too; that is left out.",
    ),
    Twin(
        "dual's cotangent",
        "cotangent|term|path|zero",
        "objective equality",
        "The cotangent of the multipliers is taken for zero.",
    ),
    Twin(
        "symmetric system",
        "transpose",
        "objective equality",
        "The system is not transposed, though Q need not be symmetric.",
        witness=programme(0.3),
    ),
    options=lambda plain: {"edges": False},
    narrow=False,
    scales=(1.0,),
)
def equality_qp(slip):
    """x and multipliers of Q x + c + A' nu = 0 and A x = b."""

    def kkt(q, a):
        zero = jnp.zeros((len(a), len(a)), q.dtype)
        return jnp.block([[q, a.T], [a, zero]])

    @jax.custom_vjp
    def minimise(objective, equality):
        (q, c), (a, b) = objective, equality
        z = jnp.linalg.solve(kkt(q, a), jnp.concatenate([-c, b]))
        return z[: len(c)], z[len(c) :]

    def fwd(objective, equality):
        primal, dual = minimise.fun(objective, equality)
        return (primal, dual), (objective[0], equality[0], primal, dual)

    def bwd(res, cotangents):
        q, a, primal, dual = res
        dprimal, ddual = cotangents
        if slip == "dual's cotangent":
            ddual = jnp.zeros_like(ddual)
        k = kkt(q, a)
        back = k if slip == "symmetric system" else k.T
        u = jnp.linalg.solve(back, jnp.concatenate([dprimal, ddual]))
        ux, un = u[: primal.size], u[primal.size :]
        da = -jnp.outer(un, primal)
        if slip != "multipliers' part":
            da = da - jnp.outer(dual, ux)
        return (-jnp.outer(ux, primal), -ux), (da, un)

    minimise.defvjp(fwd, bwd)
    return minimise, minimise.fun


@case(
    "Gumbel-Sinkhorn and ott-jax: doubly stochastic matrices in few rounds",
    "normalisation of rows and columns",
    lambda rng: (normal(rng, 4, 4), jnp.float32(1.0), 5),
    Twin(
        "order of the halves",
        "swap|transpose|index|axis",
        "logits temperature",
        "Backward, the rows come first as in the forward.",
    ),
    Twin(
        "last round", "term|path", "logits temperature", "Only the last is gone back."
    ),
    Twin(
        "final matrix",
        "residual|operand",
        "logits temperature",
        "Each step takes the result in place of its own softmax.",
    ),
    fixed=(1,),
)
def sinkhorn_normalise(slip):
    """exp(logits / temperature) with rows, then columns divided by their sums."""

    def plain(logits, temperature, rounds):
        def once(logs, _):
            logs = logs - jax.nn.logsumexp(logs, 1, keepdims=True)
            return logs - jax.nn.logsumexp(logs, 0, keepdims=True), None

        return jnp.exp(lax.scan(once, logits / temperature, length=rounds)[0])

    normalise = jax.custom_vjp(plain, nondiff_argnums=(2,))

    def fwd(logits, temperature, rounds):
        return plain(logits, temperature, rounds), (logits, temperature)

    def bwd(rounds, res, g):
        logits, temperature = res

        def once(logs, _):
            rows = logs - jax.nn.logsumexp(logs, 1, keepdims=True)
            columns = rows - jax.nn.logsumexp(rows, 0, keepdims=True)
            return columns, (jnp.exp(rows), jnp.exp(columns))

        last, halves = lax.scan(once, logits / temperature, length=rounds)
        result = jnp.exp(last)
        if slip == "last round":
            halves = jax.tree.map(lambda a: a[-1:], halves)

        def back(d, shares):
            rows, columns = shares
            if slip == "final matrix":
                rows = columns = result
            if slip == "order of the halves":
                d = d - rows * d.sum(1, keepdims=True)
                return d - columns * d.sum(0, keepdims=True), None
            d = d - columns * d.sum(0, keepdims=True)
            return d - rows * d.sum(1, keepdims=True), None

        d = lax.scan(back, g * result, halves, reverse=True)[0]
        return d / temperature, -(d * logits).sum() / temperature**2

    normalise.defvjp(fwd, bwd)
    return normalise, plain

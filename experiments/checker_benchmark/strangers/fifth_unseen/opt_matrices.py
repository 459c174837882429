"""Functions of matrices: shrunk, inverted, compared, and a damped step."""

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


def spread(rng):
    root = normal(rng, 4, 4)
    return root @ root.T / 4 + 0.5 * jnp.eye(4, dtype=jnp.float32)


@case(
    "jnp.linalg.pinv for least squares of full rank, as in scipy ports",
    "matrix inverse",
    draw(a=(5, 3)),
    Twin(
        "as an inverse",
        "term|path",
        "a",
        "Only the term that square matrices have.",
    ),
    Twin(
        "residuals' sign",
        "sign|ratio|term",
        "a",
        "The term of the residuals is subtracted.",
    ),
    Twin(
        "projector",
        "operand|term",
        "a",
        "The residuals' term is not projected on what the columns leave over.",
    ),
    narrow=False,
    scales=(0.5, 1.0, 2.0),
)
def pseudo_inverse(slip):
    """Moore and Penrose's inverse of a matrix, tall or wide."""

    @jax.custom_vjp
    def pinv(a):
        return jnp.linalg.pinv(a)

    def fwd(a):
        y = jnp.linalg.pinv(a)
        return y, (a, y)

    def bwd(res, g):
        a, y = res
        da = -y.T @ g @ y.T
        if slip == "as an inverse":
            return (da,)
        across = g.T @ (y @ y.T)
        outside = across - (0 if slip == "projector" else a @ (y @ across))
        along = (y.T @ y) @ g.T
        da = da + (-outside if slip == "residuals' sign" else outside)
        return (da + along - (along @ y) @ a,)

    pinv.defvjp(fwd, bwd)
    return pinv, pinv.fun


@case(
    "ott.geometry.costs.Bures, of two covariances",
    "optimal transport",
    lambda rng: (spread(rng), spread(rng)),
    Twin(
        "maps",
        "swap",
        "a b",
        "The map from a to b and that from b to a are exchanged.",
    ),
    Twin(
        "as if they commuted",
        "function|operand|transpose|factor",
        "a b",
        "The maps are products of square roots.",
    ),
    Twin(
        "traces",
        "term|path",
        "a b",
        "The identity of the two traces is left out.",
    ),
    narrow=False,
    scales=(0.5, 1.0, 2.0),
)
def bures_distance(slip):
    """Squared Wasserstein distance of two centred Gaussians."""

    def power(a, p):
        w, v = jnp.linalg.eigh(a)
        return (v * w**p) @ v.T

    def even(a):
        return (a + a.T) / 2

    @jax.custom_vjp
    def distance(a, b):
        root = power(even(a), 0.5)
        between = jnp.linalg.eigvalsh(even(root @ even(b) @ root))
        return jnp.trace(a) + jnp.trace(b) - 2 * jnp.sqrt(between).sum()

    def fwd(a, b):
        return distance.fun(a, b), (even(a), even(b))

    def bwd(res, g):
        a, b = res
        root, inverse = power(a, 0.5), power(a, -0.5)
        between = even(root @ b @ root)
        there = inverse @ power(between, 0.5) @ inverse
        back = root @ power(between, -0.5) @ root
        if slip == "as if they commuted":
            there = even(power(b, 0.5) @ inverse)
            back = even(power(b, -0.5) @ root)
        if slip == "maps":
            there, back = back, there
        one = 0 if slip == "traces" else jnp.eye(len(a), dtype=a.dtype)
        return g * (one - there), g * (one - back)

    distance.defvjp(fwd, bwd)
    return distance, distance.fun

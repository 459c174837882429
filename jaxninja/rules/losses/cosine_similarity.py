"""Cosine of the angle between the rows of a and of b.

    u = a / |a|        v = b / |b|        s = sum_d u v

Perturb a; its length |a| = sqrt(sum a^2) moves by u . da, so

    u moves by   (da - u (u . da)) / |a|         (what is across u, not along it)
    s moves by   v . (da - u (u . da)) / |a| = (v - s u) . da / |a|

The projection across u is symmetric: transposed, with the cotangent ds of a row,

    da = (v - s u) ds / |a|              db = (u - s v) ds / |b|          (by symmetry)

A length below eps counts as eps, a constant: then u = a / eps, whose move has no second
part,

    da = v ds / eps

so a row of zeros gives s = 0 and a finite gradient, where the angle has none.

Check: a = b gives s = 1 and no gradient; a . da = 0, as a longer a has the same angle.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxninja.rule import Case, Rule, expect, wide
from jaxninja.rules.losses.arguments import pair_of_floats


class Residuals(NamedTuple):
    a: jax.Array  # [*batch, D], an argument: held anyway; u and v are computed again
    b: jax.Array  # [*batch, D], an argument too


@partial(jax.custom_vjp, nondiff_argnums=(2,))
def cosine_similarity(
    a: Float[Array, "*batch D"], b: Float[Array, "*batch D"], eps: float = 1e-8
) -> Float[Array, "*batch"]:
    """s = a . b / (max(|a|, eps) max(|b|, eps)) over the last axis.

    At |a| = eps, a kink, the length counts as constant.

    Args:
        a: [*batch, D].
        b: [*batch, D].
        eps: the least length, in the units of a and b.

    Returns:
        [*batch] in [-1, 1].

    Raises:
        ValueError: the shapes differ, there is no entry or no axis to sum over, an
            array is not of floats, or eps is not above 0.

    Source: Salton, McGill 1983, Introduction to Modern Information Retrieval.
    """
    return cosine_similarity_fwd(a, b, eps)[0]


def cosine_similarity_fwd(a, b, eps):
    _check_arguments(a, b, eps)
    u, v = (wide(x) / _length(x, eps)[0] for x in (a, b))
    return (u * v).sum(-1).astype(a.dtype), Residuals(a, b)


def cosine_similarity_bwd(eps, res, ds):
    """Returns da and db, [*batch, D] each."""
    (length_a, long_a), (length_b, long_b) = (_length(x, eps) for x in res)
    u, v = wide(res.a) / length_a, wide(res.b) / length_b
    s, ds = (u * v).sum(-1, keepdims=True), wide(ds)[..., None]
    da = (v - jnp.where(long_a, s, 0) * u) * (ds / length_a)
    db = (u - jnp.where(long_b, s, 0) * v) * (ds / length_b)
    return da.astype(res.a.dtype), db.astype(res.b.dtype)


cosine_similarity.defvjp(cosine_similarity_fwd, cosine_similarity_bwd)


def cosine_similarity_jvp(eps, primals, tangents):
    def unit(x, dx):
        (length, long), dx = _length(x, eps), wide(dx)
        u = wide(x) / length
        along = jnp.where(long, (u * dx).sum(-1, keepdims=True), 0)
        return u, (dx - u * along) / length

    (u, du), (v, dv) = map(unit, primals, tangents)
    s, ds, dtype = (u * v).sum(-1), (du * v + u * dv).sum(-1), primals[0].dtype
    return s.astype(dtype), ds.astype(dtype)


def _length(x, eps):
    """max(|x|, eps) [*batch, 1], and where |x| is above eps. No root of 0 is taken:
    its slope is infinite."""
    square = (wide(x) ** 2).sum(-1, keepdims=True)
    long = square > eps**2
    return jnp.where(long, jnp.sqrt(jnp.where(long, square, 1)), eps), long


def _check_arguments(a, b, eps):
    has_axis = f"of shape {a.shape}", "[..., D]", a.ndim > 0
    expect("cosine_similarity", "a", *has_axis)
    pair_of_floats("cosine_similarity", a=a, b=b)
    expect("cosine_similarity", "eps", eps, "a number above 0", eps > 0)


def example(key, N, D):
    keys = jax.random.split(key)
    return tuple(jax.random.normal(k, (N, D)) for k in keys)


rule = Rule(
    op=cosine_similarity,
    fwd=cosine_similarity_fwd,
    bwd=cosine_similarity_bwd,
    jvp=cosine_similarity_jvp,
    example=example,
    cases=(
        Case({"N": 3, "D": 5}, (1e-8,)),
        Case({"N": 1, "D": 2}, (1e-8,)),
        Case({"N": 4, "D": 4}, (2.0,)),  # some lengths below
    ),
    bench=Case({"N": 4096, "D": 512}, (1e-8,)),
    source="Salton, McGill 1983, Introduction to Modern Information Retrieval",
)

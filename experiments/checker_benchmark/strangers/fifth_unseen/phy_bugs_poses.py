"""Bugs with their threads: poses that are inverted, features of points."""

import jax
import jax.numpy as jnp

from experiments.checker_benchmark.strangers.record import (
    Stranger,
    Twin,
    collect,
    integers,
    normal,
    positive,
    unit_rows,
)

CASES: list[Stranger] = []
case = collect(CASES)


@case(
    "NVlabs/curobo#392",
    "rigid transforms",
    lambda rng: (normal(rng, 3, 3), unit_rows(rng, 3, 4)),
    Twin(
        "as reported",
        "zero|path|term|cotangent",
        "quaternion",
        "The inverse's quaternion is written entry by entry, and gives no gradient.",
    ),
    kind="bug",
    name="pose_inverse curobo#392",
)
def pose_inverse(slip):
    def turned(position, w, u):
        """The position turned by the inverse of the quaternion."""
        return position + 2 * jnp.cross(u, jnp.cross(u, position) - w * position)

    @jax.custom_vjp
    def inverse(position, quaternion):
        w, u = quaternion[:, :1], quaternion[:, 1:]
        return -turned(position, w, u), jnp.concatenate([w, -u], 1)

    def fwd(position, quaternion):
        return inverse.fun(position, quaternion), (position, quaternion)

    def bwd(res, g):
        position, quaternion = res
        w, u = quaternion[:, :1], quaternion[:, 1:]
        d = -g[0]
        inner = jnp.cross(u, position) - w * position
        dinner = 2 * jnp.cross(d, u)
        du = 2 * jnp.cross(inner, d) + jnp.cross(position, dinner)
        dw = -(dinner * position).sum(1, keepdims=True)
        dposition = d + jnp.cross(dinner, u) - w * dinner
        dquaternion = jnp.concatenate([dw, du], 1)
        if not slip:
            sign = jnp.asarray([1, -1, -1, -1], quaternion.dtype)
            dquaternion = dquaternion + sign * g[1]
        return dposition, dquaternion

    inverse.defvjp(fwd, bwd)
    return inverse, inverse.fun


def coarse_to_fine(rng):
    near = 1 / positive(rng, 7, 3)
    weights = near / near.sum(1, keepdims=True)
    return normal(rng, 4, 5), integers(rng, 5, 7, 3), weights


@case(
    "facebookresearch/votenet#36",
    "interpolation",
    coarse_to_fine,
    Twin(
        "as reported",
        "function|transpose|index|operand",
        "features",
        "The kernel of the forward is launched on the cotangent, where it fits.",
    ),
    kind="bug",
    name="three_interpolate votenet#36",
)
def three_interpolate(slip):
    @jax.custom_vjp
    def interpolate(features, index, weight):
        return (features[:, index] * weight).sum(-1)

    def fwd(features, index, weight):
        return interpolate.fun(features, index, weight), (features, index, weight)

    def bwd(res, g):
        features, index, weight = res
        dweight = (features[:, index] * g[:, :, None]).sum(0)
        if slip:
            known = features.shape[1]
            dfeatures = interpolate.fun(g, index[:known], weight[:known])
        else:
            parts = g[:, :, None] * weight
            dfeatures = jnp.zeros_like(features).at[:, index].add(parts)
        return dfeatures, None, dweight

    interpolate.defvjp(fwd, bwd)
    return interpolate, interpolate.fun

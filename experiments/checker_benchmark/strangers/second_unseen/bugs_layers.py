"""Bugs of upsampling and of splats, with their threads."""

import jax
import jax.numpy as jnp

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
    "huggingface/candle#3507",
    "upsampling",
    lambda rng: (normal(rng, 2, 3, 3), positive(rng, 2), 2),
    Twin(
        "as reported",
        "term|path|sum",
        "x gain",
        "The upsampling overwrites what the other branch had put there.",
    ),
    kind="bug",
    name="skip_upsample candle#3507",
)
def skip_upsample(slip):
    def larger(z, factor):
        return jnp.repeat(jnp.repeat(z, factor, 1), factor, 2)

    def pooled(d, factor):
        C, H, W = d.shape
        blocks = d.reshape(C, H // factor, factor, W // factor, factor)
        return blocks.sum((2, 4))

    def plain(x, gain, factor):
        z = gain[:, None, None] * x
        return z, larger(z, factor)

    pyramid = jax.custom_vjp(plain, nondiff_argnums=(2,))

    def fwd(x, gain, factor):
        return plain(x, gain, factor), (x, gain)

    def bwd(factor, res, cotangents):
        x, gain = res
        dz, dlarge = cotangents
        dz = pooled(dlarge, factor) if slip else dz + pooled(dlarge, factor)
        return gain[:, None, None] * dz, (x * dz).sum((1, 2))

    pyramid.defvjp(fwd, bwd)
    return pyramid, plain


@case(
    "nerfstudio-project/gsplat#153",
    "rendering",
    lambda rng: (unit_rows(rng, 4, 4), positive(rng, 4, 3)),
    Twin(
        "as reported",
        "path|term|factor|operand",
        "quats",
        "The quaternions are normalised without a gradient of that.",
    ),
    kind="bug",
    name="quaternion_covariance gsplat#153",
)
def quaternion_covariance(slip):
    def rotation(unit):
        w, x, y, z = unit.T
        rows = [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
        return jnp.stack([jnp.stack(row, -1) for row in rows], -2)

    def length(quats):
        return jnp.linalg.norm(quats, axis=1, keepdims=True)

    @jax.custom_vjp
    def covariance(quats, scales):
        m = rotation(quats / length(quats)) * scales[:, None]
        return m @ m.mT

    def fwd(quats, scales):
        return covariance.fun(quats, scales), (quats, scales)

    def bwd(res, g):
        quats, scales = res
        unit = quats / length(quats)
        turn, pull = jax.vjp(rotation, unit)
        dm = (g + g.mT) @ (turn * scales[:, None])
        dunit = pull(dm * scales[:, None])[0]
        along = (dunit * unit).sum(1, keepdims=True) * unit
        dquats = dunit if slip else (dunit - along) / length(quats)
        return dquats, (dm * turn).sum(1)

    covariance.defvjp(fwd, bwd)
    return covariance, covariance.fun


@case(
    "ooples/AiDotNet#447",
    "rendering",
    lambda rng: (normal(rng, 4, 5, 3, std=0.1), normal(rng, 4, 5, std=0.5)),
    Twin(
        "as reported",
        "mask|region|predicate|edge",
        "coefficients basis",
        "Colours that were clamped have a gradient nevertheless.",
        witness=draw(coefficients=(4, 5, 3), basis=(4, 5)),
    ),
    kind="bug",
    name="clamped_colours AiDotNet#447",
)
def clamped_colours(slip):
    def before_clamp(coefficients, basis):
        return jnp.einsum("nbc,nb->nc", coefficients, basis) + 0.5

    @jax.custom_vjp
    def colours(coefficients, basis):
        return jnp.clip(before_clamp(coefficients, basis), 0, 1)

    def fwd(coefficients, basis):
        return colours.fun(coefficients, basis), (coefficients, basis)

    def bwd(res, g):
        coefficients, basis = res
        raw = before_clamp(coefficients, basis)
        if not slip:
            g = jnp.where((raw > 0) & (raw < 1), g, 0)
        return basis[..., None] * g[:, None], jnp.einsum("nbc,nc->nb", coefficients, g)

    colours.defvjp(fwd, bwd)
    return colours, colours.fun

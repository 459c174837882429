"""Bugs of norms, attention, splats and convolutions, with their threads."""

import jax
import jax.numpy as jnp
from jax import lax

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
    "paiml/aprender#2196",
    "normalisation",
    lambda rng: (normal(rng, 3, 5), jnp.ones(5), jnp.zeros(5)),
    Twin("as reported", "zero", "gain bias", "Scale and shift have no gradient."),
    kind="bug",
    name="norm_affine aprender#2196",
    fixed=(1,),
)
def norm_affine(slip):
    def standard(x):
        centred = x - x.mean(-1, keepdims=True)
        rstd = lax.rsqrt((centred**2).mean(-1, keepdims=True) + 1e-5)
        return centred * rstd, rstd

    @jax.custom_vjp
    def layer_norm(x, gain, bias):
        return standard(x)[0] * gain + bias

    def fwd(x, gain, bias):
        z, rstd = standard(x)
        return z * gain + bias, (z, rstd, gain)

    def bwd(res, dy):
        z, rstd, gain = res
        dz = dy * gain
        mean = dz.mean(-1, keepdims=True) + z * (dz * z).mean(-1, keepdims=True)
        if slip:
            return rstd * (dz - mean), jnp.zeros_like(gain), jnp.zeros_like(gain)
        return rstd * (dz - mean), (dy * z).sum(0), dy.sum(0)

    layer_norm.defvjp(fwd, bwd)
    return layer_norm, layer_norm.fun


@case(
    "openvdb/fvdb-core#432",
    "rendering",
    lambda rng: (normal(rng, 4, 2, std=0.5), normal(rng, 4)),
    Twin(
        "as reported",
        "factor|operand|function",
        "log_scales",
        "The gradient of the scales is given as that of their logarithms.",
    ),
    kind="bug",
    name="log_scale_covariance fvdb-core#432",
)
def log_scale_covariance(slip):
    def turn(angle):
        c, s = jnp.cos(angle), jnp.sin(angle)
        return jnp.stack([jnp.stack([c, -s], -1), jnp.stack([s, c], -1)], -2)

    @jax.custom_vjp
    def covariance(log_scales, angle):
        m = turn(angle) * jnp.exp(log_scales)[:, None]
        return jnp.einsum("nij,nkj->nik", m, m)

    def fwd(log_scales, angle):
        return covariance.fun(log_scales, angle), (log_scales, angle)

    def bwd(res, g):
        log_scales, angle = res
        scales, r = jnp.exp(log_scales), turn(angle)
        m = r * scales[:, None]
        dm = jnp.einsum("nij,njk->nik", g + g.swapaxes(1, 2), m)
        dscales = (dm * r).sum(1)
        quarter = jnp.array([[0, -1], [1, 0]], r.dtype)
        dangle = (dm * (quarter @ m)).sum((1, 2))
        return dscales if slip else dscales * scales, dangle

    covariance.defvjp(fwd, bwd)
    return covariance, covariance.fun


@case(
    "ISEEKYAN/Megatron-LM#205",
    "attention with sinks",
    draw(q=(4, 3), kv=(4, 3), sink=()),
    Twin("as reported", "zero", "sink", "The sink's gradient is computed and dropped."),
    kind="bug",
    name="sparse_sink_attention Megatron-LM#205",
)
def sparse_sink_attention(slip):
    def shares(q, kv, sink):
        s = q @ kv.T / q.shape[1] ** 0.5
        column = jnp.broadcast_to(sink, (len(q), 1))
        return jax.nn.softmax(jnp.concatenate([s, column], 1))

    @jax.custom_vjp
    def attend(q, kv, sink):
        return shares(q, kv, sink)[:, :-1] @ kv

    def fwd(q, kv, sink):
        p = shares(q, kv, sink)
        return p[:, :-1] @ kv, (q, kv, p)

    def bwd(res, do):
        q, kv, p = res
        p, last = p[:, :-1], p[:, -1]
        dp = do @ kv.T
        row = (p * dp).sum(1)
        ds = p * (dp - row[:, None]) / q.shape[1] ** 0.5
        return ds @ kv, ds.T @ q + p.T @ do, None if slip else -(last * row).sum()

    attend.defvjp(fwd, bwd)
    return attend, attend.fun


@case(
    "Dao-AILab/flash-attention#2101",
    "attention with a window",
    lambda rng: (*draw(q=(7, 3), k=(7, 3), v=(7, 2))(rng), 3),
    Twin(
        "as reported",
        "mask|option",
        "q k v",
        "The mask is an option that does not reach the backward.",
    ),
    kind="bug",
    name="masked_scores flash-attention#2101",
)
def masked_scores(slip):
    def shares(q, k, window):
        ago = jnp.arange(len(q))[:, None] - jnp.arange(len(k))
        seen = (ago >= 0) & (ago < window)
        return jax.nn.softmax(jnp.where(seen, q @ k.T, -1e30))

    def plain(q, k, v, window):
        return shares(q, k, window) @ v

    attend = jax.custom_vjp(plain, nondiff_argnums=(3,))

    def fwd(q, k, v, window):
        return plain(q, k, v, window), (q, k, v)

    def bwd(window, res, do):
        q, k, v = res
        p = shares(q, k, len(q) if slip else window)
        dp = do @ v.T
        ds = p * (dp - (p * dp).sum(-1, keepdims=True))
        return ds @ k, ds.T @ q, p.T @ do

    attend.defvjp(fwd, bwd)
    return attend, plain


@case(
    "fla-org/flash-linear-attention#955",
    "convolution",
    lambda rng: (normal(rng, 2, 6, 3), normal(rng, 3, 4)),
    Twin(
        "as reported",
        "index|operand|residual|sum",
        "weight",
        "The row's offset is left out: each row meets the inputs of row 0.",
    ),
    kind="bug",
    name="packed_conv flash-linear-attention#955",
)
def packed_conv(slip):
    def taps(x, width):
        padded = jnp.pad(x, ((0, 0), (width - 1, 0), (0, 0)))
        return [padded[:, i : i + x.shape[1]] for i in range(width)]

    @jax.custom_vjp
    def conv(x, weight):
        return sum(
            weight[:, i] * part for i, part in enumerate(taps(x, weight.shape[1]))
        )

    def fwd(x, weight):
        return conv.fun(x, weight), (x, weight)

    def bwd(res, g):
        x, weight = res
        W, T = weight.shape[1], x.shape[1]
        ahead = jnp.pad(g, ((0, 0), (0, W - 1), (0, 0)))
        dx = sum(weight[:, i] * ahead[:, W - 1 - i : W - 1 - i + T] for i in range(W))
        rows = x[:1] if slip else x
        dw = jnp.stack([(g * part).sum((0, 1)) for part in taps(rows, W)], -1)
        return dx, dw

    conv.defvjp(fwd, bwd)
    return conv, conv.fun

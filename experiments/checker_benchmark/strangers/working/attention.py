"""Attention as it is written for training: sinks, slopes, packed rows, gates."""

import jax
import jax.numpy as jnp
from jax import lax

from experiments.checker_benchmark.strangers.record import (
    Stranger,
    Twin,
    by_reference,
    collect,
    draw,
    normal,
    positive,
)

CASES: list[Stranger] = []
case = collect(CASES)


@case(
    "gpt-oss in JAX",
    "attention with sinks",
    draw(q=(2, 5, 3), k=(2, 5, 3), v=(2, 5, 4), sink=(2,)),
    Twin("sink sign", "sign", "sink", "The sink's gradient has the other sign."),
    Twin(
        "sink not counted",
        "operand|residual|factor|path|term",
        "q k",
        "The row term of the softmax leaves the sink's share out.",
    ),
    Twin("no causal mask", "mask", "q k v", "The backward forgets the causal mask."),
)
def sink_attention(slip):
    def logits(q, k):
        T = q.shape[1]
        s = jnp.einsum("hqd,hkd->hqk", q, k) * q.shape[-1] ** -0.5
        return jnp.where(jnp.tril(jnp.ones((T, T), bool)), s, -jnp.inf)

    def plain(q, k, v, sink):
        s = logits(q, k)
        column = jnp.broadcast_to(sink[:, None, None], (*s.shape[:2], 1))
        p = jax.nn.softmax(jnp.concatenate([s, column], -1), -1)[..., :-1]
        return jnp.einsum("hqk,hkd->hqd", p, v)

    @jax.custom_vjp
    def attend(q, k, v, sink):
        return plain(q, k, v, sink)

    def attend_fwd(q, k, v, sink):
        s = logits(q, k)
        both = jnp.logaddexp(jax.nn.logsumexp(s, -1), sink[:, None])
        o = jnp.einsum("hqk,hkd->hqd", jnp.exp(s - both[..., None]), v)
        return o, (q, k, v, sink, o, both)

    def attend_bwd(res, do):
        q, k, v, sink, o, lse = res
        scale = q.shape[-1] ** -0.5
        s = logits(q, k)
        if slip == "no causal mask":
            s = jnp.einsum("hqd,hkd->hqk", q, k) * scale
        p = jnp.exp(s - lse[..., None])
        dp = jnp.einsum("hqd,hkd->hqk", do, v)
        delta = (do * o).sum(-1)
        if slip == "sink not counted":
            delta = delta / p.sum(-1)
        ds = p * (dp - delta[..., None])
        dq = jnp.einsum("hqk,hkd->hqd", ds, k) * scale
        dk = jnp.einsum("hqk,hqd->hkd", ds, q) * scale
        dv = jnp.einsum("hqk,hqd->hkd", p, do)
        share = jnp.exp(sink[:, None] - lse)
        dsink = -(share * (do * o).sum(-1)).sum(-1)
        return dq, dk, dv, -dsink if slip == "sink sign" else dsink

    attend.defvjp(attend_fwd, attend_bwd)
    return attend, plain


@case(
    "ALiBi in flax models",
    "attention with slopes",
    draw(q=(2, 6, 3), k=(2, 6, 3), v=(2, 6, 3)),
    Twin("no bias", "mask|term|path|operand", "q k v", "Scores without the slopes."),
    Twin(
        "scale twice", "ratio|factor", "q", "dq is multiplied by the scale once more."
    ),
)
def alibi_attention(slip):
    def scores(q, k):
        H, T, D = q.shape
        slopes = 2.0 ** (-8 * (jnp.arange(H) + 1) / H)
        distance = jnp.arange(T)[:, None] - jnp.arange(T)
        s = jnp.einsum("hqd,hkd->hqk", q, k) / D**0.5
        s = s - (0 if slip == "no bias" else slopes[:, None, None] * distance)
        return jnp.where(distance >= 0, s, -1e30).astype(q.dtype)

    def plain(q, k, v):
        H, T, D = q.shape
        slopes = 2.0 ** (-8 * (jnp.arange(H) + 1) / H)
        distance = jnp.arange(T)[:, None] - jnp.arange(T)
        s = jnp.einsum("hqd,hkd->hqk", q, k) / D**0.5
        s = jnp.where(distance >= 0, s - slopes[:, None, None] * distance, -1e30)
        return jnp.einsum("hqk,hkd->hqd", jax.nn.softmax(s.astype(q.dtype)), v)

    @jax.custom_vjp
    def alibi(q, k, v):
        return plain(q, k, v)

    def fwd(q, k, v):
        return plain(q, k, v), (q, k, v)

    def bwd(res, g):
        q, k, v = res
        p = jax.nn.softmax(scores(q, k))
        dp = jnp.einsum("hqd,hkd->hqk", g, v)
        ds = p * (dp - (p * dp).sum(-1, keepdims=True)) / q.shape[-1] ** 0.5
        dq = jnp.einsum("hqk,hkd->hqd", ds, k)
        if slip == "scale twice":
            dq = dq / q.shape[-1] ** 0.5
        return (
            dq,
            jnp.einsum("hqk,hqd->hkd", ds, q),
            jnp.einsum("hqk,hqd->hkd", p, g),
        )

    alibi.defvjp(fwd, bwd)
    return alibi, plain


@case(
    "ViT-22B style query-key norm",
    "attention with normalised queries and keys",
    lambda rng: (*draw(q=(4, 3), k=(4, 3), v=(4, 2))(rng), normal(rng, mean=1.0)),
    Twin(
        "norm is constant",
        "term|path",
        "q k",
        "The gradient does not go through the norms.",
    ),
    Twin(
        "temperature unscaled",
        "factor|operand|ratio",
        "q k",
        "dq and dk lack the temperature.",
        witness=lambda rng: (
            *draw(q=(4, 3), k=(4, 3), v=(4, 2))(rng),
            jnp.float32(1.7),
        ),
    ),
    scales=(1.0, 10.0),
)
def qk_norm_attention(slip):
    def unit(x):
        return x * lax.rsqrt((x * x).sum(-1, keepdims=True) + 1e-6)

    @jax.custom_vjp
    def attend(q, k, v, temperature):
        return jax.nn.softmax(temperature * unit(q) @ unit(k).T) @ v

    def fwd(q, k, v, temperature):
        p = jax.nn.softmax(temperature * unit(q) @ unit(k).T)
        return p @ v, (q, k, v, temperature, p)

    def through(x, du):
        r = lax.rsqrt((x * x).sum(-1, keepdims=True) + 1e-6)
        if slip == "norm is constant":
            return du * r
        return r * du - r**3 * x * (x * du).sum(-1, keepdims=True)

    def bwd(res, g):
        q, k, v, t, p = res
        dp = g @ v.T
        ds = p * (dp - (dp * p).sum(-1, keepdims=True))
        qn, kn = unit(q), unit(k)
        t_used = 1.0 if slip == "temperature unscaled" else t
        dq, dk = through(q, t_used * ds @ kn), through(k, t_used * ds.T @ qn)
        return dq, dk, p.T @ g, (ds * (qn @ kn.T)).sum()

    attend.defvjp(fwd, bwd)
    return attend, attend.fun


@case(
    "packed sequences in MaxText",
    "attention within segments",
    lambda rng: (
        *draw(q=(7, 4), k=(7, 4), v=(7, 4))(rng),
        jnp.array([0, 0, 0, 1, 1, 2, 2], jnp.int32),
    ),
    Twin("segments ignored", "mask", "q k v", "Rows attend to other segments' keys."),
    Twin("key of the diagonal", "mask|index|region", "k", "dk lacks each row's own."),
)
def packed_segment_attention(slip):
    def mask(ids):
        T = ids.shape[0]
        return (ids[:, None] == ids) & (jnp.arange(T)[:, None] >= jnp.arange(T))

    def plain(q, k, v, ids):
        s = jnp.where(mask(ids), q @ k.T * q.shape[-1] ** -0.5, -1e9)
        return jax.nn.softmax(s) @ v

    @jax.custom_vjp
    def packed(q, k, v, ids):
        return plain(q, k, v, ids)

    def fwd(q, k, v, ids):
        return plain(q, k, v, ids), (q, k, v, ids)

    def bwd(res, do):
        q, k, v, ids = res
        scale = q.shape[-1] ** -0.5
        seen = mask(ids)
        if slip == "segments ignored":
            seen = jnp.tril(jnp.ones_like(seen))
        p = jax.nn.softmax(jnp.where(seen, q @ k.T * scale, -1e9))
        dp = do @ v.T
        ds = p * (dp - (dp * p).sum(-1, keepdims=True)) * scale
        for_k = ds
        if slip == "key of the diagonal":
            for_k = ds * (1 - jnp.eye(len(ids), dtype=ds.dtype))
        return ds @ k, for_k.T @ q, p.T @ do, None

    packed.defvjp(fwd, bwd)
    return packed, plain


@case(
    "gated linear attention",
    "linear recurrence of matrices",
    lambda rng: (
        *draw(q=(6, 3), k=(6, 3), v=(6, 2))(rng),
        positive(rng, 6, 3, low=0.6, high=0.95),
    ),
    Twin(
        "gate too late", "index|operand|residual", "gate", "The state after the gate."
    ),
    Twin("no decay back", "factor|term|path", "k v gate", "The gate is not run back."),
    Twin("own step missing", "index|region|path|term", "k v", "dS leaves out its own."),
    options=by_reference,
    fixed=(3,),
)
def gated_linear_attention(slip):
    def plain(q, k, v, gate):
        def step(S, x):
            q, k, v, a = x
            S = a[:, None] * S + k[:, None] * v
            return S, q @ S

        zero = jnp.zeros((k.shape[1], v.shape[1]), q.dtype)
        return lax.scan(step, zero, (q, k, v, gate))[1]

    def fwd(q, k, v, gate):
        def step(S, x):
            q, k, v, a = x
            new = a[:, None] * S + k[:, None] * v
            return new, (q @ new, S)

        zero = jnp.zeros((k.shape[1], v.shape[1]), q.dtype)
        _, (o, before) = lax.scan(step, zero, (q, k, v, gate))
        return o, (q, k, v, gate, before)

    @jax.custom_vjp
    def gla(q, k, v, gate):
        return fwd(q, k, v, gate)[0]

    def bwd(res, do):
        def step(dS, x):
            q, k, v, a, S, do = x
            new = a[:, None] * S + k[:, None] * v
            late = dS
            dS = dS + q[:, None] * do
            da = (dS * (new if slip == "gate too late" else S)).sum(1)
            used = late if slip == "own step missing" else dS
            grads = (new @ do, used @ v, k @ used, da)
            return (dS if slip == "no decay back" else a[:, None] * dS), grads

        q, k, v, gate, before = res
        zero = jnp.zeros_like(before[0])
        xs = (q, k, v, gate, before, do)
        return lax.scan(step, zero, xs, reverse=True)[1]

    gla.defvjp(fwd, bwd)
    return gla, plain

"""Bugs of norms, dense layers, routers and plain attention, with their threads."""

import jax
import jax.numpy as jnp
from jax import lax

from experiments.checker_benchmark.strangers.record import (
    Stranger,
    Twin,
    collect,
    draw,
    integers,
    normal,
)

CASES: list[Stranger] = []
case = collect(CASES)


@case(
    "ooples/AiDotNet#702",
    "normalisation",
    lambda rng: (normal(rng, 2, 3, 6), jnp.ones(3), jnp.zeros(3)),
    Twin(
        "as reported",
        "term|path",
        "x",
        "Mean and deviation are held to be constants.",
    ),
    kind="bug",
    name="instance_norm AiDotNet#702",
    fixed=(1,),
)
def instance_norm(slip):
    def standard(x):
        centred = x - x.mean(-1, keepdims=True)
        rstd = lax.rsqrt((centred**2).mean(-1, keepdims=True) + 1e-5)
        return centred * rstd, rstd

    @jax.custom_vjp
    def norm(x, gamma, beta):
        return gamma[:, None] * standard(x)[0] + beta[:, None]

    def fwd(x, gamma, beta):
        z, rstd = standard(x)
        return gamma[:, None] * z + beta[:, None], (z, rstd, gamma)

    def bwd(res, dy):
        z, rstd, gamma = res
        dz = dy * gamma[:, None]
        dx = rstd * dz
        if not slip:
            share = dz.mean(-1, keepdims=True) + z * (dz * z).mean(-1, keepdims=True)
            dx = rstd * (dz - share)
        return dx, (dy * z).sum((0, 2)), dy.sum((0, 2))

    norm.defvjp(fwd, bwd)
    return norm, norm.fun


def dense_with(activation):
    def args(rng):
        return *draw(x=(3, 4), w=(4, 5), b=(5,))(rng), activation

    return args


@case(
    "ooples/AiDotNet#478",
    "dense layer",
    dense_with("relu"),
    Twin(
        "as reported",
        "option|function|path|factor|operand",
        "x w b",
        "An activation of whole rows is passed over in the backward.",
        witness=dense_with("softmax"),
    ),
    kind="bug",
    name="dense_activation AiDotNet#478",
)
def dense_activation(slip):
    act = {"relu": jax.nn.relu, "softmax": jax.nn.softmax, "tanh": jnp.tanh}

    def plain(x, w, b, activation):
        return act[activation](x @ w + b)

    dense = jax.custom_vjp(plain, nondiff_argnums=(3,))

    def fwd(x, w, b, activation):
        y = plain(x, w, b, activation)
        return y, (x, w, y)

    def bwd(activation, res, g):
        x, w, y = res
        if activation == "relu":
            dz = jnp.where(y > 0, g, 0)
        elif activation == "tanh":
            dz = g * (1 - y * y)
        elif slip:
            dz = g
        else:
            dz = y * (g - (y * g).sum(-1, keepdims=True))
        return dz @ w.T, x.T @ dz, dz.sum(0)

    dense.defvjp(fwd, bwd)
    return dense, plain


@case(
    "NVIDIA-NeMo/Automodel#1408",
    "mixture of experts",
    lambda rng: (normal(rng, 6, 4), 2),
    Twin(
        "as reported",
        "zero|path|term",
        "logits",
        "The balancing loss's gradient never reaches the router.",
    ),
    kind="bug",
    name="router_aux_loss Automodel#1408",
)
def router_aux_loss(slip):
    def plain(logits, k):
        T, E = logits.shape
        probs = jax.nn.softmax(logits)
        weights, chosen = lax.top_k(probs, k)
        load = jnp.zeros(E, probs.dtype).at[chosen].add(1.0) / (T * k)
        return weights, E * (load * probs.mean(0)).sum()

    gate = jax.custom_vjp(plain, nondiff_argnums=(1,))

    def fwd(logits, k):
        probs = jax.nn.softmax(logits)
        return plain(logits, k), (probs, lax.top_k(probs, k)[1])

    def bwd(k, res, cotangents):
        probs, chosen = res
        dweights, daux = cotangents
        T, E = probs.shape
        rows = jnp.arange(T)[:, None]
        dprobs = jnp.zeros_like(probs).at[rows, chosen].add(dweights)
        if not slip:
            load = jnp.zeros(E, probs.dtype).at[chosen].add(1.0) / (T * k)
            dprobs = dprobs + daux * E * load / T
        return (probs * (dprobs - (probs * dprobs).sum(-1, keepdims=True)),)

    gate.defvjp(fwd, bwd)
    return gate, plain


@case(
    "modelscope/ms-swift#9947",
    "loss over a sharded vocabulary",
    lambda rng: (normal(rng, 2, 5, 3), integers(rng, 6, 5).at[3].set(-100)),
    Twin(
        "as reported",
        "mask|region|zero|path|term|predicate",
        "shards",
        "Shards that do not hold the label's logit have no gradient.",
    ),
    kind="bug",
    name="sharded_log_prob ms-swift#9947",
)
def sharded_log_prob(slip):
    def local(shards, labels):
        """Whose logit is in which shard, and where."""
        width = shards.shape[2]
        place = labels - width * jnp.arange(len(shards))[:, None]
        owned = (place >= 0) & (place < width) & (labels >= 0)
        return owned, jnp.where(owned, place, 0)

    @jax.custom_vjp
    def log_prob(shards, labels):
        owned, place = local(shards, labels)
        picked = jnp.take_along_axis(shards, place[..., None], 2)[..., 0]
        logit = jnp.where(owned, picked, 0).sum(0)
        lse = jax.nn.logsumexp(shards, (0, 2))
        return jnp.where(labels >= 0, logit - lse, 0)

    def fwd(shards, labels):
        lse = jax.nn.logsumexp(shards, (0, 2))
        return log_prob.fun(shards, labels), (shards, labels, lse)

    def bwd(res, g):
        shards, labels, lse = res
        owned, place = local(shards, labels)
        g = jnp.where(labels >= 0, g, 0)
        hot = jax.nn.one_hot(place, shards.shape[2], dtype=shards.dtype)
        d = owned[..., None] * hot - jnp.exp(shards - lse[:, None])
        if slip:
            d = jnp.where(owned[..., None], d, 0)
        return g[:, None] * d, None

    log_prob.defvjp(fwd, bwd)
    return log_prob, log_prob.fun


@case(
    "mindspore-lab/mindone#1438",
    "attention",
    lambda rng: tuple(normal(rng, 2, 4, 3) for _ in range(3)),
    Twin(
        "as reported",
        "cotangent|operand|sum",
        "q k v",
        "The incoming cotangent is not used: it is taken to be ones.",
    ),
    kind="bug",
    name="attention_cell mindone#1438",
    scales=(0.1, 1.0, 3.0),
)
def attention_cell(slip):
    def shares(q, k):
        return jax.nn.softmax(q @ k.mT / q.shape[-1] ** 0.5)

    @jax.custom_vjp
    def attend(q, k, v):
        return shares(q, k) @ v

    def fwd(q, k, v):
        p = shares(q, k)
        return p @ v, (q, k, v, p)

    def bwd(res, do):
        q, k, v, p = res
        if slip:
            do = jnp.ones_like(do)
        dp = do @ v.mT
        ds = p * (dp - (p * dp).sum(-1, keepdims=True)) / q.shape[-1] ** 0.5
        return ds @ k, ds.mT @ q, p.mT @ do

    attend.defvjp(fwd, bwd)
    return attend, attend.fun

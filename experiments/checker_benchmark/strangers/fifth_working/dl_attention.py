"""Attention in its variants: sigmoids, latent keys, gated prefixes, slots."""

import jax
import jax.numpy as jnp

from experiments.checker_benchmark.strangers.record import (
    Stranger,
    Twin,
    collect,
    normal,
)

CASES: list[Stranger] = []
case = collect(CASES)


def visible(n, causal):
    """Which keys each of n queries sees."""
    full = jnp.ones((n, n), bool)
    return jnp.tril(full) if causal else full


@case(
    "attention by sigmoids in place of the softmax, biased by -log n, in flax ports",
    "attention",
    lambda rng: (*(normal(rng, 2, 6, 4) for _ in range(3)), True),
    Twin(
        "softmax's backward",
        "term|function",
        "q k",
        "A row's mean is taken off, as the backward pass of a softmax does.",
    ),
    Twin(
        "mask of the weights",
        "mask|region|predicate|option",
        "q k v",
        "The weights are computed again without the causal mask.",
    ),
    Twin(
        "scale of the keys",
        "ratio|factor",
        "k",
        "The scale of the scores is missing from the gradient of the keys.",
    ),
)
def sigmoid_attention(slip):
    def weights(q, k, causal):
        scores = jnp.einsum("hqd,hkd->hqk", q, k) / q.shape[-1] ** 0.5
        shifted = scores - jnp.log(jnp.asarray(k.shape[1], scores.dtype))
        seen = visible(q.shape[1], causal)
        return jnp.where(seen, jax.nn.sigmoid(shifted), 0), shifted

    def plain(q, k, v, causal):
        return jnp.einsum("hqk,hkd->hqd", weights(q, k, causal)[0], v)

    attend = jax.custom_vjp(plain, nondiff_argnums=(3,))

    def fwd(q, k, v, causal):
        return plain(q, k, v, causal), (q, k, v)

    def bwd(causal, res, g):
        q, k, v = res
        p, shifted = weights(q, k, causal and slip != "mask of the weights")
        dv = jnp.einsum("hqk,hqd->hkd", p, g)
        dp = jnp.einsum("hqd,hkd->hqk", g, v)
        if slip == "softmax's backward":
            ds = p * (dp - (p * dp).sum(-1, keepdims=True))
        else:
            ds = dp * p * jax.nn.sigmoid(-shifted)
        scale = q.shape[-1] ** -0.5
        dq = jnp.einsum("hqk,hkd->hqd", ds, k) * scale
        dk = jnp.einsum("hqk,hqd->hkd", ds, q)
        return dq, dk if slip == "scale of the keys" else dk * scale, dv

    attend.defvjp(fwd, bwd)
    return attend, plain


def latents(rng):
    """Four channels of content and two that are rotated, for three heads."""
    up = {"k": normal(rng, 5, 3, 4, std=0.45), "v": normal(rng, 5, 3, 4, std=0.45)}
    return normal(rng, 6, 3, 6), normal(rng, 6, 5), normal(rng, 6, 2), up


@case(
    "latent attention of DeepSeek-V2 in MaxText: compressed keys and one rotated key",
    "attention",
    latents,
    Twin(
        "width of the content",
        "ratio|factor|constant",
        "q latent k_rope up",
        "The scale is that of the content's width, the rotated channels left out.",
    ),
    Twin(
        "heads averaged",
        "ratio|sum|factor",
        "k_rope",
        "The rotated key that all heads share gets the mean of their gradients.",
    ),
    Twin(
        "latent of the values",
        "term|path",
        "latent",
        "The latent is reached through the values and not through the keys.",
    ),
    scales=(0.1, 1.0, 3.0),
)
def latent_attention(slip):
    def probabilities(q, latent, k_rope, up):
        width = up["k"].shape[-1]
        keys = jnp.einsum("nc,chd->nhd", latent, up["k"])
        scores = jnp.einsum("qhd,khd->hqk", q[..., :width], keys)
        scores = scores + jnp.einsum("qhr,kr->hqk", q[..., width:], k_rope)
        scores = scores / q.shape[-1] ** 0.5
        scores = jnp.where(visible(q.shape[0], True), scores, -jnp.inf)
        return jax.nn.softmax(scores), keys

    @jax.custom_vjp
    def attend(q, latent, k_rope, up):
        p, _ = probabilities(q, latent, k_rope, up)
        return jnp.einsum("hqk,kc,chd->qhd", p, latent, up["v"])

    def fwd(q, latent, k_rope, up):
        return attend.fun(q, latent, k_rope, up), (q, latent, k_rope, up)

    def bwd(res, g):
        q, latent, k_rope, up = res
        width = up["k"].shape[-1]
        p, keys = probabilities(*res)
        values = jnp.einsum("nc,chd->nhd", latent, up["v"])
        dvalues = jnp.einsum("hqk,qhd->khd", p, g)
        dp = jnp.einsum("qhd,khd->hqk", g, values)
        across = width if slip == "width of the content" else q.shape[-1]
        ds = p * (dp - (p * dp).sum(-1, keepdims=True)) / across**0.5
        dkeys = jnp.einsum("hqk,qhd->khd", ds, q[..., :width])
        dlatent = jnp.einsum("khd,chd->kc", dvalues, up["v"])
        if slip != "latent of the values":
            dlatent = dlatent + jnp.einsum("khd,chd->kc", dkeys, up["k"])
        drope = jnp.einsum("hqk,qhr->kr", ds, q[..., width:])
        if slip == "heads averaged":
            drope = drope / q.shape[1]
        content = jnp.einsum("hqk,khd->qhd", ds, keys)
        rotated = jnp.einsum("hqk,kr->qhr", ds, k_rope)
        dup = {
            "k": jnp.einsum("kc,khd->chd", latent, dkeys),
            "v": jnp.einsum("kc,khd->chd", latent, dvalues),
        }
        return jnp.concatenate([content, rotated], -1), dlatent, drope, dup

    attend.defvjp(fwd, bwd)
    return attend, attend.fun


def prefixes(gate):
    def args(rng):
        prefix = {"k": normal(rng, 2, 3, 4), "v": normal(rng, 2, 3, 4)}
        gates = jnp.full(2, gate, jnp.float32)
        return *(normal(rng, 2, 5, 4) for _ in range(3)), prefix, gates

    return args


@case(
    "attention of LLaMA-Adapter: learned prefixes, with gates that start at zero",
    "attention",
    prefixes(0.0),
    Twin(
        "gate not differentiated",
        "factor|function",
        "gate",
        "The gate is given the gradient of its hyperbolic tangent.",
        witness=prefixes(0.8),
    ),
    Twin(
        "queries of the prefix",
        "term|path",
        "q",
        "The queries get nothing from the scores with the prefix.",
        witness=prefixes(0.8),
    ),
    Twin(
        "mean of the tokens",
        "ratio|sum|factor",
        "gate",
        "A head's gate gets a mean over the tokens.",
    ),
)
def zero_init_prefix_attention(slip):
    def softmax(q, k, causal):
        scores = jnp.einsum("hqd,hkd->hqk", q, k) / q.shape[-1] ** 0.5
        if causal:
            scores = jnp.where(visible(q.shape[1], True), scores, -jnp.inf)
        return jax.nn.softmax(scores)

    def both(q, k, v, prefix):
        own, learned = softmax(q, k, True), softmax(q, prefix["k"], False)
        return own, learned, own @ v, learned @ prefix["v"]

    @jax.custom_vjp
    def attend(q, k, v, prefix, gate):
        *_, out, added = both(q, k, v, prefix)
        return out + jnp.tanh(gate)[:, None, None] * added

    def fwd(q, k, v, prefix, gate):
        return attend.fun(q, k, v, prefix, gate), (q, k, v, prefix, gate)

    def pull(p, q, k, v, g):
        dp = g @ v.mT
        ds = p * (dp - (p * dp).sum(-1, keepdims=True)) / q.shape[-1] ** 0.5
        return ds @ k, ds.mT @ q, p.mT @ g

    def bwd(res, g):
        q, k, v, prefix, gate = res
        own, learned, _, added = both(q, k, v, prefix)
        opened = jnp.tanh(gate)
        dq, dk, dv = pull(own, q, k, v, g)
        scaled = opened[:, None, None] * g
        more, dpk, dpv = pull(learned, q, prefix["k"], prefix["v"], scaled)
        each = (g * added).sum(-1)
        dgate = each.mean(-1) if slip == "mean of the tokens" else each.sum(-1)
        if slip != "gate not differentiated":
            dgate = dgate * (1 - opened**2)
        if slip != "queries of the prefix":
            dq = dq + more
        return dq, dk, dv, {"k": dpk, "v": dpv}, dgate

    attend.defvjp(fwd, bwd)
    return attend, attend.fun


@case(
    "slot attention in scenic: slots compete for tokens, then means over tokens",
    "attention",
    lambda rng: (normal(rng, 3, 4), normal(rng, 7, 4), normal(rng, 7, 5), 1e-8),
    Twin(
        "competition",
        "axis|sum|transpose",
        "q k",
        "The softmax is pulled back over the tokens and not over the slots.",
    ),
    Twin(
        "weights of the mean",
        "term|path",
        "q k",
        "The sums of the weights over the tokens are taken for constants.",
    ),
)
def slot_attention_step(slip):
    def weights(q, k, eps):
        shares = jax.nn.softmax(k @ q.T / q.shape[-1] ** 0.5, axis=-1)
        total = (shares + eps).sum(0)
        return shares, total, (shares + eps) / total

    def plain(q, k, v, eps):
        return weights(q, k, eps)[-1].T @ v

    step = jax.custom_vjp(plain, nondiff_argnums=(3,))

    def fwd(q, k, v, eps):
        return plain(q, k, v, eps), (q, k, v)

    def bwd(eps, res, g):
        q, k, v = res
        shares, total, w = weights(q, k, eps)
        dw = v @ g.T
        inner = 0 if slip == "weights of the mean" else (w * dw).sum(0)
        dshares = (dw - inner) / total
        axis = 0 if slip == "competition" else -1
        mean = (shares * dshares).sum(axis, keepdims=True)
        ds = shares * (dshares - mean) / q.shape[-1] ** 0.5
        return ds.T @ k, ds @ q, w @ g

    step.defvjp(fwd, bwd)
    return step, plain

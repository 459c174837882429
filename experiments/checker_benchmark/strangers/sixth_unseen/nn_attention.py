"""Attention in further forms, with what their kernels keep."""

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


@case(
    "stick-breaking attention in JAX ports: the nearest keys take their share first",
    "attention",
    lambda rng: tuple(normal(rng, 2, 6, 4) for _ in range(3)),
    Twin(
        "own share",
        "index|term|sum",
        "q k",
        "A key's own weight is counted among those that it leaves less for.",
    ),
    Twin(
        "future keys",
        "mask|region|predicate",
        "q k",
        "Keys that are not seen get a gradient for what they would have left over.",
    ),
    Twin(
        "direction of the sum",
        "transpose|index|function|term",
        "q k",
        "What is left over is summed over the nearer keys and not the farther ones.",
    ),
)
def stick_breaking_attention(slip):
    def weights(q, k):
        z = q @ k.mT / q.shape[-1] ** 0.5
        past = jnp.tril(jnp.ones(z.shape[-2:], bool), -1)
        left = jnp.where(past, jax.nn.log_sigmoid(-z), 0)
        after = jnp.flip(jnp.cumsum(jnp.flip(left, -1), -1), -1) - left
        a = jnp.where(past, jnp.exp(jax.nn.log_sigmoid(z) + after), 0)
        return z, past, a

    @jax.custom_vjp
    def attend(q, k, v):
        return weights(q, k)[-1] @ v

    def fwd(q, k, v):
        return attend.fun(q, k, v), (q, k, v)

    def bwd(res, g):
        q, k, v = res
        z, past, a = weights(q, k)
        dlog = a * (g @ v.mT)
        nearer = jnp.cumsum(dlog, -1)
        if slip == "direction of the sum":
            nearer = jnp.flip(jnp.cumsum(jnp.flip(dlog, -1), -1), -1)
        if slip != "own share":
            nearer = nearer - dlog
        dz = dlog * jax.nn.sigmoid(-z) - nearer * jax.nn.sigmoid(z)
        if slip != "future keys":
            dz = jnp.where(past, dz, 0)
        dz = dz / q.shape[-1] ** 0.5
        return dz @ k, dz.mT @ q, a.mT @ g

    attend.defvjp(fwd, bwd)
    return attend, attend.fun


def with_memory(rng):
    """Five queries, the same tokens and three of memory as keys, and positions."""
    biases = {"content": normal(rng, 4, std=0.3), "position": normal(rng, 4, std=0.3)}
    return normal(rng, 5, 4), *(normal(rng, 8, 4) for _ in range(3)), biases


@case(
    "relative attention of Transformer-XL with a memory, in flax ports",
    "attention",
    with_memory,
    Twin(
        "shift undone",
        "index|transpose|axis|elements",
        "q r biases",
        "The scores by position are pulled back without shifting the rows again.",
    ),
    Twin(
        "biases interchanged",
        "swap",
        "biases",
        "The bias of the content is given the gradient of that of the positions.",
    ),
    Twin(
        "positions of the query",
        "term|path",
        "q",
        "The queries get nothing from the scores by position.",
    ),
    scales=(0.1, 1.0, 3.0),
)
def transformer_xl_attention(slip):
    def shift(scores):
        n, m = scores.shape
        padded = jnp.pad(scores, ((0, 0), (1, 0))).reshape(m + 1, n)
        return padded[1:].reshape(n, m)

    def unshift(scores):
        n, m = scores.shape
        padded = jnp.pad(scores.reshape(m, n), ((1, 0), (0, 0)))
        return padded.reshape(n, m + 1)[:, 1:]

    def weights(q, k, r, biases):
        content = (q + biases["content"]) @ k.T
        position = shift((q + biases["position"]) @ r.T)
        n, m = content.shape
        seen = jnp.arange(m) <= jnp.arange(n)[:, None] + m - n
        scores = (content + position) / q.shape[-1] ** 0.5
        return jax.nn.softmax(jnp.where(seen, scores, -jnp.inf))

    @jax.custom_vjp
    def attend(q, k, v, r, biases):
        return weights(q, k, r, biases) @ v

    def fwd(q, k, v, r, biases):
        p = weights(q, k, r, biases)
        return p @ v, (q, k, v, r, biases, p)

    def bwd(res, g):
        q, k, v, r, biases, p = res
        dp = g @ v.T
        ds = p * (dp - (p * dp).sum(-1, keepdims=True)) / q.shape[-1] ** 0.5
        dposition = ds if slip == "shift undone" else unshift(ds)
        by_content, by_position = ds @ k, dposition @ r
        dq = by_content
        if slip != "positions of the query":
            dq = dq + by_position
        both = by_content.sum(0), by_position.sum(0)
        if slip == "biases interchanged":
            both = both[::-1]
        dk = ds.T @ (q + biases["content"])
        dr = dposition.T @ (q + biases["position"])
        return dq, dk, p.T @ g, dr, {"content": both[0], "position": both[1]}

    attend.defvjp(fwd, bwd)
    return attend, attend.fun


@case(
    "the attention-free transformer (AFT-full) in flax, with learned position biases",
    "attention",
    lambda rng: (*(normal(rng, 6, 4) for _ in range(3)), jnp.zeros((6, 6)), True),
    Twin(
        "mean of the channels",
        "ratio|factor|sum",
        "bias",
        "A pair's bias, which all channels share, gets the mean over the channels.",
    ),
    Twin(
        "denominator",
        "term|path",
        "k bias",
        "The sum that the weights are divided by is taken for a constant.",
    ),
    Twin(
        "future tokens",
        "mask|region|predicate|option",
        "q k v bias",
        "The weights are computed again without the causal mask.",
    ),
)
def aft_full(slip):
    def weights(k, bias, causal):
        logits = k + bias[..., None]
        if causal:
            past = jnp.tril(jnp.ones(bias.shape, bool))[..., None]
            logits = jnp.where(past, logits, -jnp.inf)
        return jax.nn.softmax(logits, axis=1)

    def plain(q, k, v, bias, causal):
        mixed = jnp.einsum("tsd,sd->td", weights(k, bias, causal), v)
        return jax.nn.sigmoid(q) * mixed

    attend = jax.custom_vjp(plain, nondiff_argnums=(4,))

    def fwd(q, k, v, bias, causal):
        return plain(q, k, v, bias, causal), (q, k, v, bias)

    def bwd(causal, res, g):
        q, k, v, bias = res
        p = weights(k, bias, causal and slip != "future tokens")
        gate = jax.nn.sigmoid(q)
        mixed = jnp.einsum("tsd,sd->td", p, v)
        dmixed = gate * g
        inner = 0 if slip == "denominator" else (dmixed * mixed)[:, None]
        dlogits = p * (dmixed[:, None] * v - inner)
        dbias = dlogits.sum(-1)
        if slip == "mean of the channels":
            dbias = dlogits.mean(-1)
        dq = g * mixed * gate * (1 - gate)
        return dq, dlogits.sum(0), jnp.einsum("tsd,td->sd", p, dmixed), dbias

    attend.defvjp(fwd, bwd)
    return attend, plain

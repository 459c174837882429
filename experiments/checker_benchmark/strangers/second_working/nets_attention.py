"""Attention: learned relative biases, gates, and normalised feature maps."""

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


def bias_args(rng):
    kept = jnp.arange(5) < jnp.asarray([[5], [5]])
    table = 0.02 * normal(rng, 2, 4)
    q, k, v = (normal(rng, 2, 2, 5, 3) for _ in range(3))
    return q, k, v, table, kept, 4


def padded_bias_args(rng):
    *rest, kept, buckets = bias_args(rng)
    return *rest, kept.at[1, 3:].set(False), buckets


@case(
    "relative position biases in t5x",
    "attention with a table of biases",
    bias_args,
    Twin(
        "buckets overwritten",
        "duplicates|index|sum|axis",
        "table",
        "Of the pairs in a bucket only the last counts.",
    ),
    Twin(
        "no row term",
        "term|path|factor|operand",
        "q k table",
        "The softmax pulls back p * dp without the row term.",
    ),
    Twin(
        "keys' padding",
        "mask|region|predicate|operand",
        "q k v table",
        "Padded keys are recomputed as if they were there.",
        witness=padded_bias_args,
    ),
    fixed=(4,),
)
def relative_bias_attention(slip):
    def bucket(T, buckets):
        behind = jnp.arange(T)[:, None] - jnp.arange(T)
        return jnp.clip(behind + buckets // 2, 0, buckets - 1)

    def probabilities(q, k, table, kept, buckets):
        bias = table[:, bucket(q.shape[2], buckets)]
        s = jnp.einsum("bhqd,bhkd->bhqk", q, k) + bias
        return jax.nn.softmax(jnp.where(kept[:, None, None], s, -1e9), -1)

    def plain(q, k, v, table, kept, buckets):
        p = probabilities(q, k, table, kept, buckets)
        return jnp.einsum("bhqk,bhkd->bhqd", p, v)

    attend = jax.custom_vjp(plain, nondiff_argnums=(5,))

    def fwd(q, k, v, table, kept, buckets):
        out = plain(q, k, v, table, kept, buckets)
        return out, (q, k, v, table, kept)

    def bwd(buckets, res, g):
        q, k, v, table, kept = res
        seen = jnp.ones_like(kept) if slip == "keys' padding" else kept
        p = probabilities(q, k, table, seen, buckets)
        dv = jnp.einsum("bhqk,bhqd->bhkd", p, g)
        dp = jnp.einsum("bhqd,bhkd->bhqk", g, v)
        row = (p * dp).sum(-1, keepdims=True)
        ds = p * (dp if slip == "no row term" else dp - row)
        ds = jnp.where(seen[:, None, None], ds, 0)
        where = bucket(q.shape[2], buckets)
        zeros = jnp.zeros_like(table)
        if slip == "buckets overwritten":
            dtable = zeros.at[:, where].set(ds.sum(0))
        else:
            dtable = zeros.at[:, where].add(ds.sum(0))
        dq = jnp.einsum("bhqk,bhkd->bhqd", ds, k)
        dk = jnp.einsum("bhqk,bhqd->bhkd", ds, q)
        return dq, dk, dv, dtable, None

    attend.defvjp(fwd, bwd)
    return attend, plain


def evoformer_args(rng):
    x = {name: normal(rng, 2, 4, 3) for name in ("q", "k", "v", "gate")}
    return x, normal(rng, 4, 4), jnp.ones((2, 4))


def evoformer_padded(rng):
    x, pair, mask = evoformer_args(rng)
    return x, pair, mask.at[1, 2:].set(0.0)


@case(
    "gated attention with pair bias in AlphaFold and OpenFold",
    "attention with a gate",
    evoformer_args,
    Twin(
        "gate's slope",
        "factor|operand|function",
        "x",
        "The sigmoid's 1 - s is forgotten.",
    ),
    Twin(
        "pair bias of the first row",
        "sum|axis|term|path|ratio|factor|index",
        "pair",
        "The bias, shared by the rows, has one row's gradient.",
    ),
    Twin(
        "mask after the softmax",
        "mask|region|operand|term|path|factor",
        "x pair",
        "The backward recomputes the probabilities without the mask's bias.",
        witness=evoformer_padded,
    ),
    options=lambda plain: {"nondiff": ("mask",)},
    fixed=(2,),
)
def pair_biased_attention(slip):
    def parts(x, pair, mask, masked=True):
        s = jnp.einsum("nqd,nkd->nqk", x["q"], x["k"]) * x["q"].shape[-1] ** -0.5
        s = s + pair + (1e6 * (mask[:, None] - 1) if masked else 0)
        p = jax.nn.softmax(s, -1)
        return p, jnp.einsum("nqk,nkd->nqd", p, x["v"]), jax.nn.sigmoid(x["gate"])

    @jax.custom_vjp
    def attend(x, pair, mask):
        _, o, gate = parts(x, pair, mask)
        return gate * o

    def fwd(x, pair, mask):
        return attend.fun(x, pair, mask), (x, pair, mask)

    def bwd(res, g):
        x, pair, mask = res
        p, o, gate = parts(x, pair, mask, slip != "mask after the softmax")
        do = g * gate
        dp = jnp.einsum("nqd,nkd->nqk", do, x["v"])
        ds = p * (dp - (do * o).sum(-1, keepdims=True))
        dgate = g * o * gate
        if slip != "gate's slope":
            dgate = dgate * (1 - gate)
        scale = x["q"].shape[-1] ** -0.5
        dx = {
            "q": scale * jnp.einsum("nqk,nkd->nqd", ds, x["k"]),
            "k": scale * jnp.einsum("nqk,nqd->nkd", ds, x["q"]),
            "v": jnp.einsum("nqk,nqd->nkd", p, do),
            "gate": dgate,
        }
        dpair = ds[0] if slip == "pair bias of the first row" else ds.sum(0)
        return dx, dpair, jnp.zeros_like(mask)

    attend.defvjp(fwd, bwd)
    return attend, attend.fun

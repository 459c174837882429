"""What mixes rows: attention without a softmax, windows, lambdas, tokens and masks."""

import jax
import jax.numpy as jnp

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


def padded(rng):
    q, k, v = draw(q=(2, 4, 5), k=(2, 6, 5), v=(2, 6, 3))(rng)
    return q, k, v, jnp.asarray([6, 3], jnp.int32)


@case(
    "ReLU attention divided by the length (Wortsman et al.) in big_vision ports",
    "attention without a softmax",
    padded,
    Twin(
        "padding seen",
        "mask|zero",
        "k q",
        "Keys after the end get the gradient of their scores.",
    ),
    Twin(
        "length of the array",
        "ratio|factor",
        "q k v",
        "The backward divides by the padded length.",
    ),
    Twin(
        "negative scores",
        "mask|region|function",
        "q k",
        "The rectifier is pulled back as the identity.",
    ),
)
def relu_attention(slip):
    def scores(q, k):
        return jnp.einsum("btd,bsd->bts", q, k) / q.shape[-1] ** 0.5

    def shares(lengths, size, like):
        seen = jnp.arange(size) < lengths[:, None]
        count = jnp.maximum(lengths, 1).astype(like.dtype)
        return (seen / count[:, None]).astype(like.dtype)[:, None]

    @jax.custom_vjp
    def attend(q, k, v, lengths):
        s = scores(q, k)
        return (jnp.where(s > 0, s, 0) * shares(lengths, k.shape[1], s)) @ v

    def fwd(q, k, v, lengths):
        return attend.fun(q, k, v, lengths), (q, k, v, lengths)

    def bwd(res, g):
        q, k, v, lengths = res
        s = scores(q, k)
        share = shares(lengths, k.shape[1], s)
        if slip == "length of the array":
            share = jnp.where(share > 0, 1 / k.shape[1], 0).astype(s.dtype)
        dv = jnp.einsum("bts,btd->bsd", jnp.where(s > 0, s, 0) * share, g)
        if slip == "padding seen":
            share = share.max(-1, keepdims=True)
        ds = jnp.einsum("btd,bsd->bts", g, v) * share / q.shape[-1] ** 0.5
        if slip != "negative scores":
            ds = jnp.where(s > 0, ds, 0)
        return ds @ k, jnp.einsum("bts,btd->bsd", ds, q), dv, None

    attend.defvjp(fwd, bwd)
    return attend, attend.fun


def handwriting(rng):
    window = {name: normal(rng, 3) for name in ("height", "narrow", "step")}
    return window, normal(rng, 3, mean=2.0), normal(rng, 6, 4)


@case(
    "Gaussian window attention of Graves in espnet and its ports",
    "attention with two outputs",
    handwriting,
    Twin(
        "place not handed on",
        "cotangent|term",
        "window places",
        "The cotangent of the new places is ignored.",
    ),
    Twin(
        "distance reversed",
        "sign",
        "window places",
        "The place's gradient has the sign of the letter's.",
    ),
    Twin(
        "softplus of the step",
        "factor|function|ratio",
        "window",
        "The step's gradient is that of its softplus.",
    ),
)
def gmm_attention(slip):
    soft, rise = jax.nn.softplus, jax.nn.sigmoid

    def pieces(window, places, letters):
        there = places + soft(window["step"])
        gap = there[:, None] - jnp.arange(len(letters), dtype=letters.dtype)
        bell = jnp.exp(-soft(window["narrow"])[:, None] * gap**2)
        return there, gap, bell

    def plain(window, places, letters):
        there, _, bell = pieces(window, places, letters)
        return (soft(window["height"]) @ bell) @ letters, there

    attend = jax.custom_vjp(plain)

    def fwd(window, places, letters):
        return plain(window, places, letters), (window, places, letters)

    def bwd(res, g):
        window, places, letters = res
        _, gap, bell = pieces(window, places, letters)
        height = soft(window["height"])
        dphi = letters @ g[0]
        each = height[:, None] * bell * dphi
        dplace = -2 * soft(window["narrow"]) * (each * gap).sum(1)
        if slip == "distance reversed":
            dplace = -dplace
        if slip != "place not handed on":
            dplace = dplace + g[1]
        one = 1 if slip == "softplus of the step" else rise(window["step"])
        dwindow = {
            "height": rise(window["height"]) * (bell @ dphi),
            "narrow": -rise(window["narrow"]) * (each * gap**2).sum(1),
            "step": one * dplace,
        }
        return dwindow, dplace, jnp.outer(height @ bell, g[0])

    attend.defvjp(fwd, bwd)
    return attend, plain


@case(
    "lambda layer (Bello) in lucidrains' lambda-networks, ported to haiku",
    "linear maps from the context",
    draw(q=(4, 3), k=(6, 3), v=(6, 2), table=(4, 6, 3)),
    Twin(
        "softmax over channels",
        "transpose|index|swap|sum",
        "k",
        "The softmax over the context is pulled back over the channels.",
    ),
    Twin(
        "content only",
        "term|path",
        "v",
        "The values get nothing from the maps of the positions.",
    ),
    Twin(
        "positions only",
        "term|path|operand",
        "q",
        "The queries see the positions' maps alone.",
    ),
)
def lambda_layer(slip):
    def maps(k, v, table):
        p = jax.nn.softmax(k, axis=0)
        return p, p.T @ v, jnp.einsum("nmk,mv->nkv", table, v)

    @jax.custom_vjp
    def layer(q, k, v, table):
        _, content, position = maps(k, v, table)
        return jnp.einsum("nk,nkv->nv", q, content + position)

    def fwd(q, k, v, table):
        return layer.fun(q, k, v, table), (q, k, v, table)

    def bwd(res, g):
        q, k, v, table = res
        p, content, position = maps(k, v, table)
        seen = position if slip == "positions only" else content + position
        dq = jnp.einsum("nv,nkv->nk", g, seen)
        dposition = jnp.einsum("nk,nv->nkv", q, g)
        dcontent = dposition.sum(0)
        dp = v @ dcontent.T
        axis = 1 if slip == "softmax over channels" else 0
        dk = p * (dp - (p * dp).sum(axis, keepdims=True))
        dv = p @ dcontent
        if slip != "content only":
            dv = dv + jnp.einsum("nmk,nkv->mv", table, dposition)
        return dq, dk, dv, jnp.einsum("nkv,mv->nmk", dposition, v)

    layer.defvjp(fwd, bwd)
    return layer, layer.fun


def table_rows(rng):
    params = {
        "weight": normal(rng, 3, 5),
        "bias": normal(rng, 5, 5),
        "rows": normal(rng, 7, 5),
        "first": normal(rng, 5),
    }
    return normal(rng, 6, 3), integers(rng, 3, 6, 2), params, (0, 4)


@case(
    "feature tokenizer of rtdl (FT-Transformer) in flax ports",
    "embedding of numbers and categories",
    table_rows,
    Twin(
        "same categories",
        "duplicates|sum|index",
        "params",
        "Of the rows with the same category one counts.",
    ),
    Twin(
        "offset of the table",
        "index|option",
        "params",
        "The second feature's categories are counted from the table's start.",
    ),
    Twin(
        "bias of numbers",
        "term|mask|sum",
        "params",
        "The categories' biases get nothing.",
    ),
)
def feature_tokenizer(slip):
    def plain(numbers, categories, params, offsets):
        places = categories + jnp.asarray(offsets)
        scaled = numbers[..., None] * params["weight"]
        tokens = jnp.concatenate([scaled, params["rows"][places]], 1) + params["bias"]
        first = jnp.broadcast_to(params["first"], (len(numbers), 1, tokens.shape[2]))
        return jnp.concatenate([first, tokens], 1)

    embed = jax.custom_vjp(plain, nondiff_argnums=(3,))

    def fwd(numbers, categories, params, offsets):
        value = plain(numbers, categories, params, offsets)
        return value, (numbers, categories, params)

    def bwd(offsets, res, g):
        numbers, categories, params = res
        count = numbers.shape[1]
        dscaled, drows = g[:, 1 : count + 1], g[:, count + 1 :]
        places = categories
        if slip != "offset of the table":
            places = places + jnp.asarray(offsets)
        table = jnp.zeros_like(params["rows"]).at[places]
        same = slip == "same categories"
        dbias = g[:, 1:].sum(0)
        if slip == "bias of numbers":
            dbias = dbias.at[count:].set(0)
        dparams = {
            "weight": jnp.einsum("nf,nfd->fd", numbers, dscaled),
            "bias": dbias,
            "rows": table.set(drows) if same else table.add(drows),
            "first": g[:, 0].sum(0),
        }
        return (dscaled * params["weight"]).sum(-1), None, dparams

    embed.defvjp(fwd, bwd)
    return embed, plain

"""Attention with other maps, gates, scales and tables of distances."""

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


def two_maps(rng):
    q, k, v = draw(q=(5, 2, 4), k=(5, 2, 4), v=(5, 3))(rng)
    names = ("q1", "k1", "q2", "k2")
    return q, k, v, {n: normal(rng, 4, std=0.1) for n in names}, 0.8


@case(
    "differential attention (Diff Transformer) in flax ports",
    "attention of two maps",
    two_maps,
    Twin(
        "sign of lambda",
        "sign|ratio",
        "params",
        "The second map is subtracted, lambda's gradient is as if it were added.",
    ),
    Twin(
        "second map in full",
        "factor|ratio|operand",
        "q k",
        "The scores of the second map get the cotangent without lambda.",
    ),
    Twin(
        "exponentials",
        "factor|operand|function|ratio",
        "params",
        "The exponentials in lambda are pulled back as if they were 1.",
    ),
)
def differential_attention(slip):
    def weight(params, start):
        first = jnp.exp(params["q1"] @ params["k1"])
        second = jnp.exp(params["q2"] @ params["k2"])
        return first, second, first - second + start

    def maps(q, k):
        scores = jnp.einsum("tcd,scd->cts", q, k) / q.shape[-1] ** 0.5
        seen = jnp.tril(jnp.ones(scores.shape[1:], bool))
        return jax.nn.softmax(jnp.where(seen, scores, -jnp.inf))

    def plain(q, k, v, params, start):
        p = maps(q, k)
        return (p[0] - weight(params, start)[2] * p[1]) @ v

    attend = jax.custom_vjp(plain, nondiff_argnums=(4,))

    def fwd(q, k, v, params, start):
        return plain(q, k, v, params, start), (q, k, v, params)

    def bwd(start, res, g):
        q, k, v, params = res
        p = maps(q, k)
        first, second, share = weight(params, start)
        dv = (p[0] - share * p[1]).T @ g
        da = g @ v.T
        dshare = (da * p[1]).sum()
        if slip != "sign of lambda":
            dshare = -dshare
        down = -jnp.ones_like(share) if slip == "second map in full" else -share
        dp = jnp.stack([da, down * da])
        ds = p * (dp - (p * dp).sum(-1, keepdims=True)) / q.shape[-1] ** 0.5
        if slip == "exponentials":
            first = second = jnp.ones_like(first)
        one, two = dshare * first, dshare * second
        dparams = {
            "q1": one * params["k1"],
            "k1": one * params["q1"],
            "q2": -two * params["k2"],
            "k2": -two * params["q2"],
        }
        dq = jnp.einsum("cts,scd->tcd", ds, k)
        return dq, jnp.einsum("cts,tcd->scd", ds, q), dv, dparams

    attend.defvjp(fwd, bwd)
    return attend, plain


def with_tables(rng):
    q, k, v = draw(q=(6, 4), k=(6, 4), v=(6, 4))(rng)
    return q, k, v, normal(rng, 5, 4, std=0.5), normal(rng, 5, 4, std=0.5), 2


@case(
    "relative positions by tables of keys and values (Shaw et al.) in tensor2tensor",
    "attention with tables of distances",
    with_tables,
    Twin(
        "table of values",
        "term|path|operand",
        "q k key_table",
        "The cotangent of the probabilities lacks the part of the table of values.",
    ),
    Twin(
        "last one wins",
        "duplicates|index|sum",
        "key_table value_table",
        "Of the pairs at the same distance one counts.",
    ),
    Twin(
        "distance reversed",
        "transpose|index|sign",
        "key_table",
        "The gradient of the keys' table is put at the opposite distance.",
    ),
)
def shaw_relative_attention(slip):
    def places(length, reach):
        i = jnp.arange(length)
        return jnp.clip(i[None] - i[:, None], -reach, reach) + reach

    def probabilities(q, k, key_table, reach):
        shifted = key_table[places(len(q), reach)]
        scores = q @ k.T + jnp.einsum("id,ijd->ij", q, shifted)
        return jax.nn.softmax(scores * q.shape[-1] ** -0.5)

    def plain(q, k, v, key_table, value_table, reach):
        p = probabilities(q, k, key_table, reach)
        return p @ v + jnp.einsum("ij,ijd->id", p, value_table[places(len(q), reach)])

    attend = jax.custom_vjp(plain, nondiff_argnums=(5,))

    def fwd(q, k, v, key_table, value_table, reach):
        value = plain(q, k, v, key_table, value_table, reach)
        return value, (q, k, v, key_table, value_table)

    def bwd(reach, res, g):
        q, k, v, key_table, value_table = res
        place = places(len(q), reach)
        p = probabilities(q, k, key_table, reach)
        dp = g @ v.T
        if slip != "table of values":
            dp = dp + jnp.einsum("id,ijd->ij", g, value_table[place])
        ds = p * (dp - (p * dp).sum(-1, keepdims=True)) * q.shape[-1] ** -0.5
        dq = ds @ k + jnp.einsum("ij,ijd->id", ds, key_table[place])

        def spread(table, place, pairs):
            at = jnp.zeros_like(table).at[place]
            return at.set(pairs) if slip == "last one wins" else at.add(pairs)

        back = place.T if slip == "distance reversed" else place
        dkeys = spread(key_table, back, ds[..., None] * q[:, None])
        dvalues = spread(value_table, place, p[..., None] * g[:, None])
        return dq, ds.T @ q, p.T @ g, dkeys, dvalues

    attend.defvjp(fwd, bwd)
    return attend, plain


def window(logit):
    def args(rng):
        q, k, v = draw(q=(3, 2, 4, 5), k=(3, 2, 4, 5), v=(3, 2, 4, 5))(rng)
        bias = normal(rng, 2, 4, 4, std=0.02)
        return q, k, v, jnp.full((2, 1, 1), logit, jnp.float32), bias

    return args


@case(
    "scaled cosine attention of Swin Transformer V2 in timm and torchvision ports",
    "attention with normalised queries and keys",
    window(2.302585),
    Twin(
        "length of the keys",
        "term|path",
        "k",
        "The part along the key is left in its gradient.",
    ),
    Twin(
        "clamped scale learns",
        "mask|region|predicate",
        "logit_scale",
        "A scale above the largest that is allowed has a gradient.",
        witness=window(5.0),
    ),
    Twin(
        "windows averaged",
        "ratio|sum|factor",
        "bias",
        "The bias is shared by the windows: its gradient is their mean, not their sum.",
    ),
    fixed=(3,),
    narrow=False,
)
def swin_v2_cosine_attention(slip):
    largest = 4.6051702

    def unit(x):
        root = lax.rsqrt((x * x).sum(-1, keepdims=True) + 1e-12)
        return x * root, root

    def pieces(q, k, logit_scale, bias):
        cos = jnp.einsum("whtd,whsd->whts", unit(q)[0], unit(k)[0])
        scale = jnp.exp(jnp.where(logit_scale > largest, largest, logit_scale))
        return cos, scale, jax.nn.softmax(cos * scale + bias)

    @jax.custom_vjp
    def attend(q, k, v, logit_scale, bias):
        return pieces(q, k, logit_scale, bias)[2] @ v

    def fwd(q, k, v, logit_scale, bias):
        return attend.fun(q, k, v, logit_scale, bias), (q, k, v, logit_scale, bias)

    def bwd(res, g):
        q, k, v, logit_scale, bias = res
        cos, scale, p = pieces(q, k, logit_scale, bias)
        dp = jnp.einsum("whtd,whsd->whts", g, v)
        ds = p * (dp - (p * dp).sum(-1, keepdims=True))
        dbias = ds.mean(0) if slip == "windows averaged" else ds.sum(0)
        dlogit = scale * (ds * cos).sum((0, 2, 3))[:, None, None]
        if slip != "clamped scale learns":
            dlogit = jnp.where(logit_scale > largest, 0, dlogit)
        dcos = ds * scale

        def through_unit(x, du, whole):
            u, root = unit(x)
            along = u * (u * du).sum(-1, keepdims=True) if whole else 0
            return root * (du - along)

        dq = through_unit(q, dcos @ unit(k)[0], True)
        turned = jnp.einsum("whts,whtd->whsd", dcos, unit(q)[0])
        dk = through_unit(k, turned, slip != "length of the keys")
        return dq, dk, jnp.einsum("whts,whtd->whsd", p, g), dlogit, dbias

    attend.defvjp(fwd, bwd)
    return attend, attend.fun

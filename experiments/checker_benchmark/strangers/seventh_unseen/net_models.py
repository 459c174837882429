"""Parts of models: styles, flows, ratings, quantised layers, embeddings."""

import jax
import jax.numpy as jnp

from experiments.checker_benchmark.strangers.record import (
    Stranger,
    Twin,
    collect,
    integers,
    normal,
    positive,
)

CASES: list[Stranger] = []
case = collect(CASES)


@case(
    "style loss by Gram matrices (neural style transfer) in flax and PyTorch",
    "loss of images",
    lambda rng: (normal(rng, 2, 4, 3, 5), normal(rng, 5, 5)),
    Twin(
        "one side of the square",
        "term|transpose|factor",
        "features",
        "The features are in the Gram matrix twice, one of the two counts.",
    ),
    Twin(
        "normaliser",
        "factor|ratio",
        "features",
        "The Gram matrix's division by pixels and channels is left out.",
    ),
    Twin(
        "style's sum",
        "sum|factor|ratio",
        "style",
        "The style is shared by the images, its gradient is that of the mean image.",
    ),
)
def gram_style_loss(slip):
    def gram(features):
        b, h, w, c = features.shape
        f = features.reshape(b, h * w, c)
        return f, jnp.einsum("bnc,bnd->bcd", f, f) / (h * w * c), h * w * c

    @jax.custom_vjp
    def loss(features, style):
        return ((gram(features)[1] - style) ** 2).mean((1, 2)).sum()

    def fwd(features, style):
        return loss(features, style), (features, style)

    def bwd(res, g):
        features, style = res
        f, each, scale = gram(features)
        dgram = 2 * g * (each - style) / style.size
        dstyle = dgram.mean(0) if slip == "style's sum" else dgram.sum(0)
        both = dgram
        if slip != "one side of the square":
            both = dgram + dgram.swapaxes(1, 2)
        df = jnp.einsum("bnc,bcd->bnd", f, both)
        if slip != "normaliser":
            df = df / scale
        return df.reshape(features.shape), -dstyle

    loss.defvjp(fwd, bwd)
    return loss, loss.fun


@case(
    "actnorm of Glow in distrax and nux users' code",
    "flow with two outputs",
    lambda rng: (normal(rng, 2, 3, 4, 3), normal(rng, 3), normal(rng, 3, std=0.3)),
    Twin(
        "pixels of the determinant",
        "factor|ratio",
        "log_scale",
        "The determinant's part isn't multiplied by the number of pixels.",
    ),
    Twin(
        "determinant",
        "term|cotangent|path",
        "log_scale",
        "The cotangent of the log-determinant is dropped.",
    ),
    Twin(
        "shift before the scale",
        "factor|operand",
        "shift",
        "The shift is added before the scale, its gradient lacks the scale.",
    ),
)
def actnorm(slip):
    @jax.custom_vjp
    def flow(x, shift, log_scale):
        pixels = x.shape[1] * x.shape[2]
        logdet = jnp.full(len(x), pixels, x.dtype) * log_scale.sum()
        return (x + shift) * jnp.exp(log_scale), logdet

    def fwd(x, shift, log_scale):
        y, logdet = flow(x, shift, log_scale)
        return (y, logdet), (y, log_scale)

    def bwd(res, cotangents):
        y, log_scale = res
        gy, glogdet = cotangents
        dx = gy * jnp.exp(log_scale)
        pixels = y.shape[1] * y.shape[2]
        if slip == "pixels of the determinant":
            pixels = 1
        dlog_scale = (gy * y).sum((0, 1, 2))
        if slip != "determinant":
            dlog_scale = dlog_scale + pixels * glogdet.sum()
        dshift = gy if slip == "shift before the scale" else dx
        return dx, dshift.sum((0, 1, 2)), dlog_scale

    flow.defvjp(fwd, bwd)
    return flow, flow.fun


def rated(rng):
    params = {
        "user": normal(rng, 4, 3),
        "item": normal(rng, 5, 3),
        "user_bias": normal(rng, 4),
        "item_bias": normal(rng, 5),
        "mean": normal(rng),
    }
    user, item = jnp.asarray([0, 2, 2, 3, 0, 2]), jnp.asarray([1, 1, 4, 0, 1, 3])
    return params, user, item, normal(rng, 6), 0.1


@case(
    "matrix factorisation with biases (SVD of surprise) by hand in JAX",
    "recommender",
    rated,
    Twin(
        "repeated users",
        "duplicates|index|sum",
        "params",
        "Of a user's ratings the last one counts for the user's factors.",
    ),
    Twin(
        "regularised once",
        "term|factor|option",
        "params",
        "The penalty of the items' factors isn't in their gradient.",
    ),
    Twin(
        "updated factors",
        "residual|operand|swap",
        "params",
        "The items' gradient meets their own factors, not the users'.",
    ),
)
def biased_matrix_factorisation(slip):
    def error(params, user, item, rating):
        p, q = params["user"][user], params["item"][item]
        guess = (p * q).sum(-1) + params["mean"]
        guess = guess + params["user_bias"][user] + params["item_bias"][item]
        return p, q, guess - rating

    def plain(params, user, item, rating, penalty):
        p, q, e = error(params, user, item, rating)
        return 0.5 * (e**2).sum() + 0.5 * penalty * ((p**2).sum() + (q**2).sum())

    loss = jax.custom_vjp(plain, nondiff_argnums=(4,))

    def fwd(params, user, item, rating, penalty):
        return plain(params, user, item, rating, penalty), (params, user, item, rating)

    def bwd(penalty, res, g):
        params, user, item, rating = res
        p, q, e = error(params, user, item, rating)
        other = q if slip == "updated factors" else p
        dp = g * (e[:, None] * q + penalty * p)
        dq = g * (e[:, None] * other)
        if slip != "regularised once":
            dq = dq + g * penalty * q
        e = g * e
        at_user = jnp.zeros_like(params["user"]).at[user]
        duser = at_user.set(dp) if slip == "repeated users" else at_user.add(dp)
        dparams = {
            "user": duser,
            "item": jnp.zeros_like(params["item"]).at[item].add(dq),
            "user_bias": jnp.zeros_like(params["user_bias"]).at[user].add(e),
            "item_bias": jnp.zeros_like(params["item_bias"]).at[item].add(e),
            "mean": e.sum(),
        }
        return dparams, None, None, -e

    loss.defvjp(fwd, bwd)
    return loss, plain


def quantised(rng):
    packed = integers(rng, 16, 8, 5).astype(jnp.int8)
    return normal(rng, 3, 8), packed, positive(rng, 2, 5, low=0.1), normal(rng, 2, 5), 4


@case(
    "dense layer with int4 weights in groups (AWQ, GPTQ) in JAX servers",
    "quantised dense layer",
    quantised,
    Twin(
        "zeros without scale",
        "factor|operand|ratio",
        "zeros",
        "The zero points are scaled forward, their gradient isn't.",
    ),
    Twin(
        "scales without zeros",
        "term|operand|residual",
        "scales",
        "The scales' gradient meets the stored integers, the zero point is left out.",
    ),
    Twin(
        "groups interleaved",
        "index|transpose|swap",
        "scales zeros",
        "Rows are gathered to groups in strides, not in blocks.",
    ),
)
def groupwise_dequant_dense(slip):
    def grouped(weights, size):
        return weights.reshape(-1, size, weights.shape[-1])

    def dequantise(packed, scales, zeros, size):
        centred = grouped(packed, size).astype(scales.dtype) - zeros[:, None]
        return centred, (centred * scales[:, None]).reshape(packed.shape)

    def plain(x, packed, scales, zeros, size):
        return x @ dequantise(packed, scales, zeros, size)[1]

    dense = jax.custom_vjp(plain, nondiff_argnums=(4,))

    def fwd(x, packed, scales, zeros, size):
        return plain(x, packed, scales, zeros, size), (x, packed, scales, zeros)

    def bwd(size, res, g):
        x, packed, scales, zeros = res
        centred, weights = dequantise(packed, scales, zeros, size)
        dw = grouped(x.T @ g, size)
        if slip == "groups interleaved":
            dw = (x.T @ g).reshape(size, -1, g.shape[-1]).swapaxes(0, 1)
        if slip == "scales without zeros":
            centred = grouped(packed, size).astype(scales.dtype)
        dscales = (dw * centred).sum(1)
        dzeros = -dw.sum(1)
        if slip != "zeros without scale":
            dzeros = dzeros * scales
        return g @ weights.T, None, dscales, dzeros

    dense.defvjp(fwd, bwd)
    return dense, plain


def tokens(rng):
    ids = jnp.asarray([[2, 5, 2, 0], [1, 2, 5, 5]], jnp.int32)
    return normal(rng, 7, 3), normal(rng, 6, 3, std=0.5), ids


@case(
    "the embedding of tokens and positions in the transformer example of flax",
    "embedding",
    tokens,
    Twin(
        "repeated tokens",
        "duplicates|index|sum",
        "table",
        "A token that is there twice gets one of its cotangents.",
    ),
    Twin(
        "root of the width",
        "factor|ratio",
        "table",
        "The embeddings are multiplied by a root, their gradient isn't.",
    ),
)
def embed_and_scale(slip):
    @jax.custom_vjp
    def embed(table, positions, ids):
        return table[ids] * table.shape[1] ** 0.5 + positions[: ids.shape[1]]

    def fwd(table, positions, ids):
        return embed(table, positions, ids), (table, positions, ids)

    def bwd(res, g):
        table, positions, ids = res
        root = 1.0 if slip == "root of the width" else table.shape[1] ** 0.5
        at = jnp.zeros_like(table).at[ids]
        dtable = at.set(g * root) if slip == "repeated tokens" else at.add(g * root)
        unused = len(positions) - ids.shape[1]
        return dtable, jnp.pad(g.sum(0), ((0, unused), (0, 0))), None

    embed.defvjp(fwd, bwd)
    return embed, embed.fun

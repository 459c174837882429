"""Losses of recommenders and of contrastive learning on tables of embeddings."""

import jax
import jax.numpy as jnp

from experiments.checker_benchmark.strangers.record import (
    Stranger,
    Twin,
    collect,
    integers,
    normal,
)

CASES: list[Stranger] = []
case = collect(CASES)


def triples(rng):
    params = {
        "user": normal(rng, 4, 3, std=0.3),
        "item": normal(rng, 6, 3, std=0.3),
        "bias": jnp.zeros(6, jnp.float32),
    }
    return params, integers(rng, 4, 8), integers(rng, 6, 8), integers(rng, 6, 8), 0.01


@case(
    "Bayesian personalised ranking with factors of users and items, in JAX notebooks",
    "ranking loss",
    triples,
    Twin(
        "last one wins",
        "duplicates|index|sum",
        "params",
        "Rows that are used by several triples keep the gradient of one.",
    ),
    Twin(
        "sign of the negatives",
        "sign|ratio|swap",
        "params",
        "The items that were not bought are pulled up with those that were.",
    ),
    Twin(
        "penalty on the negatives",
        "term|path",
        "params",
        "The penalty's gradient reaches users and bought items only.",
    ),
)
def bpr_loss(slip):
    def rows(params, user, yes, no):
        return params["user"][user], params["item"][yes], params["item"][no]

    def margin(params, user, yes, no):
        u, i, j = rows(params, user, yes, no)
        return (u * (i - j)).sum(-1) + params["bias"][yes] - params["bias"][no]

    def plain(params, user, yes, no, penalty):
        squares = sum((r * r).sum(-1) for r in rows(params, user, yes, no))
        fit = jax.nn.softplus(-margin(params, user, yes, no))
        return (fit + penalty * squares).mean()

    loss = jax.custom_vjp(plain, nondiff_argnums=(4,))

    def fwd(params, user, yes, no, penalty):
        return plain(params, user, yes, no, penalty), (params, user, yes, no)

    def bwd(penalty, res, g):
        params, user, yes, no = res
        g = g / len(user)
        u, i, j = rows(params, user, yes, no)
        d = -g * jax.nn.sigmoid(-margin(params, user, yes, no))
        pull, shrink = d[:, None], 2 * penalty * g
        du, di = pull * (i - j) + shrink * u, pull * u + shrink * i
        toward = 1 if slip == "sign of the negatives" else -1
        dj = toward * pull * u
        if slip != "penalty on the negatives":
            dj = dj + shrink * j

        def put(table, places, values):
            for at, value in zip(places, values, strict=True):
                here = table.at[at]
                table = here.set(value) if slip == "last one wins" else here.add(value)
            return table

        zeros = jax.tree.map(jnp.zeros_like, params)
        grads = {
            "user": put(zeros["user"], (user,), (du,)),
            "item": put(zeros["item"], (yes, no), (di, dj)),
            "bias": put(zeros["bias"], (yes, no), (d, toward * d)),
        }
        return grads, None, None, None

    loss.defvjp(fwd, bwd)
    return loss, plain


def clicks(rng):
    params = {
        "offset": jnp.zeros((), jnp.float32),
        "linear": normal(rng, 9, std=0.1),
        "factors": normal(rng, 9, 4, std=0.3),
    }
    return params, integers(rng, 9, 5, 4), jnp.ones((5, 4), jnp.float32)


@case(
    "factorisation machines of sparse features, pairs by the difference of squares",
    "products of features",
    clicks,
    Twin(
        "own square",
        "term|path",
        "params",
        "The factors' gradient has all features of the row, itself as well.",
    ),
    Twin(
        "pairs of the values",
        "term|path",
        "values",
        "The values' gradient has the linear part only.",
    ),
    Twin(
        "one row a feature",
        "duplicates|index|sum",
        "params",
        "Features that are in several rows keep the gradient of one.",
    ),
)
def factorization_machine(slip):
    def plain(params, features, values):
        v = params["factors"][features] * values[..., None]
        pairs = (v.sum(1) ** 2 - (v * v).sum(1)).sum(-1) / 2
        linear = (params["linear"][features] * values).sum(-1)
        return params["offset"] + linear + pairs

    score = jax.custom_vjp(plain)

    def fwd(params, features, values):
        return plain(params, features, values), (params, features, values)

    def bwd(res, g):
        params, features, values = res
        factors = params["factors"][features]
        v = factors * values[..., None]
        others = v.sum(1, keepdims=True) - (0 if slip == "own square" else v)
        dlinear = g[:, None] * values
        dfactors = dlinear[..., None] * others
        dvalues = params["linear"][features]
        if slip != "pairs of the values":
            dvalues = dvalues + (factors * (v.sum(1, keepdims=True) - v)).sum(-1)

        def put(table, value):
            at = jnp.zeros_like(table).at[features]
            return at.set(value) if slip == "one row a feature" else at.add(value)

        grads = {
            "offset": g.sum(),
            "linear": put(params["linear"], dlinear),
            "factors": put(params["factors"], dfactors),
        }
        return grads, None, g[:, None] * dvalues

    score.defvjp(fwd, bwd)
    return score, plain


@case(
    "CLIP's symmetric loss with a learned temperature, embeddings normalised inside",
    "contrastive loss",
    lambda rng: (normal(rng, 5, 6), normal(rng, 5, 6), jnp.float32(2.6592)),
    Twin(
        "from images only",
        "term|path|transpose",
        "image text scale",
        "The half of the loss that goes from texts to images has no gradient.",
    ),
    Twin(
        "exponential of the scale",
        "factor|ratio|operand",
        "scale",
        "The gradient is that of the temperature, not of its logarithm.",
    ),
    Twin(
        "length of the texts",
        "term|path",
        "text",
        "The part along the text is left in its gradient.",
    ),
    fixed=(2,),
    narrow=False,
)
def clip_contrastive_loss(slip):
    def unit(x):
        length = jnp.linalg.norm(x, axis=-1, keepdims=True)
        return x / length, length

    def similarities(image, text, scale):
        return jnp.exp(scale) * unit(image)[0] @ unit(text)[0].T

    def plain(image, text, scale):
        logits = similarities(image, text, scale)
        here = jnp.diagonal(jax.nn.log_softmax(logits, 1))
        there = jnp.diagonal(jax.nn.log_softmax(logits, 0))
        return -(here + there).mean() / 2

    loss = jax.custom_vjp(plain)

    def fwd(image, text, scale):
        return plain(image, text, scale), (image, text, scale)

    def bwd(res, g):
        image, text, scale = res
        logits = similarities(image, text, scale)
        one = jnp.eye(len(logits), dtype=logits.dtype)
        d = jax.nn.softmax(logits, 1) - one
        if slip != "from images only":
            d = d + jax.nn.softmax(logits, 0) - one
        d = g * d / (2 * len(logits))
        heat = jnp.exp(scale)
        u, v = unit(image), unit(text)

        def through(pair, du, whole):
            x, length = pair
            along = x * (x * du).sum(-1, keepdims=True) if whole else 0
            return (du - along) / length

        dimage = through(u, heat * d @ v[0], True)
        dtext = through(v, heat * d.T @ u[0], slip != "length of the texts")
        dscale = (d * logits).sum()
        if slip == "exponential of the scale":
            dscale = dscale / heat
        return dimage, dtext, dscale

    loss.defvjp(fwd, bwd)
    return loss, plain

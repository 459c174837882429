"""Small layers: activations with learned bends, normalisations, embeddings."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from experiments.checker_benchmark.strangers.record import (
    Stranger,
    Twin,
    collect,
    integers,
    normal,
)

CASES: list[Stranger] = []
case = collect(CASES)


def bends(rng):
    return normal(rng, 5, 4, std=2.0), {"above": normal(rng), "below": normal(rng)}


@case(
    "xIELU of Apertus in transformers, ported to flax",
    "activation with learned bends",
    bends,
    Twin(
        "softplus not pulled back",
        "factor|function|ratio",
        "params",
        "The gradients are those of the bends, not of what softplus takes.",
    ),
    Twin(
        "exponential for expm1",
        "function|term|affine",
        "x",
        "The negative side's slope takes exp(x), which is one more.",
    ),
    Twin(
        "straight part for all",
        "operand|function|term|ratio",
        "params",
        "The lower bend's gradient lacks the x that is taken off.",
    ),
)
def xielu(slip):
    slope = 0.5

    def bent(params):
        return jax.nn.softplus(params["above"]), slope + jax.nn.softplus(
            params["below"]
        )

    @jax.custom_vjp
    def act(x, params):
        up, down = bent(params)
        low = jnp.where(x > 0, 0, x)
        return slope * x + jnp.where(x > 0, up * x * x, down * (jnp.expm1(low) - low))

    def fwd(x, params):
        return act.fun(x, params), (x, params)

    def bwd(res, g):
        x, params = res
        up, down = bent(params)
        low = jnp.where(x > 0, 0, x)
        curve = jnp.exp(low) if slip == "exponential for expm1" else jnp.expm1(low)
        dx = g * (slope + jnp.where(x > 0, 2 * up * x, down * curve))
        under = jnp.expm1(low)
        if slip != "straight part for all":
            under = under - low
        dup = jnp.where(x > 0, g * x * x, 0).sum()
        ddown = jnp.where(x > 0, 0, g * under).sum()
        if slip != "softplus not pulled back":
            dup = dup * jax.nn.sigmoid(params["above"])
            ddown = ddown * jax.nn.sigmoid(params["below"])
        return dx, {"above": dup, "below": ddown}

    act.defvjp(fwd, bwd)
    return act, act.fun


def partial(rng):
    return normal(rng, 4, 7), normal(rng, 7, mean=1.0, std=0.2), 3


@case(
    "partial RMSNorm (Zhang and Sennrich) in flax ports",
    "normalisation by a part of the row",
    partial,
    Twin(
        "all of the row",
        "mask|index|term",
        "x",
        "Entries outside of the part get the root's gradient too.",
    ),
    Twin(
        "part of the cotangent",
        "sum|index|mask",
        "x",
        "The root's cotangent sums over the part alone.",
    ),
    Twin(
        "width of the row",
        "ratio|factor|option",
        "x",
        "The root's gradient is divided by the width, not by the part's size.",
    ),
)
def partial_rms_norm(slip):
    def root(x, part):
        return lax.rsqrt((x[..., :part] ** 2).mean(-1, keepdims=True) + 1e-6)

    def plain(x, scale, part):
        return x * root(x, part) * scale

    norm = jax.custom_vjp(plain, nondiff_argnums=(2,))

    def fwd(x, scale, part):
        r = root(x, part)
        return x * r * scale, (x * r, scale, r)

    def bwd(part, res, g):
        y, scale, r = res
        dy = g * scale
        both = dy * y
        if slip == "part of the cotangent":
            both = both[..., :part]
        pull = y * both.sum(-1, keepdims=True)
        pull = pull / (y.shape[-1] if slip == "width of the row" else part)
        if slip != "all of the row":
            pull = jnp.where(jnp.arange(y.shape[-1]) < part, pull, 0)
        return (dy - pull) * r, (g * y).sum(tuple(range(y.ndim - 1)))

    norm.defvjp(fwd, bwd)
    return norm, plain


def residual(rng):
    affine = {"scale": normal(rng, 6, mean=1.0, std=0.2), "shift": normal(rng, 6)}
    return normal(rng, 2, 3, 6), normal(rng, 2, 3, 6), affine, 1.7


@case(
    "DeepNorm's residual of torchscale in equinox ports",
    "normalisation of a weighted residual",
    residual,
    Twin(
        "weight not applied",
        "factor|option|ratio",
        "x",
        "The residual's gradient lacks its weight.",
    ),
    Twin(
        "weight on the branch",
        "swap|option|factor|ratio",
        "branch",
        "The branch gets the residual's weight as well.",
    ),
    Twin(
        "scale in the cotangent",
        "factor|operand|term",
        "x branch",
        "The normalisation's backward takes the cotangent before the scale.",
    ),
)
def deepnorm_residual(slip):
    def normed(x, branch, alpha):
        h = alpha * x + branch
        h = h - h.mean(-1, keepdims=True)
        r = lax.rsqrt((h * h).mean(-1, keepdims=True) + 1e-5)
        return h * r, r

    def plain(x, branch, params, alpha):
        return normed(x, branch, alpha)[0] * params["scale"] + params["shift"]

    block = jax.custom_vjp(plain, nondiff_argnums=(3,))

    def fwd(x, branch, params, alpha):
        y, r = normed(x, branch, alpha)
        return y * params["scale"] + params["shift"], (y, r, params["scale"])

    def bwd(alpha, res, g):
        y, r, scale = res
        dy = g if slip == "scale in the cotangent" else g * scale
        dh = dy - dy.mean(-1, keepdims=True) - y * (dy * y).mean(-1, keepdims=True)
        dh = dh * r
        dx = dh if slip == "weight not applied" else alpha * dh
        dbranch = dx if slip == "weight on the branch" else dh
        rows = tuple(range(g.ndim - 1))
        return dx, dbranch, {"scale": (g * y).sum(rows), "shift": g.sum(rows)}

    block.defvjp(fwd, bwd)
    return block, plain


def words(rng):
    return integers(rng, 15, 3, 4), normal(rng, 4, 5), normal(rng, 4, 5)


@case(
    "quotient-remainder embedding of DLRM and its ports",
    "embedding as a product of two tables",
    words,
    Twin(
        "last word wins",
        "duplicates|sum|index",
        "quotients remainders",
        "Of the words that share a row one counts.",
    ),
    Twin(
        "own row",
        "swap|operand|ratio",
        "quotients",
        "The quotient's gradient takes its own row as the other factor.",
    ),
    Twin(
        "places exchanged",
        "index|swap",
        "remainders",
        "The remainders' gradients are put at the quotients.",
    ),
)
def qr_embedding(slip):
    def places(ids, remainders):
        return ids // len(remainders), ids % len(remainders)

    @jax.custom_vjp
    def embed(ids, quotients, remainders):
        i, j = places(ids, remainders)
        return quotients[i] * remainders[j]

    def fwd(ids, quotients, remainders):
        return embed.fun(ids, quotients, remainders), (ids, quotients, remainders)

    def bwd(res, g):
        ids, quotients, remainders = res
        i, j = places(ids, remainders)

        def spread(table, place, rows):
            at = jnp.zeros_like(table).at[place]
            return at.set(rows) if slip == "last word wins" else at.add(rows)

        other = quotients[i] if slip == "own row" else remainders[j]
        dq = spread(quotients, i, g * other)
        dr = spread(
            remainders, i if slip == "places exchanged" else j, g * quotients[i]
        )
        return np.zeros(ids.shape, jax.dtypes.float0), dq, dr

    embed.defvjp(fwd, bwd)
    return embed, embed.fun

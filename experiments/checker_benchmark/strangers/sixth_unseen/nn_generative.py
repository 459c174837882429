"""Diffusion, flows and variational models."""

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


def coupled(rng):
    params = {
        "in": normal(rng, 6, 8, std=0.4),
        "b": jnp.zeros(8),
        "scale": normal(rng, 8, 6, std=0.2),
        "shift": normal(rng, 8, 6, std=0.2),
    }
    mask = jnp.asarray([1, 0, 1, 0, 1, 0], jnp.float32)
    return normal(rng, 4, 6), mask, params, 2.0


@case(
    "masked affine coupling of Real NVP with its log-determinant, in distrax style",
    "flow",
    coupled,
    Twin(
        "log-determinant",
        "zero|path|term|cotangent",
        "x params",
        "The log-determinant's cotangent is not used.",
    ),
    Twin(
        "conditioner's mask",
        "mask|region|predicate|term",
        "x",
        "What comes back from the network is not masked as its input was.",
    ),
    Twin(
        "limit of the scales",
        "factor|function",
        "x params",
        "The hyperbolic tangent that limits the scales is pulled back as linear.",
    ),
    options=lambda plain: {"nondiff": ("mask",)},
    fixed=(1,),
    scales=(0.1, 1.0, 2.0),
)
def realnvp_coupling(slip):
    def parts(x, mask, params, limit):
        seen = mask * x
        hidden = jnp.tanh(seen @ params["in"] + params["b"])
        t = jnp.tanh(hidden @ params["scale"])
        return seen, hidden, t, limit * t * (1 - mask)

    def plain(x, mask, params, limit):
        _, hidden, _, scale = parts(x, mask, params, limit)
        shift = (hidden @ params["shift"]) * (1 - mask)
        return x * jnp.exp(scale) + shift, scale.sum(-1)

    couple = jax.custom_vjp(plain, nondiff_argnums=(3,))

    def fwd(x, mask, params, limit):
        return plain(x, mask, params, limit), (x, mask, params)

    def bwd(limit, res, g):
        x, mask, params = res
        dy, dlogdet = g
        seen, hidden, t, scale = parts(x, mask, params, limit)
        grown = dy * jnp.exp(scale)
        dscale = grown * x
        if slip != "log-determinant":
            dscale = dscale + dlogdet[:, None]
        dscale = limit * (1 - mask) * dscale
        if slip != "limit of the scales":
            dscale = dscale * (1 - t * t)
        dshift = dy * (1 - mask)
        dhidden = dscale @ params["scale"].T + dshift @ params["shift"].T
        dinner = dhidden * (1 - hidden * hidden)
        dseen = dinner @ params["in"].T
        if slip != "conditioner's mask":
            dseen = dseen * mask
        grads = {
            "in": seen.T @ dinner,
            "b": dinner.sum(0),
            "scale": hidden.T @ dscale,
            "shift": hidden.T @ dshift,
        }
        return grown + dseen, jnp.zeros_like(mask), grads

    couple.defvjp(fwd, bwd)
    return couple, plain


@case(
    "the minibatch deviation channel of StyleGAN2's discriminator, in flax ports",
    "normalisation",
    lambda rng: (normal(rng, 6, 3, 3, 2), 3),
    Twin(
        "order of the groups",
        "index|transpose|axis|sum",
        "x",
        "Neighbouring images are taken for a group on the way back.",
    ),
    Twin(
        "copies in a group",
        "sum|ratio|factor|term|index",
        "x",
        "Of the images that get a group's deviation the first one's gradient counts.",
    ),
    Twin(
        "mean of the group",
        "term|path",
        "x",
        "The channel's cotangent is pulled back with the squares not centred.",
    ),
)
def minibatch_stddev(slip):
    eps = 1e-8

    def deviation(x, group):
        grouped = x.reshape(group, -1, *x.shape[1:])
        centred = grouped - grouped.mean(0)
        return grouped, centred, jnp.sqrt((centred**2).mean(0) + eps)

    def plain(x, group):
        level = deviation(x, group)[-1].mean((1, 2, 3))
        shape = (*x.shape[:-1], 1)
        channel = jnp.broadcast_to(jnp.tile(level, group)[:, None, None, None], shape)
        return jnp.concatenate([x, channel], -1)

    layer = jax.custom_vjp(plain, nondiff_argnums=(1,))

    def fwd(x, group):
        return plain(x, group), x

    def bwd(group, x, g):
        dx, dchannel = g[..., :-1], g[..., -1]
        each = dchannel.sum((1, 2))
        if slip == "order of the groups":
            dlevel = each.reshape(-1, group).sum(1)
        elif slip == "copies in a group":
            dlevel = each.reshape(group, -1)[0]
        else:
            dlevel = each.reshape(group, -1).sum(0)
        grouped, centred, std = deviation(x, group)
        dstd = dlevel[:, None, None, None] / std[0].size
        rows = grouped if slip == "mean of the group" else centred
        return (dx + (dstd * rows / (group * std)).reshape(x.shape),)

    layer.defvjp(fwd, bwd)
    return layer, plain

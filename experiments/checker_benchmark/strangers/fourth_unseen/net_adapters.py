"""Adapters, experts and quantisers: low ranks, routers, codes and clipped ranges."""

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


def routed(rng):
    return normal(rng, 4, 6), jnp.zeros(6), 2, 2.5


def balanced(rng):
    return normal(rng, 4, 6), normal(rng, 6, std=0.3), 2, 2.5


@case(
    "sigmoid router with a balancing bias (DeepSeek-V3) in MaxText",
    "mixture of experts",
    routed,
    Twin(
        "renormalisation held",
        "term|path",
        "logits",
        "The sum of the chosen scores is taken for a constant.",
    ),
    Twin(
        "scaling factor",
        "ratio|factor|option",
        "logits",
        "The routed scaling factor is in the forward only.",
    ),
    Twin(
        "biased scores",
        "operand|residual|factor|function",
        "logits",
        "The sigmoid's slope is taken at scores with the bias of the selection.",
        witness=balanced,
    ),
    options=lambda plain: {"nondiff": ("bias",)},
    fixed=(1,),
    narrow=False,
)
def sigmoid_bias_router(slip):
    def pieces(logits, bias, count):
        scores = jax.nn.sigmoid(logits)
        _, chosen = jax.lax.top_k(scores + bias, count)
        mask = jax.nn.one_hot(chosen, logits.shape[-1], dtype=bool).any(-2)
        kept = jnp.where(mask, scores, 0)
        return scores, mask, kept, kept.sum(-1, keepdims=True) + 1e-20

    def plain(logits, bias, count, scaling):
        _, _, kept, total = pieces(logits, bias, count)
        return scaling * kept / total

    route = jax.custom_vjp(plain, nondiff_argnums=(2, 3))

    def fwd(logits, bias, count, scaling):
        return plain(logits, bias, count, scaling), (logits, bias)

    def bwd(count, scaling, res, g):
        logits, bias = res
        scores, mask, kept, total = pieces(logits, bias, count)
        inner = (g * kept).sum(-1, keepdims=True) / total
        if slip == "renormalisation held":
            inner = 0
        d = jnp.where(mask, (g - inner) / total, 0)
        if slip != "scaling factor":
            d = scaling * d
        slope = scores * jax.nn.sigmoid(-logits)
        if slip == "biased scores":
            slope = (scores + bias) * (1 - scores - bias)
        return d * slope, jnp.zeros_like(bias)

    route.defvjp(fwd, bwd)
    return route, plain


def tokens_and_slots(rng):
    params = {"w": normal(rng, 2, 4, 4, std=0.5), "b": jnp.zeros((2, 1, 4))}
    return normal(rng, 6, 4), normal(rng, 4, 2, 2, std=0.5), params


@case(
    "Soft MoE: mixtures of tokens for slots, and of slots for tokens, in flax",
    "mixture of experts",
    tokens_and_slots,
    Twin(
        "one softmax for both",
        "axis|sum|operand|function",
        "x phi",
        "The mixing for slots is pulled back over the slots, not over the tokens.",
    ),
    Twin(
        "combination only",
        "term|path",
        "x phi",
        "The logits get the gradient of the combination alone.",
    ),
    Twin(
        "tokens by the logits",
        "term|path",
        "x",
        "The tokens' part in the logits is forgotten.",
    ),
    scales=(0.1, 1.0, 3.0),
)
def soft_moe(slip):
    def pieces(x, phi):
        logits = jnp.einsum("td,dep->tep", x, phi)
        dispatch = jax.nn.softmax(logits, axis=0)
        flat = jax.nn.softmax(logits.reshape(len(x), -1), axis=-1)
        return dispatch, flat.reshape(logits.shape)

    @jax.custom_vjp
    def layer(x, phi, params):
        dispatch, combine = pieces(x, phi)
        slots = jnp.einsum("tep,td->epd", dispatch, x)
        outs = jnp.tanh(slots @ params["w"] + params["b"])
        return jnp.einsum("tep,epd->td", combine, outs)

    def fwd(x, phi, params):
        return layer.fun(x, phi, params), (x, phi, params)

    def bwd(res, g):
        x, phi, params = res
        dispatch, combine = pieces(x, phi)
        slots = jnp.einsum("tep,td->epd", dispatch, x)
        outs = jnp.tanh(slots @ params["w"] + params["b"])
        dcombine = jnp.einsum("td,epd->tep", g, outs)
        dz = jnp.einsum("tep,td->epd", combine, g) * (1 - outs) * (1 + outs)
        dslots = dz @ params["w"].mT
        ddispatch = jnp.einsum("epd,td->tep", dslots, x)
        inner = (combine * dcombine).sum((1, 2), keepdims=True)
        dlogits = combine * (dcombine - inner)
        axes = (1, 2) if slip == "one softmax for both" else 0
        inner = (dispatch * ddispatch).sum(axes, keepdims=True)
        if slip != "combination only":
            dlogits = dlogits + dispatch * (ddispatch - inner)
        dx = jnp.einsum("tep,epd->td", dispatch, dslots)
        if slip != "tokens by the logits":
            dx = dx + jnp.einsum("tep,dep->td", dlogits, phi)
        dphi = jnp.einsum("tep,td->dep", dlogits, x)
        grads = {"w": slots.mT @ dz, "b": dz.sum(1, keepdims=True)}
        return dx, dphi, grads

    layer.defvjp(fwd, bwd)
    return layer, layer.fun


def past_rounding(args, dz):
    """Through the bound and past the rounding."""
    z, levels = args
    half = jnp.asarray([(n - 1) * (1 + 1e-3) / 2 for n in levels], z.dtype)
    width = jnp.asarray([n // 2 for n in levels], z.dtype)
    offset = jnp.asarray([0.0 if n % 2 else 0.5 for n in levels], z.dtype)
    t = jnp.tanh(z + jnp.arctanh(offset / half))
    return (dz * half * (1 - t) * (1 + t) / width,)


@case(
    "finite scalar quantisation (FSQ) in flax tokenisers, straight through",
    "quantisation",
    lambda rng: (normal(rng, 2, 4, 3), (8, 5, 5)),
    Twin("true derivative", "zero", "z", "Zero, as rounding has."),
    Twin(
        "past the bound",
        "function|factor|term",
        "z",
        "The cotangent passes the tanh that bounds the codes as well.",
    ),
    Twin(
        "shift of even levels",
        "operand|residual|term|constant",
        "z",
        "The tanh's slope is taken without the shift that even numbers of levels have.",
    ),
    options=lambda plain: {"surrogate": past_rounding},
    narrow=False,
)
def finite_scalar_quantise(slip):
    def constants(levels, dtype):
        n = jnp.asarray(levels, dtype)
        half = (n - 1) * (1 + 1e-3) / 2
        offset = jnp.where(n % 2 == 0, 0.5, 0).astype(dtype)
        return half, offset, jnp.arctanh(offset / half), n // 2

    def plain(z, levels):
        half, offset, shift, width = constants(levels, z.dtype)
        return jnp.round(jnp.tanh(z + shift) * half - offset) / width

    quantise = jax.custom_vjp(plain, nondiff_argnums=(1,))

    def fwd(z, levels):
        return plain(z, levels), z

    def bwd(levels, z, g):
        half, _, shift, width = constants(levels, z.dtype)
        if slip == "true derivative":
            return (jnp.zeros_like(z),)
        if slip == "shift of even levels":
            shift = 0
        if slip == "past the bound":
            return (g * half / width,)
        t = jnp.tanh(z + shift)
        return (g * half * (1 - t) * (1 + t) / width,)

    quantise.defvjp(fwd, bwd)
    return quantise, plain

"""Layers: learned sharpness, response normalisation, token shifts, chosen tokens."""

import jax
import jax.numpy as jnp
from jax import lax

from experiments.checker_benchmark.strangers.record import (
    Stranger,
    Twin,
    collect,
    normal,
    positive,
)

CASES: list[Stranger] = []
case = collect(CASES)


@case(
    "Swish with a learned sharpness per channel, in flax and timm ports",
    "activation with learned parameters",
    lambda rng: (normal(rng, 2, 4, 3), jnp.ones(3)),
    Twin(
        "beta left out",
        "factor|ratio|operand",
        "x",
        "The sigmoid's argument is pulled back without beta, which is 1 at the start.",
        witness=lambda rng: (normal(rng, 2, 4, 3), positive(rng, 3)),
    ),
    Twin(
        "x once",
        "factor|operand|function",
        "beta",
        "x where its square belongs, once from the product and once from the argument.",
    ),
    Twin(
        "mean over the batch",
        "ratio|factor|sum",
        "beta",
        "The sharpness' gradient is averaged over the entries of a channel.",
    ),
)
def swish_beta(slip):
    @jax.custom_vjp
    def swish(x, beta):
        return x * jax.nn.sigmoid(beta * x)

    def fwd(x, beta):
        s = jax.nn.sigmoid(beta * x)
        return x * s, (x, beta, s)

    def bwd(res, g):
        x, beta, s = res
        slope = s * (1 - s)
        inner = x * slope if slip == "beta left out" else beta * x * slope
        weight = x if slip == "x once" else x * x
        reduce = jnp.mean if slip == "mean over the batch" else jnp.sum
        dbeta = reduce(g * weight * slope, tuple(range(x.ndim - 1)))
        return g * (s + inner), dbeta

    swish.defvjp(fwd, bwd)
    return swish, swish.fun


def first_response(rng):
    return normal(rng, 2, 3, 3, 4), jnp.zeros(4), jnp.zeros(4), 1e-6


def trained_response(rng):
    return normal(rng, 2, 3, 3, 4), normal(rng, 4), normal(rng, 4), 1e-6


@case(
    "global response normalisation of ConvNeXt V2 in flax and timm",
    "normalisation",
    first_response,
    Twin(
        "mean over the channels",
        "term|path",
        "x",
        "The mean that the norms are divided by is taken for a constant.",
        witness=trained_response,
    ),
    Twin(
        "skip",
        "term|path",
        "x",
        "The residual connection within the layer is forgotten.",
    ),
    Twin(
        "response left out of gamma",
        "factor|operand",
        "gamma",
        "gamma's gradient is weighed by x, not by x times its response.",
    ),
    fixed=(1, 2),
)
def global_response_norm(slip):
    def norms(x):
        square = (x * x).sum((1, 2), keepdims=True)
        return jnp.where(square > 0, jnp.sqrt(jnp.where(square > 0, square, 1)), 0)

    def plain(x, gamma, beta, eps):
        norm = norms(x)
        response = norm / (norm.mean(-1, keepdims=True) + eps)
        return gamma * (x * response) + beta + x

    respond = jax.custom_vjp(plain, nondiff_argnums=(3,))

    def fwd(x, gamma, beta, eps):
        return plain(x, gamma, beta, eps), (x, gamma)

    def bwd(eps, res, g):
        x, gamma = res
        norm = norms(x)
        mean = norm.mean(-1, keepdims=True) + eps
        response = norm / mean
        dgamma = g * x if slip == "response left out of gamma" else g * x * response
        dz = g * gamma
        dresponse = (dz * x).sum((1, 2), keepdims=True)
        dnorm = dresponse / mean
        if slip != "mean over the channels":
            dnorm = dnorm - (dresponse * response).mean(-1, keepdims=True) / mean
        inverse = jnp.where(norm > 0, 1 / jnp.where(norm > 0, norm, 1), 0)
        dx = dz * response + dnorm * x * inverse
        if slip != "skip":
            dx = dx + g
        return dx, dgamma.sum((0, 1, 2)), g.sum((0, 1, 2))

    respond.defvjp(fwd, bwd)
    return respond, plain


def channel_mix_args(rng):
    params = {
        "mu": jnp.full((2, 4), 0.5),
        "key": 0.5 * normal(rng, 4, 6),
        "value": 0.5 * normal(rng, 6, 4),
        "gate": 0.5 * normal(rng, 4, 4),
    }
    return normal(rng, 5, 4), jnp.zeros(4), params


@case(
    "channel mixing of RWKV with token shift and a carried token, in JAX ports",
    "gated MLP with a state",
    channel_mix_args,
    Twin(
        "shifted the same way",
        "index|region|sum|transpose",
        "x last",
        "The shifted tokens' cotangents go one step on, not one step back.",
    ),
    Twin(
        "share of the shifted",
        "term|operand|path",
        "params",
        "mu's gradient is weighed by x, not by x minus the token before.",
    ),
    Twin(
        "carried token",
        "zero|term|path",
        "x",
        "The new state is the last token, and its cotangent is dropped.",
    ),
)
def rwkv_token_shift(slip):
    def pieces(x, last, params):
        before = jnp.concatenate([last[None], x[:-1]])
        mu = params["mu"][:, None]
        xk, xr = mu * x + (1 - mu) * before
        z = xk @ params["key"]
        hidden = jnp.where(z > 0, z, 0)
        gate = jax.nn.sigmoid(xr @ params["gate"])
        value = (hidden * hidden) @ params["value"]
        return before, xk, xr, hidden, gate, value

    @jax.custom_vjp
    def mix(x, last, params):
        *_, gate, value = pieces(x, last, params)
        return gate * value, x[-1]

    def fwd(x, last, params):
        return mix.fun(x, last, params), (x, last, params)

    def bwd(res, g):
        (x, last, params), (dy, dnew) = res, g
        before, xk, xr, hidden, gate, value = pieces(x, last, params)
        dvalue = dy * gate
        dr = dy * value * gate * (1 - gate)
        dz = 2 * hidden * (dvalue @ params["value"].T)
        dmixed = jnp.stack([dz @ params["key"].T, dr @ params["gate"].T])
        mu = params["mu"][:, None]
        weigh = x if slip == "share of the shifted" else x - before
        dx = (mu * dmixed).sum(0)
        dbefore = ((1 - mu) * dmixed).sum(0)
        if slip == "shifted the same way":
            shifted = jnp.concatenate([jnp.zeros_like(dbefore[:1]), dbefore[:-1]])
            dlast = dbefore[-1]
        else:
            shifted = jnp.concatenate([dbefore[1:], jnp.zeros_like(dbefore[:1])])
            dlast = dbefore[0]
        dx = dx + shifted
        if slip != "carried token":
            dx = dx.at[-1].add(dnew)
        grads = {
            "mu": (dmixed * weigh).sum(1),
            "key": xk.T @ dz,
            "value": (hidden * hidden).T @ dvalue,
            "gate": xr.T @ dr,
        }
        return dx, dlast, grads

    mix.defvjp(fwd, bwd)
    return mix, mix.fun


def choosing(rng):
    router, experts = normal(rng, 4, 3), 0.5 * normal(rng, 3, 4, 4)
    return normal(rng, 6, 4), router, experts, 3


@case(
    "expert-choice routing: experts take their top tokens, in flaxformer and MaxText",
    "mixture of experts",
    choosing,
    Twin(
        "chosen twice",
        "duplicates|index|sum",
        "x",
        "Of the experts that take a token one writes its gradient.",
    ),
    Twin(
        "router's part",
        "term|path",
        "x",
        "The tokens have no gradient from the affinities.",
    ),
    Twin(
        "softmax over the tokens",
        "sum|axis",
        "x router",
        "The affinities are normalised over the experts, pulled back over the tokens.",
    ),
    scales=(0.3, 1.0),
)
def expert_choice_routing(slip):
    def choose(x, router, capacity):
        p = jax.nn.softmax(x @ router, -1)
        gate, index = lax.top_k(p.T, capacity)
        return p, gate, index

    def plain(x, router, experts, capacity):
        _, gate, index = choose(x, router, capacity)
        out = jnp.einsum("ecd,edf->ecf", x[index], experts) * gate[..., None]
        return jnp.zeros_like(x).at[index].add(out)

    route = jax.custom_vjp(plain, nondiff_argnums=(3,))

    def fwd(x, router, experts, capacity):
        p, gate, index = choose(x, router, capacity)
        done = jnp.einsum("ecd,edf->ecf", x[index], experts)
        y = jnp.zeros_like(x).at[index].add(done * gate[..., None])
        return y, (x, router, experts, p, gate, index, done)

    def bwd(capacity, res, g):
        x, router, experts, p, gate, index, done = res
        dout = g[index]
        dgate = (dout * done).sum(-1)
        dout = dout * gate[..., None]
        dexperts = jnp.einsum("ecd,ecf->edf", x[index], dout)
        dtaken = jnp.einsum("ecf,edf->ecd", dout, experts)
        dx = jnp.zeros_like(x).at[index]
        dx = dx.set(dtaken) if slip == "chosen twice" else dx.add(dtaken)
        dp = jnp.zeros_like(p).at[index, jnp.arange(p.shape[1])[:, None]].set(dgate)
        axis = 0 if slip == "softmax over the tokens" else -1
        dlogits = p * (dp - (p * dp).sum(axis, keepdims=True))
        if slip != "router's part":
            dx = dx + dlogits @ router.T
        return dx, x.T @ dlogits, dexperts

    route.defvjp(fwd, bwd)
    return route, plain

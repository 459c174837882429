"""GPT-2 read token by token: keys and values of what was read are kept, not made again.

    qkv = a @ Wqkv + bqkv            of the new tokens alone
    k, v                             written into the cache at their places
    o[t] = softmax(q[t] . k / sqrt(D)) @ v    over all places up to t

The logits are those of `gpt2.apply` up to rounding, at the cost of one token in place
of all before it. Positions are learned and absolute, so a cache cannot be shifted: it
ends with the context.
"""

import math

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int

from jaxninja.models.gpt2 import LAYER, Gpt2
from jaxninja.models.parts import Params
from jaxninja.rules import manual

Cache = tuple[Float[Array, "L N T H D"], Float[Array, "L N T H D"]]  # keys, values


def empty(params: Params, count: int, model: Gpt2) -> Cache:
    """A cache of `count` sequences in which nothing has been read."""
    heads, width = model.heads, model.embedding // model.heads
    shape = model.layers, count, model.context, heads, width
    return jnp.zeros(shape, params["wte"].dtype), jnp.zeros(shape, params["wte"].dtype)


def read(
    params: Params, cache: Cache, ids: Int[Array, "N t"], start, model: Gpt2
) -> tuple[Float[Array, "N V"], Cache]:
    """Logits of the token after the last of `ids`, and the cache with them.

    Args:
        params: of the network.
        cache: of the tokens before.
        ids: [N, t], to be read at places start, start + 1, ...
        start: how many are in the cache; start + t is at most the context.
        model: of these parameters.
    """
    places = start + jnp.arange(ids.shape[1])
    x = params["wte"][ids] + params["wpe"][places]
    layers = {name: params[name] for name in LAYER}

    def step(x, layer):
        w, keys, values = layer
        x, keys, values = _layer(w, x, keys, values, places, model)
        return x, (keys, values)

    x, (keys, values) = lax.scan(step, x, (layers, *cache))
    y = manual.layernorm(x[:, -1], params["gainf"], params["biasf"], model.eps)
    return y @ params["wte"][: model.vocabulary].T, (keys, values)


def _layer(w, x, keys, values, places, model):
    """x after a layer, and the layer's keys and values with those of x."""
    N, t, C = x.shape
    a = manual.layernorm(x, w["gain1"], w["bias1"], model.eps)
    qkv = (a @ w["Wqkv"] + w["bqkv"]).reshape(N, t, 3, model.heads, -1)
    at = 0, places[0], 0, 0
    keys = lax.dynamic_update_slice(keys, qkv[:, :, 1], at)
    values = lax.dynamic_update_slice(values, qkv[:, :, 2], at)
    z = jnp.einsum("nthd,nshd->nhts", qkv[:, :, 0], keys)
    seen = jnp.arange(keys.shape[1]) <= places[:, None]
    z = jnp.where(seen, z / math.sqrt(keys.shape[-1]), -jnp.inf)
    o = jnp.einsum("nhts,nshd->nthd", jax.nn.softmax(z), values)
    x = x + o.reshape(N, t, C) @ w["Wo"] + w["bo"]
    a = manual.layernorm(x, w["gain2"], w["bias2"], model.eps)
    f = a @ w["Wfc"] + w["bfc"]
    return x + manual.gelu(f, True) @ w["Wproj"] + w["bproj"], keys, values

"""GPT-2 as anyone would write it in JAX: what `jax.grad` is measured on.

The layers unrolled, in a scan, or in a scan with a checkpoint a layer. Parameters are
those of `jaxninja.models.gpt2`.
"""

import math

import jax
import jax.numpy as jnp
from jax import lax

from jaxninja.models.gpt2 import LAYER

FORMS = ("unrolled", "scan", "scan and checkpoint")


def loss(params, ids, labels, model, form="scan"):
    """Mean cross entropy in nats over the labels that are not -1."""
    x = params["wte"][ids] + params["wpe"][: ids.shape[1]]
    layers = {name: params[name] for name in LAYER}
    if form == "unrolled":
        for l in range(model.layers):
            x = layer({name: w[l] for name, w in layers.items()}, x, model.heads)
    else:
        f = jax.checkpoint(layer, static_argnums=2) if "check" in form else layer
        x, _ = lax.scan(lambda x, w: (f(w, x, model.heads), None), x, layers)
    y = layernorm(x, params["gainf"], params["biasf"])
    log_p = jax.nn.log_softmax(y @ params["wte"].T)
    picked = jnp.take_along_axis(log_p, labels.clip(0)[..., None], -1)[..., 0]
    return -jnp.where(labels >= 0, picked, 0).sum() / (labels >= 0).sum()


def layer(w, x, heads):
    a = layernorm(x, w["gain1"], w["bias1"])
    x = x + attention(a @ w["Wqkv"] + w["bqkv"], heads) @ w["Wo"] + w["bo"]
    f = layernorm(x, w["gain2"], w["bias2"]) @ w["Wfc"] + w["bfc"]
    return x + jax.nn.gelu(f) @ w["Wproj"] + w["bproj"]


def attention(qkv, heads):
    B, T, _ = qkv.shape
    q, k, v = (a.reshape(B, T, heads, -1).swapaxes(1, 2) for a in jnp.split(qkv, 3, -1))
    z = q @ k.mT / math.sqrt(q.shape[-1])
    z = jnp.where(jnp.tril(jnp.ones((T, T), bool)), z, -jnp.inf)
    return (jax.nn.softmax(z) @ v).swapaxes(1, 2).reshape(B, T, -1)


def layernorm(x, gain, bias):
    diff = x - x.mean(-1, keepdims=True)
    var = (diff * diff).mean(-1, keepdims=True)
    return diff * lax.rsqrt(var + 1e-5) * gain + bias

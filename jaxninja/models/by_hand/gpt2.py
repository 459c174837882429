"""The whole backward pass of GPT-2 by hand, from the loss to the token embedding.

Sizes: B sequences of T tokens, N = B T; C embedding, H heads, V vocabulary. d<name> is
the gradient of the loss with respect to <name>, and has its shape. A layer:

    a   = gain1 xhat + bias1        xhat = (x - mean) rstd, along the row
    qkv = a @ Wqkv + bqkv           [N, 3 C]
    o   = attention(qkv)            [N, C], and lse = log sum_s e^score (token, head)
    x2  = x + o @ Wo + bo
    a2  = gain2 xhat2 + bias2
    f   = a2 @ Wfc + bfc            [N, 4 C]
    h   = gelu(f)
    y   = x2 + h @ Wproj + bproj    the next layer's x

What a layer keeps of this is chosen by hand, `model.residuals` numbers for each token:

    10C  x, qkv, o, lse, x2, f      no product is computed twice
    5C   x, qkv, o, lse             x2 and f again: two products
    1C   x                          qkv and attention again as well

Layernorm and gelu, which cost no product, are always computed again. Attention goes by
blocks (parts/causal_attention.py), and qkv is kept in them; the last layer and the loss
by blocks of tokens, forward and back at once: neither T x T scores nor N x V logits
ever exist. A weight's gradient is a sum over rows (parts/products.py).
"""

import math
from functools import partial

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int

from jaxninja.models.by_hand.parts.causal_attention import attention, attention_backward
from jaxninja.models.by_hand.parts.products import over_rows, product
from jaxninja.models.gpt2 import LAYER, RESIDUALS, Gpt2
from jaxninja.models.parts import Params, Statistics
from jaxninja.models.parts.sequences import check_length

KEPT = dict(zip(RESIDUALS, (6, 4, 1), strict=True))  # arrays of a layer, in their order
TOKENS = 512  # about, whose logits are held together
K, CUBE = math.sqrt(2 / math.pi), 0.044715  # gelu's


def value_and_grad(
    params: Params, ids: Int[Array, "B T"], labels: Int[Array, "B T"], model: Gpt2
) -> tuple[tuple[Float[Array, ""], Statistics], Params]:
    """Loss, no statistics, and the gradient of every parameter.

    Args and returns are those of `jax.value_and_grad(gpt2.loss, has_aux=True)`.
    """
    check_length("gpt2", ids, model.context)
    wte, wpe, gainf = params["wte"], params["wpe"], params["gainf"]
    layers = {name: params[name] for name in LAYER}
    B, T = ids.shape
    C = model.embedding

    # forward
    x = (wte[ids] + wpe[:T]).reshape(B * T, C)
    x, kept = lax.scan(lambda x, w: layer(w, x, B, model), x, layers)
    xhat, rstd = normalise(x, model.eps)
    y = gainf * xhat + params["biasf"]
    loss, dy, dwte = head(y.reshape(B, T, C), wte, labels, model)

    # backward
    dy = dy.reshape(B * T, C)
    dgainf, dbiasf = (dy * xhat).sum(0), dy.sum(0)
    dx = through_normalise(gainf * dy, xhat, rstd)
    down = partial(layer_backward, B=B, model=model)
    dx, dlayers = lax.scan(down, dx, (layers, kept), reverse=True)
    dx = dx.reshape(B, T, C)
    dwpe = jnp.pad(dx.sum(0), [(0, len(wpe) - T), (0, 0)])
    dwte = dwte.at[ids].add(dx)  # the second use of wte; a token read twice adds twice

    grads = {"wte": dwte, "wpe": dwpe, **dlayers, "gainf": dgainf, "biasf": dbiasf}
    return (loss, {}), grads


def layer(w, x, B, model):
    """The next layer's x [N, C], and what is kept for the way back."""
    qkv, o, lse = attend(w, x, B, model)
    x2, f = widen(w, x, o, model)
    y = x2 + product(gelu(f), w["Wproj"], model.dtype) + w["bproj"]
    return y, (x, qkv, o, lse, x2, f)[: KEPT[model.residuals]]


def attend(w, x, B, model):
    a = w["gain1"] * normalise(x, model.eps)[0] + w["bias1"]
    qkv = product(a, w["Wqkv"], model.dtype) + w["bqkv"]
    return attention(qkv, B, model.heads, model.dtype)


def widen(w, x, o, model):
    x2 = x + product(o, w["Wo"], model.dtype) + w["bo"]
    a2 = w["gain2"] * normalise(x2, model.eps)[0] + w["bias2"]
    return x2, product(a2, w["Wfc"], model.dtype) + w["bfc"]


def layer_backward(dy, layer, B, model):
    """dx [N, C] and the gradients of a layer's parameters."""
    w, (x, *kept) = layer
    qkv, o, lse, *kept = kept or attend(w, x, B, model)
    x2, f = kept or widen(w, x, o, model)

    dWproj, dbproj = over_rows(gelu(f), dy, model.dtype), dy.sum(0)
    df = gelu_slope(f) * product(dy, w["Wproj"].T, model.dtype)
    xhat2, rstd2 = normalise(x2, model.eps)
    a2 = w["gain2"] * xhat2 + w["bias2"]
    dWfc, dbfc = over_rows(a2, df, model.dtype), df.sum(0)
    da2 = product(df, w["Wfc"].T, model.dtype)
    dgain2, dbias2 = (da2 * xhat2).sum(0), da2.sum(0)
    dx2 = dy + through_normalise(w["gain2"] * da2, xhat2, rstd2)

    dWo, dbo = over_rows(o, dx2, model.dtype), dx2.sum(0)
    do = product(dx2, w["Wo"].T, model.dtype)
    dqkv = attention_backward(qkv, o, lse, do, B, model.dtype)
    xhat, rstd = normalise(x, model.eps)
    a = w["gain1"] * xhat + w["bias1"]
    dWqkv, dbqkv = over_rows(a, dqkv, model.dtype), dqkv.sum(0)
    da = product(dqkv, w["Wqkv"].T, model.dtype)
    dgain1, dbias1 = (da * xhat).sum(0), da.sum(0)
    dx = dx2 + through_normalise(w["gain1"] * da, xhat, rstd)

    first = dgain1, dbias1, dWqkv, dbqkv, dWo, dbo
    second = dgain2, dbias2, dWfc, dbfc, dWproj, dbproj
    return dx, dict(zip(LAYER, first + second, strict=True))


def head(y, wte, labels, model):
    """loss, dy [B, T, C], and dwte from the output layer, some positions at a time."""
    B, T, C = y.shape
    count = -(-T // max(1, TOKENS // B))
    size = -(-T // count)
    counted = (labels >= 0).sum().clip(1)

    def blocks(a, beyond):  # [B, T, ...] -> [count, B size, ...]
        rest = [(0, 0), (0, count * size - T), *[(0, 0)] * (a.ndim - 2)]
        a = jnp.pad(a, rest, constant_values=beyond)
        a = a.reshape(B, count, size, *a.shape[2:]).swapaxes(0, 1)
        return a.reshape(count, B * size, *a.shape[3:])

    def step(sums, block):
        loss, dwte = sums
        y, labels = block
        row, at = jnp.arange(len(y)), jnp.maximum(labels, 0)
        weight = (labels >= 0)[:, None].astype(y.dtype) / counted
        logits = product(y, wte.T, model.dtype)  # [B size, V]
        if model.rows > model.vocabulary:
            token = jnp.arange(model.rows) < model.vocabulary
            logits = jnp.where(token, logits, -jnp.inf)
        top = logits.max(1, keepdims=True)
        e = jnp.exp(logits - top)
        total = e.sum(1, keepdims=True)
        rows = jnp.log(total) + top - logits[row, at][:, None]
        is_label = jnp.arange(model.rows) == labels[:, None]
        dlogits = (weight / total) * e - jnp.where(is_label, weight, 0)
        dwte = dwte + over_rows(dlogits, y, model.dtype)
        return (loss + (weight * rows).sum(), dwte), product(dlogits, wte, model.dtype)

    zero = jnp.zeros((), y.dtype), jnp.zeros_like(wte)
    (loss, dwte), dy = lax.scan(step, zero, (blocks(y, 0), blocks(labels, -1)))
    dy = dy.reshape(count, B, size, C).swapaxes(0, 1).reshape(B, count * size, C)
    return loss, dy[:, :T], dwte


def normalise(x, eps):
    """xhat [N, C] and rstd [N, 1]: each row to mean 0 and variance 1."""
    diff = x - x.mean(-1, keepdims=True)
    rstd = lax.rsqrt((diff * diff).mean(-1, keepdims=True) + eps)
    return diff * rstd, rstd


def through_normalise(dxhat, xhat, rstd):
    """dx: mean and variance of a row take their share of dxhat away."""
    along = (dxhat * xhat).mean(-1, keepdims=True)
    return rstd * (dxhat - dxhat.mean(-1, keepdims=True) - xhat * along)


def gelu(f):
    """h = f (1 + t) / 2 with t = tanh(K (f + CUBE f^3))."""
    return 0.5 * f * (1 + jnp.tanh(K * (f + CUBE * f * f * f)))


def gelu_slope(f):
    """dh / df. The barrier keeps XLA from holding t for it since gelu was computed."""
    f = lax.optimization_barrier(f)
    t = jnp.tanh(K * (f + CUBE * f * f * f))
    return 0.5 * (1 + t) + 0.5 * f * (1 - t * t) * K * (1 + 3 * CUBE * f * f)

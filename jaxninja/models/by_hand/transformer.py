"""The whole backward pass of makemore.py's transformer by hand.

The forward pass keeps what the backward pass needs, a tuple a layer, and the backward
pass reads from the bottom to the top. Each line is derived at the head of its layer's
rule, in `jaxninja/rules/`; x_W, xT_dy and dy_WT are the three products of a linear
layer. What is added to the stream x sends its gradient to both sides, so dx goes
through a block unchanged, and what came through the block's layers is added to it.

Sizes: N batch, T places, E embedding, H heads, D = E / H, V vocabulary. d<name> is the
gradient of the loss with respect to <name>, and has its shape.
"""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jaxninja.models.by_hand.linear_products import products, sum_rows
from jaxninja.models.parts import Params, Statistics
from jaxninja.models.parts.sequences import check_length
from jaxninja.models.transformer import LAYER, Transformer, of_layer

K, CUBE = math.sqrt(2 / math.pi), 0.044715  # of gelu's tanh form


def value_and_grad(
    params: Params,
    ids: Int[Array, "N T"],
    labels: Int[Array, "N T"],
    model: Transformer,
) -> tuple[tuple[Float[Array, ""], Statistics], Params]:
    """Loss, no statistics, and the gradient of every parameter.

    Args and returns are those of `jax.value_and_grad(transformer.loss, has_aux=True)`.
    """
    check_length("transformer", ids, model.context)
    C, P, W = params["C"], params["P"], params["W"]
    gamma, beta = params["gamma"], params["beta"]
    x_W, xT_dy, dy_WT = products(model.dtype)
    (N, T), V = ids.shape, W.shape[1]
    layers = range(1, model.layers + 1)
    seen = jnp.tril(jnp.ones((T, T), bool))  # place t sees the places s <= t
    scale = (model.embedding / model.heads) ** -0.5

    def heads(a):  # [N, T, E] -> [N, H, T, D]
        return a.reshape(N, T, model.heads, -1).swapaxes(1, 2)

    def beside(a):  # and back
        return a.swapaxes(1, 2).reshape(N, T, -1)

    # forward
    x = C[ids] + P[:T]  # [N, T, E]
    kept = {}
    for layer in layers:
        gamma_a, beta_a, Wqkv, bqkv, Wo, bo, *of_mlp = of_layer(params, layer)
        gamma_m, beta_m, Wf, bf, Wp, bp = of_mlp
        ahat, arstd = standardised(x, model.eps)
        a = gamma_a * ahat + beta_a
        q, k, v = map(heads, jnp.split(x_W(a, Wqkv) + bqkv, 3, -1))
        z = jnp.where(seen, scale * (q @ k.mT), -jnp.inf)  # [N, H, T, T]
        e = jnp.exp(z - z.max(-1, keepdims=True))
        p = e / e.sum(-1, keepdims=True)
        y = beside(p @ v)  # [N, T, E]
        x = x + x_W(y, Wo) + bo
        mhat, mrstd = standardised(x, model.eps)
        m = gamma_m * mhat + beta_m
        f = x_W(m, Wf) + bf  # [N, T, 4 E]
        s = jax.nn.sigmoid(2 * K * (f + CUBE * f**3))
        h = f * s
        x = x + x_W(h, Wp) + bp
        kept[layer] = ahat, arstd, a, q, k, v, p, y, mhat, mrstd, m, f, s, h
    xhat, rstd = standardised(x, model.eps)
    last = gamma * xhat + beta
    logits = x_W(last, W)  # [N, T, V]
    norm_logits = logits - logits.max(-1, keepdims=True)
    counts = jnp.exp(norm_logits)
    counts_sum = counts.sum(-1, keepdims=True)
    onehot = jax.nn.one_hot(labels, V, dtype=logits.dtype)
    counted = (labels >= 0)[..., None]  # [N, T, 1]
    n = jnp.maximum(counted.sum(), 1)
    losses = jnp.log(counts_sum) - (norm_logits * onehot).sum(-1, keepdims=True)
    loss = jnp.where(counted, losses, 0).sum() / n

    # backward
    dlogits = jnp.where(counted, counts / counts_sum - onehot, 0) / n
    dW = xT_dy(last, dlogits)
    dlast = dy_WT(dlogits, W)
    dgamma, dbeta = over_places(dlast * xhat), over_places(dlast)
    dx = through_standardising(gamma * dlast, xhat, rstd)
    grads = {"gamma": dgamma, "beta": dbeta, "W": dW}
    for layer in reversed(layers):
        gamma_a, beta_a, Wqkv, bqkv, Wo, bo, *of_mlp = of_layer(params, layer)
        gamma_m, beta_m, Wf, bf, Wp, bp = of_mlp
        ahat, arstd, a, q, k, v, p, y, mhat, mrstd, m, f, s, h = kept[layer]
        dWp, dbp = xT_dy(h, dx), over_places(dx)
        dh = dy_WT(dx, Wp)
        df = (s + 2 * h * (1 - s) * K * (1 + 3 * CUBE * f**2)) * dh
        dWf, dbf = xT_dy(m, df), over_places(df)
        dm = dy_WT(df, Wf)
        dgamma_m, dbeta_m = over_places(dm * mhat), over_places(dm)
        dx = dx + through_standardising(gamma_m * dm, mhat, mrstd)
        dWo, dbo = xT_dy(y, dx), over_places(dx)
        dy = heads(dy_WT(dx, Wo))  # [N, H, T, D]
        dv = p.mT @ dy
        dp = dy @ v.mT
        dz = p * (dp - (p * dp).sum(-1, keepdims=True))
        dq, dk = scale * (dz @ k), scale * (dz.mT @ q)
        dqkv = jnp.concatenate([beside(dq), beside(dk), beside(dv)], -1)
        dWqkv, dbqkv = xT_dy(a, dqkv), over_places(dqkv)
        da = dy_WT(dqkv, Wqkv)
        dgamma_a, dbeta_a = over_places(da * ahat), over_places(da)
        dx = dx + through_standardising(gamma_a * da, ahat, arstd)
        of_this = (dgamma_a, dbeta_a, dWqkv, dbqkv, dWo, dbo)
        of_this += (dgamma_m, dbeta_m, dWf, dbf, dWp, dbp)
        grads |= {f"{name}{layer}": d for name, d in zip(LAYER, of_this, strict=True)}
    dP = jnp.zeros_like(P).at[:T].set(dx.sum(0))
    dC = sum_rows(ids, dx, len(C))

    return (loss, {}), grads | {"C": dC, "P": dP}


def standardised(x: Array, eps: float) -> tuple[Array, Array]:
    """x to mean 0 and variance 1 along the last axis, and 1 / its deviation."""
    diff = x - x.mean(-1, keepdims=True)
    rstd = jax.lax.rsqrt((diff**2).mean(-1, keepdims=True) + eps)
    return diff * rstd, rstd


def through_standardising(dxhat: Array, xhat: Array, rstd: Array) -> Array:
    """dx: directly, through the mean and through the variance (layernorm.py)."""
    mean, slope = (a.mean(-1, keepdims=True) for a in (dxhat, xhat * dxhat))
    return rstd * (dxhat - mean - xhat * slope)


def over_places(d: Array) -> Array:
    """The sum over all places of the batch: what a vector receives that each used."""
    return d.sum((0, 1))

"""The whole backward pass of lecture 5's network by hand.

The lecture's ninja, several layers of it: linear, batchnorm, tanh. Joining neighbours
moves no number, so its way back is the reshape before it. Each line is derived at the
head of its layer's rule, in `jaxninja/rules/`; x_W, xT_dy and dy_WT are the three
products of a linear layer.

Sizes: N batch, T context, S = T / 2^l places of layer l, E embedding, H hidden, V
vocabulary. d<name> is the gradient of the loss with respect to <name>, of its shape.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jaxninja.models.by_hand.linear_products import products, sum_rows
from jaxninja.models.parts import Params, Statistics
from jaxninja.models.wavenet import Wavenet


def value_and_grad(
    params: Params, ids: Int[Array, "N T"], labels: Int[Array, "N"], model: Wavenet
) -> tuple[tuple[Float[Array, ""], Statistics], Params]:
    """Loss, batch statistics and the gradient of every parameter.

    Args and returns are those of `jax.value_and_grad(wavenet.loss, has_aux=True)`.
    """
    C, last = params["C"], model.layers + 1
    W, b = params[f"W{last}"], params[f"b{last}"]
    x_W, xT_dy, dy_WT = products(model.dtype)
    n, V = len(ids), len(b)
    kept, statistics = {}, {}

    # forward
    h = C[ids]  # [N, T, E]
    for layer in model.normalised:
        Wl, gamma, beta = (params[f"{name}{layer}"] for name in ("W", "gamma", "beta"))
        joined = h.reshape(n * model.places(layer), -1)  # [N S, 2 H]
        pre = x_W(joined, Wl)  # [N S, H]
        bnmean = pre.mean(0)
        bndiff = pre - bnmean
        bnvar = (bndiff**2).sum(0) / (len(pre) - model.ddof)
        bnvar_inv = jax.lax.rsqrt(bnvar + model.eps)
        bnraw = bndiff * bnvar_inv
        h = jnp.tanh(gamma * bnraw + beta)  # [N S, H]
        kept[layer] = joined, bnvar_inv, bnraw, h
        statistics |= {f"mean{layer}": bnmean, f"var{layer}": bnvar}
    logits = x_W(h, W) + b  # [N, V]
    norm_logits = logits - logits.max(1, keepdims=True)
    counts = jnp.exp(norm_logits)
    counts_sum = counts.sum(1, keepdims=True)
    onehot = jax.nn.one_hot(labels, V, dtype=logits.dtype)
    loss = (jnp.log(counts_sum[:, 0]) - (norm_logits * onehot).sum(1)).mean()

    # backward
    dlogits = (counts / counts_sum - onehot) / n
    grads = {f"W{last}": xT_dy(h, dlogits), f"b{last}": dlogits.sum(0)}
    dh = dy_WT(dlogits, W)
    for layer in reversed(model.normalised):
        Wl, gamma = params[f"W{layer}"], params[f"gamma{layer}"]
        joined, bnvar_inv, bnraw, h = kept[layer]
        dnorm = (1 - h) * (1 + h) * dh.reshape(h.shape)
        dgamma, dbeta = (bnraw * dnorm).sum(0), dnorm.sum(0)
        through_var = bnraw * (dgamma / (len(h) - model.ddof))
        dpre = gamma * bnvar_inv * (dnorm - dbeta / len(h) - through_var)
        dW = xT_dy(joined, dpre)
        dh = dy_WT(dpre, Wl)  # [N S, 2 H], of the joined neighbours
        grads |= {f"W{layer}": dW, f"gamma{layer}": dgamma, f"beta{layer}": dbeta}
    dC = sum_rows(ids, dh.reshape(*ids.shape, -1), len(C))

    return (loss, statistics), grads | {"C": dC}

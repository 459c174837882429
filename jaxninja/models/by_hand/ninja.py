"""The whole backward pass of the lecture's network by hand: the route `network`.

This is exercise 4 of "Becoming a Backprop Ninja" in JAX. No `jax.grad` and no `jax.vjp`
is involved: the forward pass keeps what the backward pass needs, and the backward pass
reads from the bottom of the forward pass to its top, a line for each gradient. Each of
these lines is derived at the head of its layer's rule, in `jaxninja/rules/`.

Sizes: N batch, T context, E embedding, H hidden, V vocabulary. d<name> is the gradient
of the loss with respect to <name>, and has its shape.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jaxninja.models.ninja import Ninja
from jaxninja.models.parts import Params, Statistics


def value_and_grad(
    params: Params, ids: Int[Array, "N T"], labels: Int[Array, "N"], model: Ninja
) -> tuple[tuple[Float[Array, ""], Statistics], Params]:
    """Loss, batch statistics and the gradient of every parameter.

    Args and returns are those of `jax.value_and_grad(ninja.loss, has_aux=True)`.
    """
    C, W1, b1 = params["C"], params["W1"], params["b1"]
    W2, b2 = params["W2"], params["b2"]
    bngain, bnbias = params["bngain"], params["bnbias"]
    n, V = len(ids), len(C)

    # forward
    emb = C[ids]  # [N, T, E]
    embcat = emb.reshape(n, -1)  # [N, T E]
    hprebn = embcat @ W1 + b1  # [N, H]
    bnmean = hprebn.mean(0)
    bndiff = hprebn - bnmean
    bnvar = (bndiff**2).sum(0) / (n - model.ddof)
    bnvar_inv = jax.lax.rsqrt(bnvar + model.eps)
    bnraw = bndiff * bnvar_inv  # [N, H]
    h = jnp.tanh(bngain * bnraw + bnbias)  # [N, H]
    logits = h @ W2 + b2  # [N, V]
    norm_logits = logits - logits.max(1, keepdims=True)
    counts = jnp.exp(norm_logits)
    counts_sum = counts.sum(1, keepdims=True)
    onehot = jax.nn.one_hot(labels, V, dtype=logits.dtype)
    loss = (jnp.log(counts_sum[:, 0]) - (norm_logits * onehot).sum(1)).mean()

    # backward
    dlogits = (counts / counts_sum - onehot) / n
    dW2 = h.T @ dlogits
    db2 = dlogits.sum(0)
    dh = dlogits @ W2.T
    dhpreact = (1 - h) * (1 + h) * dh
    dbngain = (bnraw * dhpreact).sum(0)
    dbnbias = dhpreact.sum(0)
    through_var = bnraw * (dbngain / (n - model.ddof))
    dhprebn = bngain * bnvar_inv * (dhpreact - dbnbias / n - through_var)
    dW1 = embcat.T @ dhprebn
    db1 = dhprebn.sum(0)  # exactly zero in theory: batchnorm takes the mean away
    demb = (dhprebn @ W1.T).reshape(emb.shape)
    dC = jnp.zeros_like(C).at[ids].add(demb)  # a row read twice receives two terms

    grads = {"C": dC, "W1": dW1, "b1": db1, "W2": dW2, "b2": db2}
    grads |= {"bngain": dbngain, "bnbias": dbnbias}
    return (loss, {"mean": bnmean, "var": bnvar}), grads

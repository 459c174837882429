"""The backward pass of `mlp.py`, laid out for few symbols: the route `network`.

The mathematics is that of `mlp.py`, and so are the names. But a symbol k places back
always meets the same rows W1[k] of W1. So what it adds to hpre is looked up in a table
of K (V + 1) rows, which takes fewer products than the N T K rows of a batch:

    Q[k] = C W1[k]                              [K, V + 1, H]
    hpre = sum_k Q[k, window[k]] + b1           = seen Q, with rows of K ones in `seen`

Back through the sum, each row of Q receives from all places that read it, and then

    dQ = seen.T dhpre         dW1[k] = C.T dQ[k]         dC = sum_k dQ[k] W1[k].T

Items are packed two by two (packing.py). No `jax.grad` and no `jax.vjp` is involved.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jaxninja.models.by_hand import mlp
from jaxninja.models.by_hand.layouts.packing import Rows, in_packed_rows
from jaxninja.models.by_hand.linear_products import products
from jaxninja.models.mlp import Mlp, windows
from jaxninja.models.parts import Params, Statistics


def value_and_grad(
    params: Params, ids: Int[Array, "N T"], labels: Int[Array, "N T"], model: Mlp
) -> tuple[tuple[Float[Array, ""], Statistics], Params]:
    """Loss, no statistics, and the gradient of every parameter.

    Args and returns are those of `mlp.value_and_grad`, which is taken where there are
    more symbols than features of one: the rows of Q are then too many.
    """
    if model.vocabulary >= model.embedding:
        return mlp.value_and_grad(params, ids, labels, model)
    walk = lambda rows, n: _walk(params, rows, n, model)  # noqa: E731
    loss, grads = in_packed_rows(walk, ids, labels)
    return (loss, {}), grads


def _walk(params: Params, rows: Rows, n: Array, model: Mlp) -> tuple[Any, Any]:
    """The part that some rows have in the loss and in every gradient."""
    C, b1, W2, b2 = (params[name] for name in ("C", "b1", "W2", "b2"))
    K, V = model.context, len(b2)
    W1 = params["W1"].reshape(K, model.embedding, -1)  # [K, E, H]
    x_W, xT_dy, dy_WT = products(model.dtype)
    pick, _, _ = products("float32")  # what is looked up is not rounded
    labels = rows.labels.reshape(-1)

    # forward
    before = jnp.arange(K) > rows.places[..., None]  # not of this item
    window = jnp.where(before, V, windows(rows.ids, model)).reshape(-1, K)
    seen = (window[..., None] == jnp.arange(V + 1)).astype(C.dtype)  # [R T, K, V + 1]
    seen = seen.reshape(len(window), -1)
    Q = jnp.stack([x_W(C, W1[k]) for k in range(K)])  # [K, V + 1, H]
    h = jnp.tanh(pick(seen, Q.reshape(-1, len(b1))) + b1)  # [R T, H]
    logits = x_W(h, W2) + b2  # [R T, V]
    norm_logits = logits - logits.max(-1, keepdims=True)
    counts = jnp.exp(norm_logits)
    counts_sum = counts.sum(-1, keepdims=True)
    onehot = jax.nn.one_hot(labels, V, dtype=logits.dtype)
    counted = (labels >= 0)[:, None]
    losses = jnp.log(counts_sum) - (norm_logits * onehot).sum(-1, keepdims=True)
    loss = jnp.where(counted, losses, 0).sum() / n

    # backward
    dlogits = jnp.where(counted, counts / counts_sum - onehot, 0) / n
    dW2, db2 = xT_dy(h, dlogits), dlogits.sum(0)
    dh = dy_WT(dlogits, W2)
    dhpre = (1 - h) * (1 + h) * dh
    dQ = pick(jax.lax.optimization_barrier(seen.T), dhpre).reshape(Q.shape)
    dW1 = jnp.stack([xT_dy(C, dQ[k]) for k in range(K)]).reshape(params["W1"].shape)
    dC = sum(dy_WT(dQ[k], W1[k]) for k in range(K))

    grads = {"C": dC, "W1": dW1, "b1": dhpre.sum(0), "W2": dW2, "b2": db2}
    return loss, grads

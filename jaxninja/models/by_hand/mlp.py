"""The whole backward pass of makemore.py's MLP by hand.

The bigram's, with two linear layers and a tanh before the logits. Each line is derived
at the head of its layer's rule, in `jaxninja/rules/`; x_W, xT_dy and dy_WT are the
three products of a linear layer.

Sizes: N batch, T places, K context, E embedding, H hidden, V vocabulary. d<name> is the
gradient of the loss with respect to <name>, and has its shape.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jaxninja.models.by_hand.linear_products import products, sum_rows
from jaxninja.models.mlp import Mlp, windows
from jaxninja.models.parts import Params, Statistics


def value_and_grad(
    params: Params, ids: Int[Array, "N T"], labels: Int[Array, "N T"], model: Mlp
) -> tuple[tuple[Float[Array, ""], Statistics], Params]:
    """Loss, no statistics, and the gradient of every parameter.

    Args and returns are those of `jax.value_and_grad(mlp.loss, has_aux=True)`.
    """
    C, W1, b1 = params["C"], params["W1"], params["b1"]
    W2, b2 = params["W2"], params["b2"]
    x_W, xT_dy, dy_WT = products(model.dtype)
    rows, V = ids.size, len(b2)

    # forward
    window = windows(ids, model).reshape(rows, -1)  # [N T, K], the latest first
    emb = C[window]  # [N T, K, E]
    embcat = emb.reshape(rows, -1)  # [N T, K E]
    h = jnp.tanh(x_W(embcat, W1) + b1)  # [N T, H]
    logits = x_W(h, W2) + b2  # [N T, V]
    norm_logits = logits - logits.max(-1, keepdims=True)
    counts = jnp.exp(norm_logits)
    counts_sum = counts.sum(-1, keepdims=True)
    onehot = jax.nn.one_hot(labels.reshape(-1), V, dtype=logits.dtype)
    counted = onehot.any(-1, keepdims=True)  # -1 has a row of zeros
    n = jnp.maximum(counted.sum(), 1)
    losses = jnp.log(counts_sum) - (norm_logits * onehot).sum(-1, keepdims=True)
    loss = jnp.where(counted, losses, 0).sum() / n

    # backward
    dlogits = jnp.where(counted, counts / counts_sum - onehot, 0) / n
    dW2 = xT_dy(h, dlogits)
    db2 = dlogits.sum(0)
    dh = dy_WT(dlogits, W2)
    dhpre = (1 - h) * (1 + h) * dh
    dW1 = xT_dy(embcat, dhpre)
    db1 = dhpre.sum(0)
    demb = dy_WT(dhpre, W1).reshape(emb.shape)
    dC = sum_rows(window, demb, len(C))  # blanks have a row too

    return (loss, {}), {"C": dC, "W1": dW1, "b1": db1, "W2": dW2, "b2": db2}

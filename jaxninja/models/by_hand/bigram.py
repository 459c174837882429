"""The whole backward pass of makemore's bigram by hand: cross entropy, and a table.

The head of every sequence model is as here: a row of logits for each place of each
item, of which only those with a label count. Each line is derived at the head of its
layer's rule, in `jaxninja/rules/`.

Sizes: N batch, T places, V vocabulary. d<name> is the gradient of the loss with respect
to <name>, and has its shape.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jaxninja.models.bigram import Bigram
from jaxninja.models.by_hand.linear_products import sum_rows
from jaxninja.models.parts import Params, Statistics


def value_and_grad(
    params: Params, ids: Int[Array, "N T"], labels: Int[Array, "N T"], model: Bigram
) -> tuple[tuple[Float[Array, ""], Statistics], Params]:
    """Loss, no statistics, and the gradient of every parameter.

    Args and returns are those of `jax.value_and_grad(bigram.loss, has_aux=True)`.
    """
    W = params["W"]
    V = len(W)

    # forward
    logits = W[ids]  # [N, T, V]
    norm_logits = logits - logits.max(-1, keepdims=True)
    counts = jnp.exp(norm_logits)
    counts_sum = counts.sum(-1, keepdims=True)
    onehot = jax.nn.one_hot(labels, V, dtype=logits.dtype)  # a row of zeros for -1
    counted = (labels >= 0)[..., None]  # [N, T, 1]
    n = jnp.maximum(counted.sum(), 1)
    losses = jnp.log(counts_sum) - (norm_logits * onehot).sum(-1, keepdims=True)
    loss = jnp.where(counted, losses, 0).sum() / n

    # backward
    dlogits = jnp.where(counted, counts / counts_sum - onehot, 0) / n
    dW = sum_rows(ids, dlogits, V)  # a row read twice receives two terms

    return (loss, {}), {"W": dW}

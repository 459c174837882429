"""The whole backward pass of makemore.py's bag of words by hand.

The mean so far is a product with a triangular matrix of weights, so its way back is the
product with the transpose: each place receives from all later ones. What is added to
the stream x sends its gradient to both sides. Each line is derived at the head of its
layer's rule, in `jaxninja/rules/`; x_W, xT_dy and dy_WT are the three products of a
linear layer.

Sizes: N batch, T places, E embedding, H hidden, V vocabulary. d<name> is the gradient
of the loss with respect to <name>, and has its shape.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jaxninja.models.bow import Bow
from jaxninja.models.by_hand.linear_products import products, sum_rows
from jaxninja.models.parts import Params, Statistics
from jaxninja.models.parts.sequences import check_length


def value_and_grad(
    params: Params, ids: Int[Array, "N T"], labels: Int[Array, "N T"], model: Bow
) -> tuple[tuple[Float[Array, ""], Statistics], Params]:
    """Loss, no statistics, and the gradient of every parameter.

    Args and returns are those of `jax.value_and_grad(bow.loss, has_aux=True)`.
    """
    check_length("bow", ids, model.context)
    C, P, W1, b1 = (params[name] for name in ("C", "P", "W1", "b1"))
    W2, b2, W, bout = (params[name] for name in ("W2", "b2", "W", "bout"))
    x_W, xT_dy, dy_WT = products(model.dtype)
    T, V = ids.shape[1], len(bout)

    # forward
    x0 = C[ids] + P[:T]  # [N, T, E]
    so_far = jnp.arange(1, T + 1, dtype=x0.dtype)[:, None]
    share = jnp.tril(jnp.ones((T, T), x0.dtype)) / so_far  # row t: of the places s <= t
    x1 = x0 + share @ x0
    h = jnp.tanh(x_W(x1, W1) + b1)  # [N, T, H]
    x2 = x1 + x_W(h, W2) + b2
    logits = x_W(x2, W) + bout  # [N, T, V]
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
    dW, dbout = xT_dy(x2, dlogits), dlogits.sum((0, 1))
    dx2 = dy_WT(dlogits, W)
    dW2, db2 = xT_dy(h, dx2), dx2.sum((0, 1))
    dh = dy_WT(dx2, W2)
    dhpre = (1 - h) * (1 + h) * dh
    dW1, db1 = xT_dy(x1, dhpre), dhpre.sum((0, 1))
    dx1 = dx2 + dy_WT(dhpre, W1)
    dx0 = dx1 + share.T @ dx1
    dP = jnp.zeros_like(P).at[:T].set(dx0.sum(0))
    dC = sum_rows(ids, dx0, len(C))

    grads = {"C": dC, "P": dP, "W1": dW1, "b1": db1, "W2": dW2, "b2": db2}
    return (loss, {}), grads | {"W": dW, "bout": dbout}

"""The whole backward pass of makemore.py's RNN by hand: back through time.

A state is read twice: by its logits, and by the next state. So the walk back carries
dh, what all later places send, and adds the place's own part. All places used the same
weights, whose gradients are then sums over all places: products after the walk, which
itself has only one. Each line is derived at the head of its layer's rule, in
`jaxninja/rules/`; x_W, xT_dy and dy_WT are the three products of a linear layer.

Sizes: N batch, T places, E embedding, H hidden, V vocabulary. d<name> is the gradient
of the loss with respect to <name>, and has its shape.
"""

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int

from jaxninja.models.by_hand.linear_products import products, sum_rows
from jaxninja.models.parts import Params, Statistics
from jaxninja.models.rnn import Rnn


def value_and_grad(
    params: Params, ids: Int[Array, "N T"], labels: Int[Array, "N T"], model: Rnn
) -> tuple[tuple[Float[Array, ""], Statistics], Params]:
    """Loss, no statistics, and the gradient of every parameter.

    Args and returns are those of `jax.value_and_grad(rnn.loss, has_aux=True)`.
    """
    C, start, W, bout = (params[name] for name in ("C", "start", "W", "bout"))
    Wx, Wh, b = (params[name] for name in ("Wx", "Wh", "b"))
    x_W, xT_dy, dy_WT = products(model.dtype)
    V = len(bout)
    ids, labels = ids.T, labels.T  # time first: [T, N]

    # forward
    emb = C[ids]  # [T, N, E]
    first = jnp.broadcast_to(start, (ids.shape[1], model.hidden))

    def forth(h_before, p):
        h = jnp.tanh(p + x_W(h_before, Wh))
        return h, h

    _, h = lax.scan(forth, first, x_W(emb, Wx) + b)  # [T, N, H]
    logits = x_W(h, W) + bout  # [T, N, V]
    norm_logits = logits - logits.max(-1, keepdims=True)
    counts = jnp.exp(norm_logits)
    counts_sum = counts.sum(-1, keepdims=True)
    onehot = jax.nn.one_hot(labels, V, dtype=logits.dtype)
    counted = (labels >= 0)[..., None]  # [T, N, 1]
    n = jnp.maximum(counted.sum(), 1)
    losses = jnp.log(counts_sum) - (norm_logits * onehot).sum(-1, keepdims=True)
    loss = jnp.where(counted, losses, 0).sum() / n

    # backward
    dlogits = jnp.where(counted, counts / counts_sum - onehot, 0) / n
    dW, dbout = xT_dy(h, dlogits), dlogits.sum((0, 1))
    dlast = jnp.zeros_like(first)

    def back(dh, at):
        h, dh_here = at
        dp = (1 - h) * (1 + h) * (dh + dh_here)
        return dy_WT(dp, Wh), dp

    dfirst, dp = lax.scan(back, dlast, (h, dy_WT(dlogits, W)), reverse=True)
    dstart = dfirst.sum(0, keepdims=True)
    dWx, db = xT_dy(emb, dp), dp.sum((0, 1))
    h_before = jnp.concatenate([first[None], h[:-1]])
    dWh = xT_dy(h_before, dp)
    dC = sum_rows(ids, dy_WT(dp, Wx), len(C))

    grads = {"C": dC, "start": dstart, "Wx": dWx, "Wh": dWh, "b": db}
    return (loss, {}), grads | {"W": dW, "bout": dbout}

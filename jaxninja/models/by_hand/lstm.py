"""The whole backward pass of the LSTM by hand.

The RNN's walk back with a second state: c[t] is read by h[t] and by the next step,
whose f scales its gradient: on that way there is no matrix. Each line is derived at the
head of the rule, in `jaxninja/rules/sequence/lstm.py`; x_W, xT_dy and dy_WT are the
three products of a linear layer.

Sizes: N batch, T places, E embedding, H hidden, V vocabulary. d<name> is the gradient
of the loss with respect to <name>, and has its shape.
"""

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int

from jaxninja.models.by_hand.linear_products import products, sum_rows
from jaxninja.models.lstm import Lstm
from jaxninja.models.parts import Params, Statistics


def value_and_grad(
    params: Params, ids: Int[Array, "N T"], labels: Int[Array, "N T"], model: Lstm
) -> tuple[tuple[Float[Array, ""], Statistics], Params]:
    """Loss, no statistics, and the gradient of every parameter.

    Args and returns are those of `jax.value_and_grad(lstm.loss, has_aux=True)`.
    """
    C, start, start_c = (params[name] for name in ("C", "start", "start_c"))
    Wx, Wh, b = (params[name] for name in ("Wx", "Wh", "b"))
    W, bout = params["W"], params["bout"]
    x_W, xT_dy, dy_WT = products(model.dtype)
    V = len(bout)
    ids, labels = ids.T, labels.T  # time first: [T, N]

    # forward
    emb = C[ids]  # [T, N, E]
    shape = (ids.shape[1], model.hidden)
    first, first_c = jnp.broadcast_to(start, shape), jnp.broadcast_to(start_c, shape)

    def forth(before, p):
        h_before, c_before = before
        a = p + x_W(h_before, Wh)  # [N, 4 H]
        a_i, a_f, a_g, a_o = jnp.split(a, 4, -1)
        i, f, o = (jax.nn.sigmoid(a) for a in (a_i, a_f, a_o))
        g = jnp.tanh(a_g)
        c = f * c_before + i * g
        k = jnp.tanh(c)
        h = o * k
        return (h, c), (h, c, k, i, f, g, o)

    p = x_W(emb, Wx) + b  # [T, N, 4 H]
    _, (h, c, *gates) = lax.scan(forth, (first, first_c), p)  # [T, N, H]
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
    c_before = jnp.concatenate([first_c[None], c[:-1]])
    dlast = jnp.zeros_like(first), jnp.zeros_like(first)

    def back(dafter, at):
        (dh, dc), (c_before, k, i, f, g, o, dh_here) = dafter, at
        dh = dh + dh_here
        dc = dc + o * (1 - k) * (1 + k) * dh
        da_i, da_f = g * i * (1 - i) * dc, c_before * f * (1 - f) * dc
        da_g, da_o = i * (1 - g) * (1 + g) * dc, k * o * (1 - o) * dh
        dp = jnp.concatenate([da_i, da_f, da_g, da_o], -1)
        return (dy_WT(dp, Wh), f * dc), dp

    steps = (c_before, *gates, dy_WT(dlogits, W))
    (dfirst, dfirst_c), dp = lax.scan(back, dlast, steps, reverse=True)
    dstart, dstart_c = (d.sum(0, keepdims=True) for d in (dfirst, dfirst_c))
    dWx, db = xT_dy(emb, dp), dp.sum((0, 1))
    h_before = jnp.concatenate([first[None], h[:-1]])
    dWh = xT_dy(h_before, dp)
    dC = sum_rows(ids, dy_WT(dp, Wx), len(C))

    grads = {"C": dC, "start": dstart, "start_c": dstart_c, "Wx": dWx, "Wh": dWh}
    return (loss, {}), grads | {"b": db, "W": dW, "bout": dbout}

"""The whole backward pass of makemore.py's GRU by hand.

The RNN's walk back, with two gates in a step. It reads h[t-1] three times: in the
product for z and r, in the reset r h[t-1], and as what 1 - z keeps; the gradient has a
term for each. With sigmoid' = s (1 - s) and tanh' = 1 - tanh^2 each line transposes one
line of the forward. x_W, xT_dy and dy_WT are the three products of a linear layer.

Sizes: N batch, T places, E embedding, H hidden, V vocabulary. d<name> is the gradient
of the loss with respect to <name>, and has its shape.
"""

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int

from jaxninja.models.by_hand.linear_products import products, sum_rows
from jaxninja.models.gru import Gru
from jaxninja.models.parts import Params, Statistics


def value_and_grad(
    params: Params, ids: Int[Array, "N T"], labels: Int[Array, "N T"], model: Gru
) -> tuple[tuple[Float[Array, ""], Statistics], Params]:
    """Loss, no statistics, and the gradient of every parameter.

    Args and returns are those of `jax.value_and_grad(gru.loss, has_aux=True)`.
    """
    C, start, W, bout = (params[name] for name in ("C", "start", "W", "bout"))
    Wx, Wg, Wc, b = (params[name] for name in ("Wx", "Wg", "Wc", "b"))
    x_W, xT_dy, dy_WT = products(model.dtype)
    V, H = len(bout), model.hidden
    ids, labels = ids.T, labels.T  # time first: [T, N]

    # forward
    emb = C[ids]  # [T, N, E]
    first = jnp.broadcast_to(start, (ids.shape[1], H))

    def forth(h_before, p):
        p_g, p_c = p[:, : 2 * H], p[:, 2 * H :]
        z, r = jnp.split(jax.nn.sigmoid(p_g + x_W(h_before, Wg)), 2, -1)
        reset = r * h_before
        c = jnp.tanh(p_c + x_W(reset, Wc))
        h = (1 - z) * h_before + z * c
        return h, (h, z, r, c)

    _, (h, z, r, c) = lax.scan(forth, first, x_W(emb, Wx) + b)  # [T, N, H]
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
    h_before = jnp.concatenate([first[None], h[:-1]])
    dlast = jnp.zeros_like(first)

    def back(dh, at):
        h_before, z, r, c, dh_here = at
        dh = dh + dh_here
        dp_c = (1 - c) * (1 + c) * z * dh
        dreset = dy_WT(dp_c, Wc)
        dp_z = z * (1 - z) * (c - h_before) * dh
        dp_r = r * (1 - r) * h_before * dreset
        dp_g = jnp.concatenate([dp_z, dp_r], -1)
        dh_before = (1 - z) * dh + r * dreset + dy_WT(dp_g, Wg)
        return dh_before, jnp.concatenate([dp_g, dp_c], -1)

    steps = (h_before, z, r, c, dy_WT(dlogits, W))
    dfirst, dp = lax.scan(back, dlast, steps, reverse=True)  # dp [T, N, 3 H]
    dstart = dfirst.sum(0, keepdims=True)
    dWx, db = xT_dy(emb, dp), dp.sum((0, 1))
    dWg = xT_dy(h_before, dp[..., : 2 * H])
    dWc = xT_dy(r * h_before, dp[..., 2 * H :])
    dC = sum_rows(ids, dy_WT(dp, Wx), len(C))

    grads = {"C": dC, "start": dstart, "Wx": dWx, "Wg": dWg, "Wc": dWc, "b": db}
    return (loss, {}), grads | {"W": dW, "bout": dbout}

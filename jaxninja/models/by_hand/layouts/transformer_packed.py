"""The backward pass of `transformer.py`, laid out for XLA: the route `network`.

The mathematics is that of `transformer.py`, line for line, and so are the names. What
differs makes a step twice as fast:

    rows        items are packed two by two (packing.py). P is then read by places, and
                a place sees those of its own item only
    layernorm   its gain and bias are taken into the product behind it, so a and m are
                never formed, nor their gradients:
                    a Wqkv = ahat (gamma_a Wqkv) + beta_a Wqkv
                With M = ahat.T dqkv and s = sum dqkv, as a = gamma_a ahat + beta_a,
                    dWqkv = gamma_a M + beta_a s
                    dgamma_a = row sums of M Wqkv           dbeta_a = Wqkv s
    gelu        only f is kept, and s and h are computed anew

No `jax.grad` and no `jax.vjp` is involved.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jaxninja.models.by_hand.layouts.packing import Rows, in_packed_rows
from jaxninja.models.by_hand.linear_products import products, sum_rows
from jaxninja.models.by_hand.transformer import (
    CUBE,
    K,
    standardised,
    through_standardising,
)
from jaxninja.models.parts import Params, Statistics
from jaxninja.models.parts.sequences import check_length
from jaxninja.models.transformer import LAYER, Transformer, of_layer


def value_and_grad(
    params: Params,
    ids: Int[Array, "N T"],
    labels: Int[Array, "N T"],
    model: Transformer,
) -> tuple[tuple[Float[Array, ""], Statistics], Params]:
    """Loss, no statistics, and the gradient of every parameter.

    Args and returns are those of `transformer.value_and_grad`.
    """
    check_length("transformer", ids, model.context)
    walk = lambda rows, n: _walk(params, rows, n, model)  # noqa: E731
    loss, grads = in_packed_rows(walk, ids, labels)
    return (loss, {}), grads


def _walk(params: Params, rows: Rows, n: Array, model: Transformer) -> tuple[Any, Any]:
    """The part that some rows have in the loss and in every gradient."""
    C, P, W = params["C"], params["P"], params["W"]
    gamma, beta = params["gamma"], params["beta"]
    x_W, xT_dy, dy_WT = products(model.dtype)
    (R, T), V = rows.ids.shape, W.shape[1]
    ids, labels, places = (a.reshape(-1) for a in rows)  # [R T]
    layers = range(1, model.layers + 1)
    t, begins = jnp.arange(T), (jnp.arange(T) - rows.places)[..., None]
    seen = ((t <= t[:, None]) & (t >= begins))[:, None]  # [R, 1, T, T]
    scale = (model.embedding / model.heads) ** -0.5

    def heads(a):  # [R T, E] -> [R, H, T, D]
        return a.reshape(R, T, model.heads, -1).swapaxes(1, 2)

    def beside(a):  # and back
        return a.swapaxes(1, 2).reshape(R * T, -1)

    # forward
    x = C[ids] + P[places]  # [R T, E]
    kept = {}
    for layer in layers:
        gamma_a, beta_a, Wqkv, bqkv, Wo, bo, *of_mlp = of_layer(params, layer)
        gamma_m, beta_m, Wf, bf, Wp, bp = of_mlp
        ahat, arstd = standardised(x, model.eps)
        qkv = x_W(ahat, gamma_a[:, None] * Wqkv) + (beta_a @ Wqkv + bqkv)
        q, k, v = map(heads, jnp.split(qkv, 3, -1))
        q = scale * q
        z = jnp.where(seen, q @ k.mT, -jnp.inf)  # [R, H, T, T]
        e = jnp.exp(z - z.max(-1, keepdims=True))
        p = e / e.sum(-1, keepdims=True)
        y = beside(p @ v)  # [R T, E]
        x = x + x_W(y, Wo) + bo
        mhat, mrstd = standardised(x, model.eps)
        f = x_W(mhat, gamma_m[:, None] * Wf) + (beta_m @ Wf + bf)  # [R T, 4 E]
        h = f * jax.nn.sigmoid(2 * K * (f + CUBE * f * f * f))
        x = x + x_W(h, Wp) + bp
        kept[layer] = ahat, arstd, q, k, v, p, y, mhat, mrstd, f
    xhat, rstd = standardised(x, model.eps)
    last = gamma * xhat + beta
    logits = x_W(last, W)  # [R T, V]
    norm_logits = logits - logits.max(-1, keepdims=True)
    counts = jnp.exp(norm_logits)
    counts_sum = counts.sum(-1, keepdims=True)
    onehot = labels[:, None] == jnp.arange(V)
    counted = (labels >= 0)[:, None]  # [R T, 1]
    picked = jnp.where(onehot, norm_logits, 0).sum(-1, keepdims=True)
    loss = jnp.where(counted, jnp.log(counts_sum) - picked, 0).sum() / n

    # backward
    dlogits = jnp.where(counted, counts / counts_sum - onehot, 0) / n
    grads = {"W": xT_dy(last, dlogits)}
    dlast = dy_WT(dlogits, W)
    grads |= {"gamma": (dlast * xhat).sum(0), "beta": dlast.sum(0)}
    dx = through_standardising(gamma * dlast, xhat, rstd)
    for layer in reversed(layers):
        gamma_a, beta_a, Wqkv, bqkv, Wo, bo, *of_mlp = of_layer(params, layer)
        gamma_m, beta_m, Wf, bf, Wp, bp = of_mlp
        ahat, arstd, q, k, v, p, y, mhat, mrstd, f = kept[layer]
        s = jax.nn.sigmoid(2 * K * (f + CUBE * f * f * f))
        h = f * s
        dWp, dbp = xT_dy(h, dx), dx.sum(0)
        dh = dy_WT(dx, Wp)
        df = (s + 2 * h * (1 - s) * (K + 3 * K * CUBE * f * f)) * dh
        dgamma_m, dbeta_m, dWf, dbf = _folded(gamma_m, beta_m, Wf, xT_dy(mhat, df), df)
        dmhat = dy_WT(df, gamma_m[:, None] * Wf)
        dx = dx + through_standardising(dmhat, mhat, mrstd)
        dWo, dbo = xT_dy(y, dx), dx.sum(0)
        dy = heads(dy_WT(dx, Wo))  # [R, H, T, D]
        dv = p.mT @ dy
        dp = dy @ v.mT
        dz = p * (dp - (p * dp).sum(-1, keepdims=True))
        dq, dk = scale * (dz @ k), dz.mT @ q  # q is scaled already
        dqkv = jnp.concatenate([beside(dq), beside(dk), beside(dv)], -1)
        M = xT_dy(ahat, dqkv)
        dgamma_a, dbeta_a, dWqkv, dbqkv = _folded(gamma_a, beta_a, Wqkv, M, dqkv)
        dahat = dy_WT(dqkv, gamma_a[:, None] * Wqkv)
        dx = dx + through_standardising(dahat, ahat, arstd)
        of_this = (dgamma_a, dbeta_a, dWqkv, dbqkv, dWo, dbo)
        of_this += (dgamma_m, dbeta_m, dWf, dbf, dWp, dbp)
        grads |= {f"{name}{layer}": d for name, d in zip(LAYER, of_this, strict=True)}
    grads |= {"P": sum_rows(places, dx, len(P)), "C": sum_rows(ids, dx, len(C))}

    return loss, grads


def _folded(gamma, beta, W, M, dy):
    """dgamma, dbeta, dW and db of y = (gamma xhat + beta) W + b, with M = xhat.T dy."""
    db = dy.sum(0)
    return (M * W).sum(1), W @ db, gamma[:, None] * M + beta[:, None] * db, db

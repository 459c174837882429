"""The transformer's whole backward pass around a learner's: theirs is of one block.

What is before the first block and after the last one is derived here, as in
`transformer.py`; every block in between is `atomic_block.forward`, and its gradients
are what the learner's function makes of dy.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int

from jaxninja.models import atomic_block
from jaxninja.models.parts import Params
from jaxninja.models.parts.sequences import check_length
from jaxninja.models.transformer import LAYER, Transformer, of_layer

# (arrays of a block's forward by name, dy) -> dx, and those of LAYER by name
BlockBackward = Callable[[dict[str, Any], Array], tuple[Array, Params]]


def known() -> tuple[str, ...]:
    """What a learner's `backward` of a block may ask for."""
    return ("x", "seen", *LAYER, *atomic_block.STEPS, "n", "T", "E", "H", "K", "dy")


def value_and_grad(
    params: Params,
    ids: Int[Array, "N T"],
    labels: Int[Array, "N T"],
    model: Transformer,
    backward: BlockBackward,
) -> tuple[tuple[Array, dict], Params]:
    """Loss, no statistics, and the gradient of every parameter."""
    check_length("transformer", ids, model.context)
    (_, T), layers = ids.shape, range(1, model.layers + 1)
    C, P = params["C"], params["P"]
    x, kept = C[ids] + P[:T], {}
    for layer in layers:
        kept[layer] = _arrays(x, params, layer, model.heads)
        x = kept[layer]["y"]
    loss, dx, of_head = _head(x, labels, params, model.eps)
    grads = dict(of_head)
    for layer in reversed(layers):
        dx, of_block = backward(kept[layer], dx)
        grads |= {f"{name}{layer}": of_block[name] for name in LAYER}
    grads["P"] = jnp.zeros_like(P).at[:T].set(dx.sum(0))
    grads["C"] = jnp.zeros_like(C).at[ids].add(dx)
    return (loss, {}), grads


def _arrays(x: Array, params: Params, layer: int, heads: int) -> dict[str, Any]:
    """All that a block has by name: what it reads, its steps, its sizes."""
    own: Params = dict(zip(LAYER, of_layer(params, layer), strict=True))
    T = x.shape[1]
    given = {"x": x, "seen": jnp.tril(jnp.ones((T, T), bool)), **own}
    steps = atomic_block.forward(x, own, heads)
    return {**given, **steps, **atomic_block.sizes(x, heads)}


def _head(x, labels, params, eps):
    """Loss, dx and the gradients of what follows the last block."""
    gamma, beta, W = (params[name] for name in ("gamma", "beta", "W"))
    diff = x - x.mean(-1, keepdims=True)
    rstd = ((diff**2).mean(-1, keepdims=True) + eps) ** -0.5
    xhat = diff * rstd
    last = gamma * xhat + beta
    logits = last @ W
    norm_logits = logits - logits.max(-1, keepdims=True)
    counts = jnp.exp(norm_logits)
    counts_sum = counts.sum(-1, keepdims=True)
    onehot = jax.nn.one_hot(labels, W.shape[1], dtype=logits.dtype)
    counted = (labels >= 0)[..., None]  # [N, T, 1]
    n = jnp.maximum(counted.sum(), 1)
    losses = jnp.log(counts_sum) - (norm_logits * onehot).sum(-1, keepdims=True)
    dlogits = jnp.where(counted, counts / counts_sum - onehot, 0) / n
    dlast = dlogits @ W.T
    dxhat = gamma * dlast
    mean, slope = (d.mean(-1, keepdims=True) for d in (dxhat, xhat * dxhat))
    dx = rstd * (dxhat - mean - xhat * slope)
    dW = (last.mT @ dlogits).sum(0)
    dgamma, dbeta = (dlast * xhat).sum((0, 1)), dlast.sum((0, 1))
    loss = jnp.where(counted, losses, 0).sum() / n
    return loss, dx, {"W": dW, "gamma": dgamma, "beta": dbeta}

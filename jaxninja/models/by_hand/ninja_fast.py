"""The backward pass of `ninja.py`, laid out for XLA: `--route network` trains with it.

The mathematics is that of `ninja.py`, line for line, and so are the names. What differs
makes a step a third faster on a CPU, where a matrix product of this size is quick in
one storage order and half as quick in another, and every pass over an array counts:

    W2T [V, H]      W2 is stored transposed, and the logits are computed transposed
    embcat          is centred first: embcat @ W1 is then bndiff itself, as b1 and the
                    mean drop out of it. For the same reason db1 is exactly zero
    bnraw           is never formed: bndiff * bnvar_inv is one factor of each feature
    dbngain, dbnbias  are summed in one pass
    barriers        keep XLA from folding a small transpose into a large product

No `jax.grad` and no `jax.vjp` is involved.
"""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int

from jaxninja.models.by_hand.parts.products import product
from jaxninja.models.ninja import Ninja
from jaxninja.models.parts import Params, Statistics


def lay_out(tree: Any) -> Any:
    """Parameters as `value_and_grad` takes them, wherever they occur in a pytree.

    They occur in optax's states too: Adam's moments have the parameters' structure.
    """
    return _rename(tree, "W2", "W2T")


def lay_back(tree: Any) -> Any:
    """Inverse of `lay_out`, bit for bit."""
    return _rename(tree, "W2T", "W2")


def _rename(tree, old, new):
    def is_params(node):
        return isinstance(node, dict) and old in node

    def renamed(node):
        if not is_params(node):
            return node
        rest = {name: value for name, value in node.items() if name != old}
        return rest | {new: node[old].T}

    return jax.tree.map(renamed, tree, is_leaf=is_params)


def value_and_grad(
    params: Params, ids: Int[Array, "N T"], labels: Int[Array, "N"], model: Ninja
) -> tuple[tuple[Float[Array, ""], Statistics], Params]:
    """Loss, batch statistics and the gradient of every parameter.

    Args and returns are those of `ninja.value_and_grad`, with `W2T` [V, H] for `W2`.
    """
    C, W1, b1 = params["C"], params["W1"], params["b1"]
    W2T, b2 = params["W2T"], params["b2"]
    bngain, bnbias = params["bngain"], params["bnbias"]
    n, V = len(ids), len(C)
    times = partial(product, dtype=model.dtype)

    # forward
    embcat = C[ids].reshape(n, -1)  # [N, T E]
    embmean = embcat.mean(0)
    embdiff = embcat - embmean
    bndiff = times(embdiff, W1)  # [N, H]
    bnmean = embmean @ W1 + b1
    bnvar = (bndiff**2).sum(0) / (n - model.ddof)
    bnvar_inv = lax.rsqrt(bnvar + model.eps)
    h = jnp.tanh(bndiff * (bngain * bnvar_inv) + bnbias)  # [N, H]
    logits = times(W2T, h, axis=-1) + b2[:, None]  # [V, N], transposed
    norm_logits = logits - logits.max(0)
    counts = jnp.exp(norm_logits)
    counts_sum = counts.sum(0)  # [N]
    onehot = labels == jnp.arange(V)[:, None]  # [V, N]
    picked = jnp.where(onehot, norm_logits, 0).sum(0)
    loss = (jnp.log(counts_sum) - picked).mean()

    # backward
    dlogits = (counts / counts_sum - onehot) / n  # [V, N], transposed
    dW2T = times(dlogits, h)
    db2 = dlogits.sum(1)
    dh = times(lax.optimization_barrier(dlogits.T), W2T)
    dhpreact = (1 - h) * (1 + h) * dh
    dbnbias, dbnscale = _column_sums(dhpreact, bndiff * dhpreact)
    dbngain = bnvar_inv * dbnscale
    through_var = bndiff * (bnvar_inv * dbngain / (n - model.ddof))
    dbndiff = (bngain * bnvar_inv) * (dhpreact - dbnbias / n - through_var)
    dW1 = times(lax.optimization_barrier(embdiff.T), dbndiff)  # centring is harmless
    dembcat = times(W1, dbndiff, axis=-1)  # [T E, N], transposed
    demb = dembcat.reshape(ids.shape[1], -1, n).transpose(2, 0, 1)  # [N, T, E]
    dC = jnp.zeros_like(C).at[ids].add(demb)

    grads = {"C": dC, "W1": dW1, "b1": jnp.zeros_like(b1), "W2T": dW2T, "b2": db2}
    grads |= {"bngain": dbngain, "bnbias": dbnbias}
    return (loss, {"mean": bnmean, "var": bnvar}), grads


def _column_sums(a: Array, b: Array) -> tuple[Array, Array]:
    """a.sum(0) and b.sum(0) in one pass over both."""
    zero = jnp.zeros((), a.dtype)
    return lax.reduce((a, b), (zero, zero), partial(jax.tree.map, jnp.add), (0,))

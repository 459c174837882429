"""The backward pass of `ninja.py` for a batch that no cache holds, in blocks of rows.

Batchnorm's statistics, and what flows back through them, belong to the whole batch. An
array [N, H] is then written, and read again when all of it is there, six times over;
past some thousand rows a step waits for memory. But bndiff is linear in embdiff, which
is narrow. With the scatter matrix of the inputs, a [T E, T E] array,

    S = embdiff.T @ embdiff

sums over the batch that have bndiff in them need no bndiff:

    bnvar        = sum_n bndiff^2 / (n - ddof)   = (W1 * (S @ W1)).sum(0) / (n - ddof)
    A            = embdiff.T @ dhpreact                               [T E, H]
    sum_n bndiff * dhpreact                      = (W1 * A).sum(0)
    embdiff.T @ bndiff                           = S @ W1

So the variance is known before the first row goes forward, and one walk over the rows
sums up all else. With scale = bngain * bnvar_inv, and for the path through the variance
k = bnvar_inv * dbngain / (n - ddof), the gradient of `ninja_fast.py`,

    dbndiff = scale * (dhpreact - dbnbias / n - k * bndiff)

goes through each of its three terms by itself:

    dW1     = embdiff.T @ dbndiff = scale * (A - k * (S @ W1)),  as sum_n embdiff = 0
    dembcat = dbndiff @ W1.T      = dhpreact @ Ws.T - (dbnbias / n) @ Ws.T
                                    - embdiff @ (k * W1) @ Ws.T,       Ws = scale * W1

What is [rows, H] lives in a block; what outlives it is [N, T E], [T E, H] and [V, H].
"""

from functools import partial

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int

from jaxninja.models.by_hand.parts.products import product
from jaxninja.models.ninja import Ninja
from jaxninja.models.parts import Params, Statistics
from jaxninja.rules.blocking import in_parallel

LARGE = 512  # examples from which on this is quicker than `ninja_fast.py`
ROWS = 1024  # of a block: its arrays [ROWS, H] stay in the cache for H of some hundred


def value_and_grad(
    params: Params,
    ids: Int[Array, "N T"],
    labels: Int[Array, "N"],
    model: Ninja,
    rows: int | None = None,
) -> tuple[tuple[Float[Array, ""], Statistics], Params]:
    """Loss, batch statistics and the gradient of every parameter.

    Args and returns are those of `ninja_fast.value_and_grad`; `rows` is about how many
    a block has: 1,024 on a CPU, else all.
    """
    C, W1, b1 = params["C"], params["W1"], params["b1"]
    bngain, n = params["bngain"], len(ids)
    if rows is None:
        rows = n if in_parallel() else ROWS

    embcat = C[ids].reshape(n, -1)  # [N, T E]
    embmean = embcat.mean(0)
    embdiff = embcat - embmean
    SW1 = (embdiff.T @ embdiff) @ W1  # [T E, H], embdiff.T @ bndiff
    bnvar = (W1 * SW1).sum(0) / (n - model.ddof)
    bnvar_inv = lax.rsqrt(bnvar + model.eps)
    scale = bngain * bnvar_inv
    W1s = scale * W1

    walk = partial(_block, params, scale, n, model.dtype)
    sums, dembcat = _over_blocks(walk, (embdiff, labels), rows)
    loss, A, dbnbias, dW2T, db2 = sums

    dbngain = bnvar_inv * (W1 * A).sum(0)
    k = bnvar_inv * dbngain / (n - model.ddof)
    dW1 = scale * (A - k * SW1)
    dembcat -= (dbnbias / n) @ W1s.T + embdiff @ ((k * W1) @ W1s.T)
    dC = jnp.zeros_like(C).at[ids].add(dembcat.reshape(*ids.shape, -1))

    grads = {"C": dC, "W1": dW1, "b1": jnp.zeros_like(b1), "W2T": dW2T, "b2": db2}
    grads |= {"bngain": dbngain, "bnbias": dbnbias}
    return (loss, {"mean": embmean @ W1 + b1, "var": bnvar}), grads


def _block(params, scale, n, dtype, embdiff, labels):
    """Some rows forward and back: their part of every sum; their dhpreact @ W1s.T."""
    W1, W2T, b2 = params["W1"], params["W2T"], params["b2"]
    times = partial(product, dtype=dtype)

    h = jnp.tanh(times(embdiff, W1) * scale + params["bnbias"])  # [rows, H]
    logits = times(W2T, h, axis=-1) + b2[:, None]  # [V, rows], transposed
    norm_logits = logits - logits.max(0)
    counts = jnp.exp(norm_logits)
    counts_sum = counts.sum(0)
    onehot = labels == jnp.arange(len(W2T))[:, None]
    picked = jnp.where(onehot, norm_logits, 0).sum(0)
    loss = (jnp.log(counts_sum) - picked).sum() / n

    dlogits = (counts / counts_sum - onehot) / n
    dh = times(lax.optimization_barrier(dlogits.T), W2T)
    dhpreact = (1 - h) * (1 + h) * dh
    A = times(lax.optimization_barrier(embdiff.T), dhpreact)
    sums = (loss, A, dhpreact.sum(0), times(dlogits, h), dlogits.sum(1))
    return sums, times(dhpreact, scale * W1, axis=-1)


def _over_blocks(walk, examples, rows):
    """Sums of `walk` over blocks of examples, and its rows in the examples' order.

    A block takes rows from all over the batch, every so many: where the batch is
    divided among devices, each has its share of every block.
    """
    n = len(examples[0])
    count = max(n // rows, 1)
    whole = n - n % count

    def split(a):  # [whole, ...] -> [count, whole / count, ...]
        return a[:whole].reshape(-1, count, *a.shape[1:]).swapaxes(0, 1)

    def step(sums, block):
        more, out = walk(*block)
        return jax.tree.map(jnp.add, sums, more), out

    blocks = tuple(map(split, examples))
    shapes = jax.eval_shape(lambda b: walk(*(a[0] for a in b)), blocks)[0]
    zero = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), shapes)
    sums, out = lax.scan(step, zero, blocks)
    out = out.swapaxes(0, 1).reshape(whole, -1)
    if whole < n:  # fewer than `count` rows
        sums, rest = step(sums, tuple(a[whole:] for a in examples))
        out = jnp.concatenate([out, rest])
    return sums, out

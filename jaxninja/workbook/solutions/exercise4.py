"""Exercise 4: putting it all together (1:50:02).

The whole backward pass, with exercises 2 and 3 in it: this function trains the network.

    jaxninja train --route exercise4.py --data makemore

calls it at every step for the gradients of the seven parameters, and proves that no
automatic differentiation took part. `backward` may ask for any array of the forward
pass, by its name, as it does below; what it does not ask for need not be kept. The
function of exercise 1 would do as well: it is longer, and slower.
"""

import jax
import jax.numpy as jnp

from jaxninja.workbook.exercise import Exercise
from jaxninja.workbook.solutions.lecture import NETWORK


# fmt: off
def backward(
    Xb, Yb, n, C, W1, W2, bngain, emb, embcat, bnvar_inv, bnraw, h, logits
):
    # rule: Exercise 2.
    # formula: (softmax(logits) - onehot(Yb)) / n.
    # why: See exercise 2.
    dlogits = (jax.nn.softmax(logits, 1) - jax.nn.one_hot(Yb, logits.shape[1])) / n

    # rule: A matrix product h @ W: dh = upstream @ W.T.
    # formula: dlogits @ W2.T.
    # why: See exercise 1.
    dh = dlogits @ W2.T

    # rule: A matrix product h @ W: dW = h.T @ upstream.
    # formula: h.T @ dlogits.
    # why: See exercise 1.
    dW2 = h.T @ dlogits

    # rule: A bias is broadcast over the batch: sum over it.
    # formula: the sum of dlogits over the n rows.
    # why: See exercise 1.
    db2 = dlogits.sum(0)

    # rule: tanh' written with the output of tanh.
    # formula: (1 - h^2) * dh.
    # why: See exercise 1.
    dhpreact = (1.0 - h**2) * dh

    # rule: A product with a broadcast factor: sum over the copies.
    # formula: the sum over the n rows of bnraw * dhpreact.
    # why: See exercise 1.
    dbngain = (bnraw * dhpreact).sum(0)

    # rule: A bias is broadcast over the batch: sum over it.
    # formula: the sum of dhpreact over the n rows.
    # why: See exercise 1.
    dbnbias = dhpreact.sum(0)

    # rule: Exercise 3; two of its sums are here already.
    # formula: bngain * bnvar_inv / n * (n * dhpreact - dbnbias
    #   - n / (n - 1) * bnraw * dbngain).
    # why: sum(dhpreact) is dbnbias, and sum(dhpreact * bnraw) is dbngain.
    dhprebn = bngain * bnvar_inv / n * (n * dhpreact - dbnbias - n / (n - 1) * bnraw * dbngain)  # noqa: E501

    # rule: A matrix product x @ W: dx = upstream @ W.T.
    # formula: dhprebn @ W1.T.
    # why: See exercise 1.
    dembcat = dhprebn @ W1.T

    # rule: A matrix product x @ W: dW = x.T @ upstream.
    # formula: embcat.T @ dhprebn.
    # why: See exercise 1.
    dW1 = embcat.T @ dhprebn

    # rule: A bias is broadcast over the batch: sum over it.
    # formula: the sum of dhprebn over the n rows.
    # why: It is zero but for rounding: batchnorm takes every bias in front of it away.
    db1 = dhprebn.sum(0)

    # rule: A change of shape: change it back.
    # formula: dembcat in the shape of emb.
    # why: See exercise 1.
    demb = dembcat.reshape(emb.shape)

    # rule: Indexing reads rows; each receives the sum of what its readers send.
    # formula: add demb[k, j] to row Xb[k, j] of zeros [V, E].
    # why: See exercise 1.
    dC = jnp.zeros_like(C).at[Xb].add(demb)

    return dC, dW1, db1, dW2, db2, dbngain, dbnbias


# fmt: on
EXERCISE = Exercise(
    4,
    "putting it all together",
    NETWORK,
    forms={
        "hprebn": (
            "bngain * bnvar_inv * (dhpreact - dbnbias / n - bnraw * dbngain / (n - 1))",
        ),
    },
    effort={
        **dict.fromkeys(("h", "W2", "b2", "hpreact", "bngain", "bnbias"), (1, 0)),
        **dict.fromkeys(("embcat", "W1", "b1", "emb", "C"), (1, 0)),
        **{"logits": (3, 0), "hprebn": (5, 1)},
    },
    probes=("logits", "hpreact", "hprebn"),
    least=("embcat", "bnvar_inv", "bnraw", "h", "logits"),
    time="1:50:02",
    trains=True,
)

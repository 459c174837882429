"""Exercise 1: backpropagate through the atomic graph of the network.

Replace each None by the gradient of the loss with respect to that array: d<name> has
the shape of <name>. Go from the top down, which is from the loss backwards. An array
that is read twice has a gradient of two branches: write the first with `=`, and add the
second with `+=` as soon as you have what it needs, before anything else reads it. All
of it by hand: the check refuses jax.grad and its like.

Above each gap stand the steps of the forward pass that read the array, and about where
in the lecture its gradient is derived. Sizes: n batch, T context, E embedding, H hidden
units, V vocabulary. bngain and bnbias are [H] here, and [1, H] in the lecture.

The lecture writes PyTorch. What differs here:

    keepdim=True                   keepdims=True
    x.max(1).indices               x.argmax(1)
    x[range(n), Yb]                x[jnp.arange(n), Yb]
    dx = dy.clone()                dx = dy, as no array ever changes
    dC[ix] += demb[k, j]           dC = dC.at[ix].add(demb[k, j])
    x.view(a, b)                   x.reshape(a, b)
    F.one_hot(i, num_classes=V)    jax.nn.one_hot(i, V)
    torch.zeros_like(x)            jnp.zeros_like(x)
    x.exp(), x.log(), x.sqrt()     jnp.exp(x), jnp.log(x), jnp.sqrt(x)
"""

import jax
import jax.numpy as jnp

from jaxninja.workbook.exercise import Exercise
from jaxninja.workbook.solutions.lecture import NETWORK


# fmt: off
def backward(
    Xb, Yb, n, C, W1, b1, W2, b2, bngain, bnbias,
    emb, embcat, hprebn, bnmeani, bndiff, bndiff2, bnvar, bnvar_inv, bnraw, hpreact,
    h, logits, logit_maxes, norm_logits, counts, counts_sum, counts_sum_inv, probs,
    logprobs,
):
    # rule: The loss reads one entry a row; only what is read has a gradient.
    # formula: -1/n where the target is, 0 elsewhere.
    # why: The loss is -(a + b + ...)/n over the n entries that are plucked out, so the
    #   slope of each is -1/n. The entries that are not read do not matter to the loss.
    dlogprobs = jnp.zeros_like(logprobs).at[jnp.arange(n), Yb].set(-1.0 / n)

    # rule: An elementwise function: its derivative at each entry, times the upstream.
    # formula: dlogprobs / probs, as d log(x) = dx / x.
    # why: Where the target's probability is small, 1/probs is large: the examples that
    #   the network gets wrong are boosted.
    dprobs = 1.0 / probs * dlogprobs

    # rule: A product a * b with b broadcast: db sums a * upstream over the copies.
    # formula: sum over the V columns of counts * dprobs, kept as a column [n, 1].
    # why: One counts_sum_inv serves a whole row. What is used many times receives the
    #   sum of what its uses send back; keepdims, or [n] would pair with the columns.
    dcounts_sum_inv = (counts * dprobs).sum(1, keepdims=True)

    # rule: The power rule, elementwise.
    # formula: -dcounts_sum_inv / counts_sum^2.
    # why: d(x^-1) = -x^-2 dx.
    dcounts_sum = -(counts_sum**-2) * dcounts_sum_inv

    # rule: counts is read twice, so its gradient has two branches, which add up.
    # formula: counts_sum_inv * dprobs, plus dcounts_sum copied to every column.
    # why: The first branch is the product's. A sum forward is a copy backward: every
    #   count adds to its row's sum with slope 1, so each receives dcounts_sum.
    dcounts = counts_sum_inv * dprobs
    dcounts += jnp.ones_like(counts) * dcounts_sum

    # rule: An elementwise function that is its own derivative.
    # formula: exp(norm_logits) * dcounts, and counts is that exp already.
    # why: What the forward pass computed is reused; exp is not taken again.
    dnorm_logits = counts * dcounts

    # rule: A difference a - b with b broadcast: db is minus the sum over the copies.
    # formula: minus the sum over the V columns of dnorm_logits, as a column [n, 1].
    # why: It comes out near zero, 1e-9 or so: softmax does not change when all logits
    #   of a row shift together, so the maximum that is taken off cannot matter.
    dlogit_maxes = -dnorm_logits.sum(1, keepdims=True)

    # rule: logits is read twice: by the difference, and by the maximum of each row.
    # formula: dnorm_logits, plus dlogit_maxes at the place of each row's maximum.
    # why: The maximum passes its gradient to the entry that it was taken from; the
    #   others do not matter. The branch is nearly zero, but it is a branch: with
    #   another loss above norm_logits it would not be.
    dlogits = dnorm_logits
    dlogits += jax.nn.one_hot(logits.argmax(1), logits.shape[1]) * dlogit_maxes

    # rule: A matrix product h @ W: dh = upstream @ W.T, the one way the shapes fit.
    # formula: dlogits @ W2.T, [n, V] @ [V, H].
    # why: h[i, j] reaches every logit k of row i with weight W2[j, k]: sum over k.
    dh = dlogits @ W2.T

    # rule: A matrix product h @ W: dW = h.T @ upstream, the one way the shapes fit.
    # formula: h.T @ dlogits, [H, n] @ [n, V].
    # why: W2[j, k] is used by every example i with input h[i, j]: sum over i.
    dW2 = h.T @ dlogits

    # rule: A bias is broadcast over the batch: a copy forward is a sum backward.
    # formula: the sum of dlogits over the n rows.
    # why: b2[k] is added to logit k of every example, with slope 1.
    db2 = dlogits.sum(0)

    # rule: An elementwise function; tanh' can be written with its own output.
    # formula: (1 - h^2) * dh.
    # why: d tanh(x)/dx = 1 - tanh(x)^2, with h, not hpreact: the output is at hand.
    dhpreact = (1.0 - h**2) * dh

    # rule: A product with a broadcast factor: sum over the copies, here the rows.
    # formula: the sum over the n rows of bnraw * dhpreact.
    # why: One gain serves its column in all n examples.
    dbngain = (bnraw * dhpreact).sum(0)

    # rule: A bias is broadcast over the batch: a copy forward is a sum backward.
    # formula: the sum of dhpreact over the n rows.
    # why: As for b2.
    dbnbias = dhpreact.sum(0)

    # rule: A product: the other factor times the upstream.
    # formula: bngain * dhpreact.
    # why: bnraw is [n, H] itself, so nothing was copied and nothing is summed.
    dbnraw = bngain * dhpreact

    # rule: A product with a broadcast factor: sum over the copies, here the rows.
    # formula: the sum over the n rows of bndiff * dbnraw, kept as a row [1, H].
    # why: One inverse deviation serves its column in all n examples.
    dbnvar_inv = (bndiff * dbnraw).sum(0, keepdims=True)

    # rule: The power rule, elementwise.
    # formula: -1/2 * (bnvar + 1e-5)^(-3/2) * dbnvar_inv.
    # why: d(x + eps)^(-1/2) = -1/2 (x + eps)^(-3/2) dx.
    dbnvar = -0.5 * (bnvar + 1e-5) ** -1.5 * dbnvar_inv

    # rule: A scaled sum forward is a scaled copy backward.
    # formula: dbnvar / (n - 1), copied to all n rows.
    # why: Every squared deviation adds 1/(n - 1) of itself to the variance: Bessel's
    #   correction, where the paper has 1/n. A batch of one has 0/0 here, and NaN
    #   everywhere after it: the checks take a batch of two.
    dbndiff2 = 1.0 / (n - 1) * jnp.ones_like(bndiff2) * dbnvar

    # rule: bndiff is read twice: by bnraw, and by its own square.
    # formula: bnvar_inv * dbnraw + 2 * bndiff * dbndiff2.
    # why: The first branch scales; the second tells how bndiff moves the variance.
    dbndiff = bnvar_inv * dbnraw
    dbndiff += 2.0 * bndiff * dbndiff2

    # rule: A difference a - b with b broadcast: db is minus the sum over the copies.
    # formula: minus the sum over the n rows of dbndiff, kept as a row [1, H].
    # why: One mean is taken off the column of all n examples; keepdims, or the shape is
    #   [H] where the mean has [1, H], which broadcasting would hide.
    dbnmeani = -dbndiff.sum(0, keepdims=True)

    # rule: hprebn is read twice: by the difference, and by the mean.
    # formula: dbndiff + dbnmeani / n, the mean's part copied to all n rows.
    # why: Each entry adds 1/n of itself to the mean. Together the two branches take
    #   the mean off: the columns of dhprebn sum to zero.
    dhprebn = dbndiff
    dhprebn += 1.0 / n * jnp.ones_like(hprebn) * dbnmeani

    # rule: A matrix product x @ W: dx = upstream @ W.T.
    # formula: dhprebn @ W1.T, [n, H] @ [H, TE].
    # why: As for h.
    dembcat = dhprebn @ W1.T

    # rule: A matrix product x @ W: dW = x.T @ upstream.
    # formula: embcat.T @ dhprebn, [TE, n] @ [n, H].
    # why: As for W2.
    dW1 = embcat.T @ dhprebn

    # rule: A bias is broadcast over the batch: a copy forward is a sum backward.
    # formula: the sum of dhprebn over the n rows.
    # why: It is zero but for rounding: batchnorm takes the mean of each column away,
    #   and b1 with it, so no b1 can change the loss. bnbias does its work.
    db1 = dhprebn.sum(0)

    # rule: A change of shape moves no number: change it back.
    # formula: dembcat in the shape of emb.
    # why: emb and embcat hold the same numbers in the same order.
    demb = dembcat.reshape(emb.shape)

    # rule: Indexing reads rows; backward, each row receives what its readers send.
    # formula: for each place [k, j]: add demb[k, j] to row Xb[k, j] of zeros [V, E].
    # why: A row that is read many times receives the sum of all, so `add`: `set` would
    #   keep the last one only.
    dC = jnp.zeros_like(C).at[Xb].add(demb)

    return dC, dW1, db1, dW2, db2, dbngain, dbnbias


# fmt: on
EXERCISE = Exercise(
    1,
    "the atomic graph",
    NETWORK,
    forms={
        "counts_sum": ("-(counts_sum_inv**2) * dcounts_sum_inv",),
        "bnvar": ("-0.5 * bnvar_inv**3 * dbnvar_inv",),
        "hprebn": ("dbndiff - dbndiff.mean(0)",),
    },
    effort={
        **{"logprobs": (10, 1), "probs": (5, 0), "counts_sum_inv": (10, 1)},
        **{"counts_sum": (3, 0), "counts": (10, 1), "norm_logits": (3, 0)},
        **{"logit_maxes": (5, 1), "logits": (10, 2), "h": (10, 1), "W2": (5, 0)},
        **{"b2": (5, 0), "hpreact": (5, 0), "bngain": (5, 1), "bnbias": (2, 0)},
        **{"bnraw": (2, 0), "bnvar_inv": (5, 1), "bnvar": (5, 0), "bndiff2": (10, 1)},
        **{"bndiff": (5, 1), "bnmeani": (5, 1), "hprebn": (5, 1), "embcat": (2, 0)},
        **{"W1": (2, 0), "b1": (2, 0), "emb": (3, 0), "C": (10, 2)},
    },
    probes=(
        *("probs", "counts", "norm_logits", "logits", "hpreact", "bndiff", "hprebn"),
    ),
    least=("embcat", "bnvar_inv", "bnraw", "h", "probs"),
)

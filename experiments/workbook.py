# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # The workbook of "Becoming a Backprop Ninja"
#
# The lecture says: work through the exercises yourself. You can do that here. Replace
# each `None` by a gradient, and run the cell below the exercise. The check goes
# backwards, from the loss to the embedding, and stops at the first wrong gradient. It
# checks each gradient twice: once with the true gradients before it, and once with your
# own. So it can say whether the mistake is in this line or comes from an earlier one.
#
# Stuck? Call `workbook.hint("1.logprobs")` in a new cell. Each call shows a little more:
# the shape, the rule, the formula, one line, the solution. Once the gradient is right,
# `workbook.why("1.logprobs")` explains why.
#
# The checker starts in the background with the first cell, and a check takes less than a
# second. Your function runs in its own process. It can use `jax`, `jnp`, `np` and what
# its own cell defines: imports, and functions of yours.
#
# The times of the chapters are those of the lecture. Within a chapter the times are
# estimates, good to a minute or two.
#
# The same exercises as files: `jaxninja exercise start`, and `jaxninja exercise watch`.
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/#upload=true)
# Upload this notebook there. Its first code installs jaxninja, from where `SOURCE` says.

# %%
# Where jaxninja is not installed, as on Colab: a release, a wheel's path or git+https://...
import importlib.util
import subprocess
import sys

SOURCE = "jaxninja"
if importlib.util.find_spec("jaxninja") is None:
    subprocess.run([sys.executable, "-m", "pip", "install", SOURCE], check=True)

# %%
import jax
import jax.numpy as jnp
import numpy as np
from IPython.display import Image

import jaxninja
from jaxninja import workbook
from jaxninja.cli.train import summary
from jaxninja.plots import exercises as figures
from jaxninja.plots import png
from jaxninja.training.progress import Lines
from jaxninja.workbook import bessel, pictures

sample = workbook.lecture_sample()

# %% [markdown]
# ## The graph
#
# Seven parameters and twenty named steps. Gradients flow against the arrows. An array
# with two arrows out gets a gradient along each of them: two branches, to be added.

# %%
Image(png(pictures.graph(sample.network)))

# %% [markdown]
# ## Exercise 1: backpropagate through the atomic graph of the network
#
# Replace each None by the gradient of the loss with respect to that array: `d<name>` has
# the shape of `<name>`. Go from the top down, which is from the loss backwards. An array
# that is read twice has a gradient of two branches: write the first with `=`, and add the
# second with `+=` as soon as you have what it needs, before anything else reads it. All
# of it by hand: the check refuses jax.grad and its like.
#
# Above each gap stand the steps of the forward pass that read the array, and about where
# in the lecture its gradient is derived. Sizes: n batch, T context, E embedding, H hidden
# units, V vocabulary. bngain and bnbias are [H] here, and [1, H] in the lecture.
#
# The lecture writes PyTorch. What differs here:
#
#     keepdim=True                   keepdims=True
#     x.max(1).indices               x.argmax(1)
#     x[range(n), Yb]                x[jnp.arange(n), Yb]
#     dx = dy.clone()                dx = dy, as no array ever changes
#     dC[ix] += demb[k, j]           dC = dC.at[ix].add(demb[k, j])
#     x.view(a, b)                   x.reshape(a, b)
#     F.one_hot(i, num_classes=V)    jax.nn.one_hot(i, V)
#     torch.zeros_like(x)            jnp.zeros_like(x)
#     x.exp(), x.log(), x.sqrt()     jnp.exp(x), jnp.log(x), jnp.sqrt(x)

# %%
def backward(
    Xb, Yb, n, C, W1, b1, W2, b2, bngain, bnbias,
    emb, embcat, hprebn, bnmeani, bndiff, bndiff2, bnvar, bnvar_inv, bnraw, hpreact,
    h, logits, logit_maxes, norm_logits, counts, counts_sum, counts_sum_inv, probs,
    logprobs,
):
    # loss = -logprobs[jnp.arange(n), Yb].mean()
    # [n, V]; 10 min, medium; lecture about 0:13:01
    dlogprobs = None

    # logprobs = jnp.log(probs)
    # [n, V]; 5 min, easy; lecture about 0:19:14
    dprobs = None

    # probs = counts * counts_sum_inv
    # [n, 1]; 10 min, medium; lecture about 0:22:05
    dcounts_sum_inv = None

    # counts_sum_inv = counts_sum**-1
    # [n, 1]; 3 min, easy; lecture about 0:27:47
    dcounts_sum = None

    # counts_sum = counts.sum(1, keepdims=True)
    # probs = counts * counts_sum_inv
    # [n, V]; 10 min, medium; lecture about 0:28:56
    dcounts = None

    # counts = jnp.exp(norm_logits)
    # [n, V]; 3 min, easy; lecture about 0:32:19
    dnorm_logits = None

    # norm_logits = logits - logit_maxes
    # [n, 1]; 5 min, medium; lecture about 0:32:55
    dlogit_maxes = None

    # logit_maxes = logits.max(1, keepdims=True)
    # norm_logits = logits - logit_maxes
    # [n, V]; 10 min, hard; lecture about 0:37:57
    dlogits = None

    # logits = h @ W2 + b2
    # [n, H]; 10 min, medium; lecture about 0:41:50
    dh = None

    # logits = h @ W2 + b2
    # [H, V]; 5 min, easy; lecture about 0:41:50
    dW2 = None

    # logits = h @ W2 + b2
    # [V]; 5 min, easy; lecture about 0:41:50
    db2 = None

    # h = jnp.tanh(hpreact)
    # [n, H]; 5 min, easy; lecture about 0:53:27
    dhpreact = None

    # hpreact = bngain * bnraw + bnbias
    # [H]; 5 min, medium; lecture about 0:55:07
    dbngain = None

    # hpreact = bngain * bnraw + bnbias
    # [H]; 2 min, easy; lecture about 0:55:07
    dbnbias = None

    # hpreact = bngain * bnraw + bnbias
    # [n, H]; 2 min, easy; lecture about 0:57:57
    dbnraw = None

    # bnraw = bndiff * bnvar_inv
    # [1, H]; 5 min, medium; lecture about 1:01:09
    dbnvar_inv = None

    # bnvar_inv = (bnvar + 1e-5) ** -0.5
    # [1, H]; 5 min, easy; lecture about 1:03:53
    dbnvar = None

    # bnvar = 1 / (n - 1) * bndiff2.sum(0, keepdims=True)
    # [n, H]; 10 min, medium; lecture about 1:09:15
    dbndiff2 = None

    # bndiff2 = bndiff**2
    # bnraw = bndiff * bnvar_inv
    # [n, H]; 5 min, medium; lecture about 1:13:33
    dbndiff = None

    # bndiff = hprebn - bnmeani
    # [1, H]; 5 min, medium; lecture about 1:14:54
    dbnmeani = None

    # bnmeani = 1 / n * hprebn.sum(0, keepdims=True)
    # bndiff = hprebn - bnmeani
    # [n, H]; 5 min, medium; lecture about 1:17:21
    dhprebn = None

    # hprebn = embcat @ W1 + b1
    # [n, TE]; 2 min, easy; lecture about 1:19:03
    dembcat = None

    # hprebn = embcat @ W1 + b1
    # [TE, H]; 2 min, easy; lecture about 1:19:03
    dW1 = None

    # hprebn = embcat @ W1 + b1
    # [H]; 2 min, easy; lecture about 1:19:03
    db1 = None

    # embcat = emb.reshape(n, -1)
    # [n, T, E]; 3 min, easy; lecture about 1:21:08
    demb = None

    # emb = C[Xb]
    # [V, E]; 10 min, hard; lecture about 1:22:19
    dC = None

    return dC, dW1, db1, dW2, db2, dbngain, dbnbias

# %%
report1 = workbook.check(1, backward)
report1

# %% [markdown]
# ### Any gradient, by name
#
# PyTorch keeps the gradient of an intermediate with `retain_grad`; JAX has no such thing.
# `jaxninja.retain_grads` gives the gradient of every array that a function names with
# `jax.ad_checkpoint.checkpoint_name`; the true gradients of exercise 1 come from it.
# `jaxninja.cmp` prints the lecture's line, but it does not broadcast.
# Below: a gradient rounded to bfloat16, and one without its axis of length 1.

# %%
from jaxninja.models import atomic

params = {name: sample.values[name] for name in atomic.PARAMETERS}
Xb, Yb = sample.values["Xb"], sample.values["Yb"]


def network_loss(params):
    return atomic.forward(params, Xb, Yb)["loss"]


loss, grads = jax.jit(jaxninja.retain_grads(network_loss))(params)
rounded = grads["h"].astype("bfloat16").astype("float32")
print(jaxninja.cmp("h", rounded, grads["h"]))
print(jaxninja.cmp("bnmeani", grads["bnmeani"][0], grads["bnmeani"]))

# %% [markdown]
# ### Why db1 is zero
#
# b1 adds one number to a whole column of hprebn, and batchnorm subtracts the mean of each
# column. So no b1 can change the loss, and db1 is zero but for rounding. A check that
# asks only for "about zero" would accept any small number. This one also puts a random
# gradient in at hprebn, where db1 is not zero.
#
# With a batch of one the variance is 0/0, because of Bessel's correction, and everything
# after it is NaN. So the smallest batch of the checks has two examples.

# %%
print("largest |db1|    ", jnp.abs(grads["b1"]).max())
print("largest |dbnbias|", jnp.abs(grads["bnbias"]).max())
one = jax.jit(atomic.forward)(params, Xb[:1], Yb[:1])
print("a batch of one:  ", one["bnvar"][0, :3], one["loss"])

# %% [markdown]
# ## Exercise 2: the gradient of the cross entropy, in one expression (1:26:31)
#
# Exercise 1 took eight steps from the loss to the logits. Take the loss as one formula,
#
#     loss = mean over the rows of  log(sum_j exp(logits_j)) - logits_y
#
# differentiate it with pen and paper, and almost everything cancels.

# %%
def backward(logits, Yb, n):
    # [n, V]; 20 min, medium; lecture about 1:26:31
    dlogits = None

    return dlogits

# %%
report2 = workbook.check(2, backward)
report2

# %% [markdown]
# ### Pushes and pulls
#
# dlogits as forces: the right character is pulled up, and the others are pushed down,
# each by its probability. The forces on a row sum to zero.

# %%
symbols = ".abcdefghijklmnopqrstuvwxyz"
Image(png(figures.forces(grads["logits"], Yb, symbols)))

# %% [markdown]
# ## Digression: which variance? (1:05:17)
#
# The biased estimate divides by n: on average it is (n - 1)/n times the true variance.
# The unbiased one divides by n - 1. The paper normalises with the biased one in training
# and with the unbiased one at inference, and so does PyTorch; the lecture uses the
# unbiased one for both. The numbers below are for one column of a batch of 32, and
# averages over many batches.

# %%
for convention in bessel.conventions(sample.values["hprebn"][:, 0]):
    print(convention)
for n in (2, 32):
    biased, unbiased = bessel.averages(n)
    print(f"n = {n}: biased {biased:.4f}, unbiased {unbiased:.4f}, true 1")

# %% [markdown]
# ## Exercise 3: the gradient of batch normalisation, in one expression (1:36:37)
#
# Exercise 1 took seven steps from hpreact to hprebn. Take them as one formula,
#
#     bnraw = (hprebn - mean) / sqrt(var + 1e-5),   var = sum (hprebn - mean)^2 / (n - 1)
#     hpreact = bngain * bnraw + bnbias
#
# and write dhprebn in terms of dhpreact, which is given. Mind Bessel's correction.

# %%
def backward(
    hprebn, bnmeani, bndiff, bnvar, bnvar_inv, bnraw, bngain, bnbias, dhpreact, n
):
    # [n, H]; 45 min, hard; lecture about 1:36:37
    dhprebn = None

    return dhprebn

# %%
report3 = workbook.check(3, backward)
report3

# %% [markdown]
# ## Exercise 4: putting it all together (1:50:02)
#
# The whole backward pass, with exercises 2 and 3 in it: this function trains the network.
#
#     jaxninja train --route exercise4.py --data makemore
#
# calls it at every step for the gradients of the seven parameters, and proves that no
# automatic differentiation took part. `backward` may ask for any array of the forward
# pass, by its name, as it does below; what it does not ask for need not be kept. The
# function of exercise 1 would do as well: it is longer, and slower.

# %%
def backward(
    Xb, Yb, n, C, W1, W2, bngain, emb, embcat, bnvar_inv, bnraw, h, logits
):
    # [n, V]; 3 min, easy; lecture about 1:50:02
    dlogits = None

    # logits = h @ W2 + b2
    # [n, H]; 1 min, easy; lecture about 1:50:02
    dh = None

    # logits = h @ W2 + b2
    # [H, V]; 1 min, easy; lecture about 1:50:02
    dW2 = None

    # logits = h @ W2 + b2
    # [V]; 1 min, easy; lecture about 1:50:02
    db2 = None

    # h = jnp.tanh(hpreact)
    # [n, H]; 1 min, easy; lecture about 1:50:02
    dhpreact = None

    # hpreact = bngain * bnraw + bnbias
    # [H]; 1 min, easy; lecture about 1:50:02
    dbngain = None

    # hpreact = bngain * bnraw + bnbias
    # [H]; 1 min, easy; lecture about 1:50:02
    dbnbias = None

    # [n, H]; 5 min, medium; lecture about 1:50:02
    dhprebn = None

    # hprebn = embcat @ W1 + b1
    # [n, TE]; 1 min, easy; lecture about 1:50:02
    dembcat = None

    # hprebn = embcat @ W1 + b1
    # [TE, H]; 1 min, easy; lecture about 1:50:02
    dW1 = None

    # hprebn = embcat @ W1 + b1
    # [H]; 1 min, easy; lecture about 1:50:02
    db1 = None

    # embcat = emb.reshape(n, -1)
    # [n, T, E]; 1 min, easy; lecture about 1:50:02
    demb = None

    # emb = C[Xb]
    # [V, E]; 1 min, easy; lecture about 1:50:02
    dC = None

    return dC, dW1, db1, dW2, db2, dbngain, dbnbias

# %%
report4 = workbook.check(4, backward)
report4

# %% [markdown]
# ### Your backward trains the network
#
# Once it is right, your function computes the gradients of a training run. A check of the
# equations that JAX traced proves that no automatic differentiation took part. On the
# lecture's own data the full run is
# `jaxninja train --route exercise4.py --data makemore`; the lecture ends at train 2.0705,
# val 2.1099.

# %%
if report4.ok:
    route = workbook.save(backward, "exercise4.py")
    config = jaxninja.TrainConfig(route=route, steps=20_000)
    run = jaxninja.train(config, progress=Lines(print))
    print("\n".join(summary(run)))

# %% [markdown]
# ### What it costs
#
# Forward and backward pass, compiled as one, next to `jax.grad`: floating-point
# operations, what the forward pass keeps for the backward pass, temporary memory, time.

# %%
if report4.ok:
    print(workbook.cost(4, backward))

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
# # Backprop by hand, after the lecture
#
# Layer normalisation, a GRU through three steps of time, causal self-attention, and a
# whole transformer block. As in [the lecture's workbook](workbook.ipynb), replace each
# `None` by a gradient, and run the cell below the exercise. The check goes backwards and
# stops at the first wrong gradient.
#
# The gradient of the output, dy, is given: it would come from the layers above. Stuck?
# Call `workbook.hint("5.gamma")` in a new cell; each call shows a little more. Once the
# gradient is right, `workbook.why("5.gamma")` explains why.
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
from jaxninja.plots import png
from jaxninja.training.progress import Lines
from jaxninja.workbook import pictures
from jaxninja.workbook.exercises import EXERCISES

# %% [markdown]
# ## Exercise 5: backpropagate through layer normalisation
#
# Batchnorm takes mean and variance over the examples, layernorm over the features of each
# place: every row x[i, t] is normalised by itself, and gamma and beta serve all rows.
#
#     mean  = 1 / D * x.sum(2, keepdims=True)         [n, T, 1]
#     diff  = x - mean                                [n, T, D]
#     diff2 = diff**2                                 [n, T, D]
#     var   = 1 / D * diff2.sum(2, keepdims=True)     [n, T, 1]
#     rstd  = (var + 1e-5) ** -0.5                    [n, T, 1]
#     xhat  = diff * rstd                             [n, T, D]
#     y     = gamma * xhat + beta                     [n, T, D]
#
# The variance is over D, without Bessel's correction, as in every transformer. dy, the
# gradient of whatever comes after, is given; it has no pattern that hides a mistake.
# Sizes: n batch, T places, D features. Mind which axes a sum goes over.

# %%
Image(png(pictures.graph(EXERCISES[5].network)))

# %%
def backward(x, gamma, beta, mean, diff, diff2, var, rstd, xhat, y, D, dy):
    # y = gamma * xhat + beta
    # [D]; 5 min, medium
    dgamma = None

    # y = gamma * xhat + beta
    # [D]; 3 min, easy
    dbeta = None

    # y = gamma * xhat + beta
    # [n, T, D]; 2 min, easy
    dxhat = None

    # xhat = diff * rstd
    # [n, T, 1]; 5 min, medium
    drstd = None

    # rstd = (var + 1e-5) ** -0.5
    # [n, T, 1]; 5 min, easy
    dvar = None

    # var = 1 / D * diff2.sum(2, keepdims=True)
    # [n, T, D]; 5 min, medium
    ddiff2 = None

    # diff2 = diff**2
    # xhat = diff * rstd
    # [n, T, D]; 5 min, medium
    ddiff = None

    # diff = x - mean
    # [n, T, 1]; 5 min, medium
    dmean = None

    # mean = 1 / D * x.sum(2, keepdims=True)
    # diff = x - mean
    # [n, T, D]; 10 min, hard
    dx = None

    return dx, dgamma, dbeta

# %%
report5 = workbook.check(5, backward)
report5

# %% [markdown]
# ## Exercise 6: a GRU, and its gradient through three steps of time
#
# One step takes x [n, E] and the state h [n, H] to a new state, by two gates z and r:
#
#     az = x @ Wz + h @ Uz + bz               z = jax.nn.sigmoid(az)
#     ar = x @ Wr + h @ Ur + br               r = jax.nn.sigmoid(ar)
#     rh = r * h
#     ac = x @ Wc + rh @ Uc + bc              c = jnp.tanh(ac)
#     h  = (1 - z) * h + z * c                all of them [n, H]
#
# Three steps follow each other, from h0 by x1, x2, x3 to h1, h2, h3, with the same
# weights. All three states are used: y is the stack of h1, h2, h3 [3, n, H], and dy is
# given. The third step is asked for array by array; of the second and first one only what
# the weights and the step before need, a longer expression each. A function of your own
# for a step is welcome. At last the weights: what is used in each step receives the sum
# of what all steps send back.
#
# sigmoid' is s (1 - s), tanh' is 1 - tanh^2. Sizes: n batch, E input, H hidden units.

# %%
Image(png(pictures.graph(EXERCISES[6].network)))

# %%
def backward(
    h0, x1, x2, x3, Wz, Uz, bz, Wr, Ur, br, Wc, Uc, bc,
    z1, r1, rh1, c1, h1, z2, r2, rh2, c2, h2, z3, r3, rh3, c3, h3, dy,
):
    # y = jnp.stack([h1, h2, h3])
    # [n, H]; 2 min, easy
    dh3 = None

    # h3 = (1 - z3) * h2 + z3 * c3
    # [n, H]; 2 min, easy
    dc3 = None

    # c3 = jnp.tanh(ac3)
    # [n, H]; 3 min, easy
    dac3 = None

    # ac3 = x3 @ Wc + rh3 @ Uc + bc
    # [n, H]; 3 min, easy
    drh3 = None

    # rh3 = r3 * h2
    # [n, H]; 2 min, easy
    dr3 = None

    # r3 = jax.nn.sigmoid(ar3)
    # [n, H]; 3 min, easy
    dar3 = None

    # h3 = (1 - z3) * h2 + z3 * c3
    # [n, H]; 5 min, medium
    dz3 = None

    # z3 = jax.nn.sigmoid(az3)
    # [n, H]; 2 min, easy
    daz3 = None

    # az3 = x3 @ Wz + h2 @ Uz + bz
    # ar3 = x3 @ Wr + h2 @ Ur + br
    # rh3 = r3 * h2
    # h3 = (1 - z3) * h2 + z3 * c3
    # y = jnp.stack([h1, h2, h3])
    # [n, H]; 15 min, hard
    dh2 = None

    # [n, H]; 5 min, medium
    dac2 = None

    # [n, H]; 8 min, medium
    dar2 = None

    # [n, H]; 5 min, medium
    daz2 = None

    # [n, H]; 5 min, medium
    dh1 = None

    # [n, H]; 2 min, easy
    dac1 = None

    # [n, H]; 2 min, easy
    dar1 = None

    # [n, H]; 2 min, easy
    daz1 = None

    # [n, H]; 3 min, medium
    dh0 = None

    # az1 = x1 @ Wz + h0 @ Uz + bz
    # az2 = x2 @ Wz + h1 @ Uz + bz
    # az3 = x3 @ Wz + h2 @ Uz + bz
    # [E, H]; 5 min, medium
    dWz = None

    # az1 = x1 @ Wz + h0 @ Uz + bz
    # az2 = x2 @ Wz + h1 @ Uz + bz
    # az3 = x3 @ Wz + h2 @ Uz + bz
    # [H, H]; 2 min, easy
    dUz = None

    # az1 = x1 @ Wz + h0 @ Uz + bz
    # az2 = x2 @ Wz + h1 @ Uz + bz
    # az3 = x3 @ Wz + h2 @ Uz + bz
    # [H]; 2 min, easy
    dbz = None

    # ar1 = x1 @ Wr + h0 @ Ur + br
    # ar2 = x2 @ Wr + h1 @ Ur + br
    # ar3 = x3 @ Wr + h2 @ Ur + br
    # [E, H]; 2 min, easy
    dWr = None

    # ar1 = x1 @ Wr + h0 @ Ur + br
    # ar2 = x2 @ Wr + h1 @ Ur + br
    # ar3 = x3 @ Wr + h2 @ Ur + br
    # [H, H]; 2 min, easy
    dUr = None

    # ar1 = x1 @ Wr + h0 @ Ur + br
    # ar2 = x2 @ Wr + h1 @ Ur + br
    # ar3 = x3 @ Wr + h2 @ Ur + br
    # [H]; 2 min, easy
    dbr = None

    # ac1 = x1 @ Wc + rh1 @ Uc + bc
    # ac2 = x2 @ Wc + rh2 @ Uc + bc
    # ac3 = x3 @ Wc + rh3 @ Uc + bc
    # [E, H]; 2 min, easy
    dWc = None

    # ac1 = x1 @ Wc + rh1 @ Uc + bc
    # ac2 = x2 @ Wc + rh2 @ Uc + bc
    # ac3 = x3 @ Wc + rh3 @ Uc + bc
    # [H, H]; 2 min, easy
    dUc = None

    # ac1 = x1 @ Wc + rh1 @ Uc + bc
    # ac2 = x2 @ Wc + rh2 @ Uc + bc
    # ac3 = x3 @ Wc + rh3 @ Uc + bc
    # [H]; 2 min, easy
    dbc = None

    return dh0, dWz, dUz, dbz, dWr, dUr, dbr, dWc, dUc, dbc

# %%
report6 = workbook.check(6, backward)
report6

# %% [markdown]
# ## Exercise 7: backpropagate through causal self-attention
#
# Each place asks (q), is asked (k), and answers (v). Row t of att says how much place t
# takes from each place before it; what comes after is masked, as it is to be predicted.
#
#     q, k, v = x @ Wq, x @ Wk, x @ Wv                [n, T, K]
#     scores  = q @ k.mT / K**0.5                     [n, T, T]
#     masked  = jnp.where(seen, scores, -jnp.inf)     [n, T, T]
#     att     = jax.nn.softmax(masked, 2)             [n, T, T]
#     mixed   = att @ v                               [n, T, K]
#     y       = mixed @ Wo                            [n, T, D]
#
# seen [T, T] is True where place t (row) may look at place s (column), that is s <= t.
# a.mT is the transpose of the last two axes; @ multiplies example by example. dy is
# given. Sizes: n batch, T places, D features, K width of the head. Softmax's gradient is
# the one to take your time for: when it is wrong its Jacobian is drawn, and the pairs of
# places that are wrong are marked.

# %%
Image(png(pictures.graph(EXERCISES[7].network)))

# %%
def backward(
    x, seen, Wq, Wk, Wv, Wo, q, k, v, scores, masked, att, mixed, y, K, dy
):
    # y = mixed @ Wo
    # [K, D]; 5 min, medium
    dWo = None

    # y = mixed @ Wo
    # [n, T, K]; 3 min, easy
    dmixed = None

    # mixed = att @ v
    # [n, T, T]; 5 min, medium
    datt = None

    # mixed = att @ v
    # [n, T, K]; 5 min, medium
    dv = None

    # att = jax.nn.softmax(masked, 2)
    # [n, T, T]; 25 min, hard
    dmasked = None

    # masked = jnp.where(seen, scores, -jnp.inf)
    # [n, T, T]; 3 min, easy
    dscores = None

    # scores = q @ k.mT / K**0.5
    # [n, T, K]; 5 min, medium
    dq = None

    # scores = q @ k.mT / K**0.5
    # [n, T, K]; 5 min, medium
    dk = None

    # q = x @ Wq
    # [D, K]; 2 min, easy
    dWq = None

    # k = x @ Wk
    # [D, K]; 1 min, easy
    dWk = None

    # v = x @ Wv
    # [D, K]; 1 min, easy
    dWv = None

    # q = x @ Wq
    # k = x @ Wk
    # v = x @ Wv
    # [n, T, D]; 5 min, medium
    dx = None

    return dx, dWq, dWk, dWv, dWo

# %%
report7 = workbook.check(7, backward)
report7

# %% [markdown]
# ## Exercise 8: a whole transformer block; and it trains
#
#     x -> layernorm a -> attention -> + x = x2 -> layernorm m -> mlp -> + x2 = y
#
#     ahat = (x - mean_a) * rstd_a;  a = gamma_a * ahat + beta_a        [n, T, E]
#     qkv  = a @ Wqkv + bqkv                                            [n, T, 3E]
#     q, k, v: its three parts, E numbers each, in H heads              [n, H, T, K]
#     z    = q @ k.mT / K**0.5;  p = jax.nn.softmax(where seen, z)      [n, H, T, T]
#     o    = p @ v                                                      [n, H, T, K]
#     c    = o.swapaxes(1, 2).reshape(n, T, E): the heads side by side  [n, T, E]
#     x2   = x + c @ Wo + bo                                            [n, T, E]
#     mhat = (x2 - mean_m) * rstd_m;  m = gamma_m * mhat + beta_m       [n, T, E]
#     f    = m @ Wf + bf                                                [n, T, 4E]
#     s    = jax.nn.sigmoid(1.5957691216057308 * (f + 0.044715 * f**3)) [n, T, 4E]
#     h    = f * s                                                      [n, T, 4E]
#     y    = x2 + h @ Wp + bp                                           [n, T, E]
#
# h is gelu(f) in its tanh form, as 1 + tanh(u) = 2 sigmoid(2 u). Layernorm and softmax
# are taken in one expression each: exercises 5 and 7 have them step by step. Sizes: n
# batch, T places, E embedding, H heads, K = E / H width of a head; all of them are yours
# to ask for. `backward` is of one block, and trains any number of them:
#
#     jaxninja train --model transformer --route exercise8.py
#
# calls it at every step for every layer, and proves that no automatic differentiation
# took part in it.

# %%
Image(png(pictures.graph(EXERCISES[8].network)))

# %%
def backward(
    x, n, T, E, H, K, gamma_a, Wqkv, Wo, gamma_m, Wf, Wp,
    rstd_a, ahat, a, q, k, v, p, c, rstd_m, mhat, m, f, s, h, dy,
):
    # y = x2 + h @ Wp + bp
    # [n, T, 4E]; 2 min, easy
    dh = None

    # y = x2 + h @ Wp + bp
    # [4E, E]; 2 min, easy
    dWp = None

    # y = x2 + h @ Wp + bp
    # [E]; 2 min, easy
    dbp = None

    # [n, T, 4E]; 20 min, hard
    df = None

    # f = m @ Wf + bf
    # [E, 4E]; 2 min, easy
    dWf = None

    # f = m @ Wf + bf
    # [4E]; 2 min, easy
    dbf = None

    # f = m @ Wf + bf
    # [n, T, E]; 2 min, easy
    dm = None

    # m = gamma_m * mhat + beta_m
    # [E]; 2 min, easy
    dgamma_m = None

    # m = gamma_m * mhat + beta_m
    # [E]; 2 min, easy
    dbeta_m = None

    # m = gamma_m * mhat + beta_m
    # [n, T, E]; 2 min, easy
    dmhat = None

    # [n, T, E]; 15 min, hard
    dx2 = None

    # x2 = x + c @ Wo + bo
    # [n, T, E]; 2 min, easy
    dc = None

    # x2 = x + c @ Wo + bo
    # [E, E]; 2 min, easy
    dWo = None

    # x2 = x + c @ Wo + bo
    # [E]; 2 min, easy
    dbo = None

    # c = o.swapaxes(1, 2).reshape(n, T, E)
    # [n, H, T, K]; 5 min, medium
    do = None

    # o = p @ v
    # [n, H, T, T]; 3 min, medium
    dp = None

    # o = p @ v
    # [n, H, T, K]; 3 min, medium
    dv = None

    # [n, H, T, T]; 5 min, medium
    dz = None

    # z = q @ k.mT / K**0.5
    # [n, H, T, K]; 3 min, medium
    dq = None

    # z = q @ k.mT / K**0.5
    # [n, H, T, K]; 3 min, medium
    dk = None

    # q = qkv[:, :, :E].reshape(n, T, H, K).swapaxes(1, 2)
    # k = qkv[:, :, E : 2 * E].reshape(n, T, H, K).swapaxes(1, 2)
    # v = qkv[:, :, 2 * E :].reshape(n, T, H, K).swapaxes(1, 2)
    # [n, T, 3E]; 10 min, hard
    dqkv = None

    # qkv = a @ Wqkv + bqkv
    # [E, 3E]; 2 min, easy
    dWqkv = None

    # qkv = a @ Wqkv + bqkv
    # [3E]; 2 min, easy
    dbqkv = None

    # qkv = a @ Wqkv + bqkv
    # [n, T, E]; 2 min, easy
    da = None

    # a = gamma_a * ahat + beta_a
    # [E]; 2 min, easy
    dgamma_a = None

    # a = gamma_a * ahat + beta_a
    # [E]; 2 min, easy
    dbeta_a = None

    # a = gamma_a * ahat + beta_a
    # [n, T, E]; 2 min, easy
    dahat = None

    # [n, T, E]; 5 min, medium
    dx = None

    return (
        dx, dgamma_a, dbeta_a, dWqkv, dbqkv, dWo, dbo, dgamma_m, dbeta_m, dWf, dbf, dWp,
        dbp,
    )

# %%
report8 = workbook.check(8, backward)
report8

# %% [markdown]
# ### Your backward trains a transformer
#
# Once it is right, your function computes the gradient of every block in training, and a
# check proves that no automatic differentiation took part. A thousand steps take about
# half a minute; at the end the network makes up names.

# %%
if report8.ok:
    route = workbook.save(backward, "exercise8.py")
    of_blocks = dict(model='transformer', route=route, steps=1_000)
    config = jaxninja.TrainConfig(**of_blocks)
    run = jaxninja.train(config, progress=Lines(print))
    print("\n".join(summary(run)))

# %% [markdown]
# ### What it costs
#
# Forward and backward pass, compiled as one, next to `jax.grad`: floating-point
# operations, what the forward pass keeps for the backward pass, temporary memory, time.

# %%
if report8.ok:
    print(workbook.cost(8, backward))

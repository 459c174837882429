"""What the notebooks say between the exercises, and the code of their first cells."""

COLAB = """
[![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/#upload=true)
Upload this notebook there. Its first code installs jaxninja, from where `SOURCE` says.
"""

INTRODUCTION = """
# The workbook of "Becoming a Backprop Ninja"

The lecture says: work through the exercise yourself. Here is where. Fill the gaps, the
`None`s, and run the cell below each exercise: the check goes backwards, from the loss
to the embedding, and stops at the first gradient that is wrong. Each gradient is
checked twice, given the true gradients before it and with your own, so a mistake is
told from one that it inherited.

Stuck? `workbook.hint("1.logprobs")` in a cell of your own tells a little, and a little
more each time: the shape, the rule, the formula, one line, the solution. And
`workbook.why("1.logprobs")` has the derivation in words, once it is right.

The checker starts in the background with the first cell, and a check takes less than a
second. Your function runs in a process of its own and can lean on `jax`, `jnp`, `np`
and what its own cell makes: imports, functions of yours.
The times of the chapters are the lecture's own. Within a chapter a time is interpolated
by the words spoken so far, and good to a minute or two.

The same exercises as files: `jaxninja exercise start`, and `jaxninja exercise watch`.
"""

LAYERS = """
# Backprop by hand, after the lecture

Layer normalisation, a GRU through three steps of time, causal self-attention, a whole
transformer block. As in [the lecture's workbook](workbook.ipynb): fill the gaps, the
`None`s, and run the cell below each exercise. The check goes backwards and stops at the
first gradient that is wrong.

The gradient of the output is given here, dy: what would come from the layers above.
Stuck? `workbook.hint("5.gamma")` in a cell of your own tells a little, and a little
more each time; `workbook.why("5.gamma")` has the derivation, once it is right.

The same exercises as files: `jaxninja exercise start`, and `jaxninja exercise watch`.
"""

BLOCKS = """
### Your backward trains a transformer

Once it is right: your function becomes the gradient of every block, and it is proved
that no automatic differentiation took part. A thousand steps, in half a minute or so;
the names at the end are its own.
"""

GRAPH = """
## The graph

Seven parameters and twenty named steps. A gradient flows against the arrows, and comes
from every array that an arrow leads to: two arrows out, two branches to add up.
"""

CMP = """
### Any gradient, by name

PyTorch keeps the gradient of an intermediate with `retain_grad`; JAX has no such thing.
`jaxninja.retain_grads` gives the gradient of every array that a function names with
`jax.ad_checkpoint.checkpoint_name`: the reference of exercise 1 is made with it. And
`jaxninja.cmp` is the lecture's line, but it refuses what the lecture's broadcasts.
Below: a gradient rounded to bfloat16, and one without its axis of length 1.
"""

ZERO = """
### Why db1 is zero

b1 moves a whole column of hprebn by one number, and batchnorm takes the mean of each
column away: no b1 can change the loss. What is left is rounding. A check that asks only
for "about zero" would pass any small number; this one also puts a random gradient in at
hprebn, where db1 is not zero.

A batch of one: its variance is 0/0 with Bessel's correction, and everything after that
is not a number. The checks take a batch of two.
"""

FORCES = """
### Pushes and pulls

dlogits as forces: the right character is pulled up, the others are pushed down, each by
its probability. The forces on a row sum to zero.
"""

BESSEL = """
## Digression: which variance? (1:05:17)

The biased estimate divides by n and comes out (n - 1)/n too small on average, the
unbiased one divides by n - 1. The paper normalises with the biased one in training and
with the unbiased one at inference, and so does PyTorch; the lecture takes the unbiased
one for both. The numbers: one column of a batch of 32, and averages over many batches.
"""

TRAIN = """
### Your backward trains the network

Once it is right: your function becomes the gradient of a training run. It is proved
that no automatic differentiation took part, by the names of the equations that JAX
traced. On the lecture's own data the full run is
`jaxninja train --route exercise4.py --data makemore`; the lecture ends at train 2.0705,
val 2.1099.
"""

COST = """
### What it costs

Forward and backward compiled as one, beside `jax.grad`: floating-point operations, what
is kept from the forward pass for the backward one, temporary memory, time.
"""

IMPORTS = """\
import jax
import jax.numpy as jnp
import numpy as np
from IPython.display import Image

import jaxninja
from jaxninja import workbook
from jaxninja.cli.train import summary
"""
INSTALL = """\
# Where jaxninja is not installed, as on Colab: a release, a wheel's path or git+https://...
import importlib.util
import subprocess
import sys

SOURCE = "jaxninja"
if importlib.util.find_spec("jaxninja") is None:
    subprocess.run([sys.executable, "-m", "pip", "install", SOURCE], check=True)"""

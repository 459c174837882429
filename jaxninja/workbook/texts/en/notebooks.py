"""What the notebooks say between the exercises, and the code of their first cells."""

COLAB = """
[![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/#upload=true)
Upload this notebook there. Its first code installs jaxninja, from where `SOURCE` says.
"""

INTRODUCTION = """
# The workbook of "Becoming a Backprop Ninja"

The lecture says: work through the exercises yourself. You can do that here. Replace
each `None` by a gradient, and run the cell below the exercise. The check goes
backwards, from the loss to the embedding, and stops at the first wrong gradient. It
checks each gradient twice: once with the true gradients before it, and once with your
own. So it can say whether the mistake is in this line or comes from an earlier one.

Stuck? Call `workbook.hint("1.logprobs")` in a new cell. Each call shows a little more:
the shape, the rule, the formula, one line, the solution. Once the gradient is right,
`workbook.why("1.logprobs")` explains why.

The checker starts in the background with the first cell, and a check takes less than a
second. Your function runs in its own process. It can use `jax`, `jnp`, `np` and what
its own cell defines: imports, and functions of yours.

The times of the chapters are those of the lecture. Within a chapter the times are
estimates, good to a minute or two.

The same exercises as files: `jaxninja exercise start`, and `jaxninja exercise watch`.
"""

LAYERS = """
# Backprop by hand, after the lecture

Layer normalisation, a GRU through three steps of time, causal self-attention, and a
whole transformer block. As in [the lecture's workbook](workbook.ipynb), replace each
`None` by a gradient, and run the cell below the exercise. The check goes backwards and
stops at the first wrong gradient.

The gradient of the output, dy, is given: it would come from the layers above. Stuck?
Call `workbook.hint("5.gamma")` in a new cell; each call shows a little more. Once the
gradient is right, `workbook.why("5.gamma")` explains why.

The same exercises as files: `jaxninja exercise start`, and `jaxninja exercise watch`.
"""

BLOCKS = """
### Your backward trains a transformer

Once it is right, your function computes the gradient of every block in training, and a
check proves that no automatic differentiation took part. A thousand steps take about
half a minute; at the end the network makes up names.
"""

GRAPH = """
## The graph

Seven parameters and twenty named steps. Gradients flow against the arrows. An array
with two arrows out gets a gradient along each of them: two branches, to be added.
"""

CMP = """
### Any gradient, by name

PyTorch keeps the gradient of an intermediate with `retain_grad`; JAX has no such thing.
`jaxninja.retain_grads` gives the gradient of every array that a function names with
`jax.ad_checkpoint.checkpoint_name`; the true gradients of exercise 1 come from it.
`jaxninja.cmp` prints the lecture's line, but it does not broadcast.
Below: a gradient rounded to bfloat16, and one without its axis of length 1.
"""

ZERO = """
### Why db1 is zero

b1 adds one number to a whole column of hprebn, and batchnorm subtracts the mean of each
column. So no b1 can change the loss, and db1 is zero but for rounding. A check that
asks only for "about zero" would accept any small number. This one also puts a random
gradient in at hprebn, where db1 is not zero.

With a batch of one the variance is 0/0, because of Bessel's correction, and everything
after it is NaN. So the smallest batch of the checks has two examples.
"""

FORCES = """
### Pushes and pulls

dlogits as forces: the right character is pulled up, and the others are pushed down,
each by its probability. The forces on a row sum to zero.
"""

BESSEL = """
## Digression: which variance? (1:05:17)

The biased estimate divides by n: on average it is (n - 1)/n times the true variance.
The unbiased one divides by n - 1. The paper normalises with the biased one in training
and with the unbiased one at inference, and so does PyTorch; the lecture uses the
unbiased one for both. The numbers below are for one column of a batch of 32, and
averages over many batches.
"""

TRAIN = """
### Your backward trains the network

Once it is right, your function computes the gradients of a training run. A check of the
equations that JAX traced proves that no automatic differentiation took part. On the
lecture's own data the full run is
`jaxninja train --route exercise4.py --data makemore`; the lecture ends at train 2.0705,
val 2.1099.
"""

COST = """
### What it costs

Forward and backward pass, compiled as one, next to `jax.grad`: floating-point
operations, what the forward pass keeps for the backward pass, temporary memory, time.
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

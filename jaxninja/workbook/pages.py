"""The notebooks, made of the same solutions as the exercises: percent format, .ipynb.

`python -m jaxninja.workbook.pages FOLDER` writes workbook (the lecture's exercises) and
workbook_layers (the later ones) there; a test holds the committed ones to it.
"""

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from jaxninja.workbook.exercise import Exercise
from jaxninja.workbook.exercises import EXERCISES
from jaxninja.workbook.templates import template

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
second. Your function runs in a process of its own and can lean on `jax`, `jnp` and `np`
only.
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


def percent(cells: Iterator[str]) -> str:
    """A notebook in percent format."""
    return "\n\n".join(cells).rstrip() + "\n"


def _opening(introduction: str, imports: str) -> Iterator[str]:
    """What it is, where to install it, and what the later cells need."""
    yield _text(introduction + COLAB)
    yield _code(INSTALL)
    yield _code(IMPORTS + imports)


def layers() -> Iterator[str]:
    """The cells of what comes after the lecture."""
    yield from _opening(
        LAYERS,
        "from jaxninja.plots import png\n"
        "from jaxninja.training.progress import Lines\n"
        "from jaxninja.workbook import pictures\n"
        "from jaxninja.workbook.exercises import EXERCISES",
    )
    for number in (5, 6, 7, 8):
        head, *cells = _exercise(number)
        yield head
        yield _code(f"Image(png(pictures.graph(EXERCISES[{number}].network)))")
        yield from cells
    yield _text(BLOCKS)
    yield _code(
        "if report8.ok:\n"
        '    route = workbook.save(backward, "exercise8.py")\n'
        "    of_blocks = dict(model='transformer', route=route, steps=1_000)\n"
        "    config = jaxninja.TrainConfig(**of_blocks)\n"
        "    run = jaxninja.train(config, progress=Lines(print))\n"
        '    print("\\n".join(summary(run)))'
    )
    yield _text(COST)
    yield _code("if report8.ok:\n    print(workbook.cost(8, backward))")


def lecture() -> Iterator[str]:
    """The cells of the lecture's exercises."""
    yield from _opening(
        INTRODUCTION,
        "from jaxninja.plots import exercises as figures\n"
        "from jaxninja.plots import png\n"
        "from jaxninja.training.progress import Lines\n"
        "from jaxninja.workbook import bessel, pictures\n\n"
        "sample = workbook.lecture_sample()",
    )
    yield _text(GRAPH)
    yield _code("Image(png(pictures.graph(sample.network)))")
    yield from _exercise(1)
    yield _text(CMP)
    yield _code(
        "from jaxninja.models import atomic\n\n"
        "params = {name: sample.values[name] for name in atomic.PARAMETERS}\n"
        'Xb, Yb = sample.values["Xb"], sample.values["Yb"]\n\n\n'
        "def network_loss(params):\n"
        '    return atomic.forward(params, Xb, Yb)["loss"]\n\n\n'
        "loss, grads = jax.jit(jaxninja.retain_grads(network_loss))(params)\n"
        'rounded = grads["h"].astype("bfloat16").astype("float32")\n'
        'print(jaxninja.cmp("h", rounded, grads["h"]))\n'
        'print(jaxninja.cmp("bnmeani", grads["bnmeani"][0], grads["bnmeani"]))'
    )
    yield _text(ZERO)
    yield _code(
        'print("largest |db1|    ", jnp.abs(grads["b1"]).max())\n'
        'print("largest |dbnbias|", jnp.abs(grads["bnbias"]).max())\n'
        "one = jax.jit(atomic.forward)(params, Xb[:1], Yb[:1])\n"
        'print("a batch of one:  ", one["bnvar"][0, :3], one["loss"])'
    )
    yield from _exercise(2)
    yield _text(FORCES)
    yield _code(
        'symbols = ".abcdefghijklmnopqrstuvwxyz"\n'
        'Image(png(figures.forces(grads["logits"], Yb, symbols)))'
    )
    yield _text(BESSEL)
    yield _code(
        'for convention in bessel.conventions(sample.values["hprebn"][:, 0]):\n'
        "    print(convention)\n"
        "for n in (2, 32):\n"
        "    biased, unbiased = bessel.averages(n)\n"
        '    print(f"n = {n}: biased {biased:.4f}, unbiased {unbiased:.4f}, true 1")'
    )
    yield from _exercise(3)
    yield from _exercise(4)
    yield _text(TRAIN)
    yield _code(
        "if report4.ok:\n"
        '    route = workbook.save(backward, "exercise4.py")\n'
        "    config = jaxninja.TrainConfig(route=route, steps=20_000)\n"
        "    run = jaxninja.train(config, progress=Lines(print))\n"
        '    print("\\n".join(summary(run)))'
    )
    yield _text(COST)
    yield _code("if report4.ok:\n    print(workbook.cost(4, backward))")


def _exercise(number: int) -> Iterator[str]:
    """Docstring, function with gaps and check of one exercise."""
    exercise = EXERCISES[number]
    title, text = _docstring(exercise)
    yield _text(f"## {title}\n\n{text}")
    yield _code(_function(exercise))
    yield _code(f"report{number} = workbook.check({number}, backward)\nreport{number}")


def _docstring(exercise: Exercise) -> tuple[str, str]:
    whole = ast.get_docstring(ast.parse(exercise.solution)) or ""
    title, _, text = whole.partition("\n\n")
    return title.rstrip("."), text


def _function(exercise: Exercise) -> str:
    """The template without its docstring and imports."""
    text = template(exercise)
    start = text.index("def backward")
    return text[start:].rstrip()


def _text(text: str) -> str:
    shown = re.sub(r"\w*<\w+>", r"`\g<0>`", text)  # d<name>, which HTML would swallow
    lines = (f"# {line}".rstrip() for line in shown.strip().splitlines())
    return "# %% [markdown]\n" + "\n".join(lines)


def _code(text: str) -> str:
    return "# %%\n" + text


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
HEADER = """\
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

"""


def write(folder: str | Path) -> None:
    """Write both notebooks, each as .py and .ipynb."""
    import jupytext

    for name, cells in {"workbook": lecture(), "workbook_layers": layers()}.items():
        text = HEADER + percent(cells)
        (Path(folder) / f"{name}.py").write_text(text, encoding="utf-8")
        notebook = jupytext.reads(text, fmt="py:percent")
        for k, cell in enumerate(notebook.cells):
            cell["id"] = f"cell-{k}"  # the same each time
        jupytext.write(notebook, Path(folder) / f"{name}.ipynb")


if __name__ == "__main__":
    write(sys.argv[1])

"""Ten AdamW steps of GPT-2 by hand beside PyTorch's, from the same weights.

    python -m experiments.gpt2.ten_steps [--size gpt2] [--batch 4] [--tokens 64]

Weights drawn as nanoGPT draws them, random tokens, AdamW 1e-4 with decay 0.01 on the
matrices, float32. First the gradients: the largest difference from PyTorch's, as a
share of the largest entry, over all parameters.
"""

import argparse
from functools import partial

import jax
import numpy as np
import optax
import torch

from experiments.gpt2 import torch_model
from jaxninja.models import gpt2
from jaxninja.models.by_hand import gpt2 as by_hand

STEPS, LR, DECAY = 10, 1e-4, 0.01


def by_hand_losses(params, ids, labels, model):
    """The losses before each step, and the first gradients."""
    matrices = {name: name in gpt2.MATRICES for name in params}
    update = optax.adamw(LR, weight_decay=DECAY, mask=matrices)

    @partial(jax.jit, donate_argnums=(0, 1))
    def step(params, state):
        (loss, _), grads = by_hand.value_and_grad(params, ids, labels, model)
        moves, state = update.update(grads, state, params)
        return optax.apply_updates(params, moves), state, loss

    value_and_grad = jax.jit(partial(by_hand.value_and_grad, model=model))
    first = jax.tree.map(np.asarray, value_and_grad(params, ids, labels)[1])
    state, losses = update.init(params), []
    for _ in range(STEPS):
        params, state, loss = step(params, state)
        losses.append(float(loss))
    return losses, first


def torch_losses(tensors, ids, labels, model):
    x, y = (torch.tensor(np.array(a)) for a in (ids, labels))
    update = torch_model.adamw(tensors, gpt2.MATRICES, LR, DECAY)
    losses, first = [], {}
    for _ in range(STEPS):
        update.zero_grad()
        loss = torch_model.loss(tensors, x, y, model.heads, fused=True)
        loss.backward()
        first = first or {name: t.grad.numpy().copy() for name, t in tensors.items()}
        update.step()
        losses.append(loss.item())
    return losses, first


def apart(grads, truth):
    """The largest difference as a share of the largest entry, and whose it is."""
    found = {n: abs(grads[n] - t).max() / abs(t).max() for n, t in truth.items()}
    return max((float(d), name) for name, d in found.items())


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--size", default="gpt2", choices=gpt2.SIZES)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--tokens", type=int, default=64)
    options = parser.parse_args()
    model = gpt2.SIZES[options.size]
    keys = jax.random.split(jax.random.key(42), 3)
    params = gpt2.init(keys[0], model)
    shape = options.batch, options.tokens
    ids, labels = (
        jax.random.randint(key, shape, 0, model.vocabulary) for key in keys[1:]
    )
    tensors = torch_model.tensors(params)
    mine, first = by_hand_losses(params, ids, labels, model)
    theirs, truth = torch_losses(tensors, ids, labels, model)
    print(
        "gradients apart by {:.1e} of the largest entry, {}".format(
            *apart(first, truth)
        )
    )
    print("\n| step | by hand | PyTorch | apart |\n|---|---:|---:|---:|")
    for step, (a, b) in enumerate(zip(mine, theirs, strict=True)):
        print(f"| {step} | {a:.6f} | {b:.6f} | {a - b:+.1e} |")
    print(f"\nlosses apart by {max(abs(np.subtract(mine, theirs))):.1e} at most")


if __name__ == "__main__":
    main()

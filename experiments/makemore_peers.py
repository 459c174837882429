"""makemore's models trained by PyTorch: from the same start, on the same batches.

    python -m experiments.makemore_peers [--models gru lstm transformer] [--steps 10000]

PyTorch's autograd and its AdamW, on the CPU, beside what the hand routes reach in
`experiments.makemore`. The losses at the end are computed by the same function for
both: what differs is who derives the gradients and who takes the step. Needs PyTorch.
"""

import argparse
import time
from functools import partial

import jax
import numpy as np
import torch

from experiments.benchmarks import makemore_torch
from experiments.makemore import config
from jaxninja.training import evaluation
from jaxninja.training.examples import dataset_of, extent
from jaxninja.training.steps.batches import feed
from jaxninja.training.steps.state import init_state

MODELS = ("bigram", "mlp", "bow", "rnn", "gru", "lstm", "transformer")
HEAD = "| model | steps | processor s | train | test |\n|---|---:|---:|---:|---:|"


def trained(name: str, data: str, steps: int) -> tuple[float, dict[str, float]]:
    """Seconds of processor time, and the loss of each part at the end."""
    wanted, _, _ = extent(config(name, data, "runs", steps))
    dataset = dataset_of(wanted)
    model = wanted.network(len(dataset.vocabulary))
    items = feed(wanted, dataset)(0)
    batch = jax.jit(lambda step: items.batch(wanted, step))
    start = init_state(wanted, model).params
    p = {k: torch.tensor(np.array(v)).requires_grad_() for k, v in start.items()}
    betas, decay = (0.9, wanted.beta2), wanted.weight_decay
    tx = torch.optim.AdamW(p.values(), wanted.lr, betas, weight_decay=decay)
    begun = time.process_time()
    for step in range(steps):
        ids, labels = (torch.tensor(np.array(a), dtype=torch.long) for a in batch(step))
        tx.zero_grad()
        loss = makemore_torch.loss(name, p, ids, labels, model)
        loss.backward()
        tx.step()
        if (step + 1) % 1_000 == 0:
            print(f"{name} step {step + 1:,}/{steps:,} loss {loss:.4f}", flush=True)
    seconds = time.process_time() - begun
    params = {k: jax.numpy.asarray(v.detach().numpy()) for k, v in p.items()}
    of = partial(evaluation.mean_loss, params, {}, model=model)
    return seconds, {part: of(*dataset.parts[part]) for part in ("train", "test")}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", default="makemore")
    parser.add_argument("--steps", type=int, default=10_000)
    parser.add_argument("--models", nargs="+", choices=MODELS, default=MODELS)
    options = parser.parse_args()
    rows = [HEAD]
    for name in options.models:
        seconds, losses = trained(name, options.data, options.steps)
        shown = " | ".join(f"{loss:.4f}" for loss in losses.values())
        rows.append(f"| `{name}` | {options.steps:,} | {seconds:.0f} | {shown} |")
    print("\n".join(rows))


if __name__ == "__main__":
    main()

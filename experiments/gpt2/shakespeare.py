"""nanoGPT's character model of tiny Shakespeare, by every route and by PyTorch.

    python -m experiments.gpt2.shakespeare [--data tinyshakespeare] [--steps 2000]
        [--routes network rules autodiff] [--torch]

The sizes that nanoGPT's README gives for a CPU: 4 layers, 4 heads, 128 wide, 64
characters, 12 sequences a step; AdamW with warm-up, cosine, clipping and decay on the
matrices. Its README tells of a validation loss of 1.88 in about 3 minutes. Each route
is a run of `jaxninja train`; `--torch` trains PyTorch's model on the same batches from
the same weights. The losses are over all of the validation part. Seconds are those of
the clock and of the processor, compiling and evaluation left out.
"""

import argparse
import sys
import tempfile
import time
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

import jaxninja
from jaxninja import TrainConfig
from jaxninja.errors import UserError
from jaxninja.models import gpt2
from jaxninja.training import steps
from jaxninja.training.evaluation import mean_loss
from jaxninja.training.examples import dataset_of
from jaxninja.training.optimizers import schedule
from jaxninja.training.progress import Progress

ROUTES = ("network", "rules", "autodiff")


class Processor(Progress):
    """Processor time of all steps, told from all but those of the last call, which an
    evaluation follows before it is told of."""

    def __init__(self):
        self.before = self.seconds = 0.0
        self.steps = 0

    def start(self, step, steps):
        self.before, self.steps = time.process_time(), steps

    def update(self, step, loss, rate):
        if step < self.steps:
            spent = time.process_time() - self.before
            self.seconds = spent * self.steps / step


def config(data, count, route, runs):
    return TrainConfig(
        model="gpt2",
        data=data,
        tokenizer="char",
        route=route,
        runs=runs,
        name=route,
        steps=count,
        context=64,
        layers=4,
        heads=4,
        embedding=128,
        batch_size=12,
        lr=1e-3,
        warmup=min(100, count // 2),
        log_every=count,
        eval_every=count,
        checkpoint_every=count,
        keep_best=False,
        diagnose=0,
        samples=0,
    )


def by_route(given):
    """Validation loss, seconds of the clock and of the processor."""
    processor = Processor()
    run = jaxninja.train(given, progress=processor)
    return run.result["val_loss"], run.result["seconds"], processor.seconds


def by_torch(given):
    import torch

    from experiments.gpt2 import torch_model

    dataset = dataset_of(given)
    model = given.network(len(dataset.vocabulary))
    params = steps.init_state(given, model).params
    tensors = torch_model.tensors(params)
    betas = 0.9, given.beta2
    update = torch_model.adamw(
        tensors, gpt2.MATRICES, given.lr, given.weight_decay, betas
    )
    rates = jax.vmap(schedule(given))(jnp.arange(given.steps)).tolist()
    clock, processor = time.perf_counter(), time.process_time()
    for step, rate in enumerate(rates):
        rows = dataset.batches(given.seed, step, 1, given.batch_size)[0]
        rows = torch.from_numpy(rows.astype(np.int64))
        for group in update.param_groups:
            group["lr"] = rate
        update.zero_grad()
        ids, labels = rows[:, :-1], rows[:, 1:]
        torch_model.loss(tensors, ids, labels, model.heads, fused=True).backward()
        torch.nn.utils.clip_grad_norm_(tensors.values(), given.clip)
        update.step()
    seconds = time.perf_counter() - clock, time.process_time() - processor
    trained = {name: jnp.array(t.detach().numpy()) for name, t in tensors.items()}
    return mean_loss(trained, {}, *dataset.val, model), *seconds


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", default="tinyshakespeare")
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--torch", action="store_true")
    parser.add_argument("--routes", nargs="*", default=ROUTES, choices=ROUTES)
    given = parser.parse_args()
    print("| route | val loss | s | s of the processor |\n|---|---:|---:|---:|")
    with tempfile.TemporaryDirectory() as runs:
        made = partial(config, given.data, given.steps, runs=runs)
        ways = {route: (by_route, route) for route in given.routes}
        ways |= {"PyTorch, eager": (by_torch, "network")} if given.torch else {}
        for name, (train, route) in ways.items():
            try:
                loss, clock, processor = train(made(route))
            except UserError as error:
                sys.exit(f"shakespeare: {error}")
            print(
                f"| {name} | {loss:.4f} | {clock:.0f} | {processor:.0f} |", flush=True
            )


if __name__ == "__main__":
    main()

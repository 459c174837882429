"""nanoGPT's character model of tiny Shakespeare, by any route.

    python -m experiments.gpt2.shakespeare [--data tinyshakespeare] [--steps 2000]
        [--routes network rules autodiff] [--torch]

The sizes that nanoGPT's README gives for a CPU: 4 layers, 4 heads, 128 wide, 64
characters, 12 sequences a step; AdamW with warm-up, cosine, clipping and decay on the
matrices. Its README tells of a validation loss of 1.88 in about 3 minutes. Ours is over
all of the validation part. `--data FILE` takes any text; `--torch` trains PyTorch's on
the same batches from the same weights.
"""

import argparse
import sys
import time
from functools import partial

import jax
import jax.numpy as jnp
import optax

from jaxninja.data import corpus
from jaxninja.errors import UserError
from jaxninja.models import gpt2, routes
from jaxninja.models.gpt2 import Gpt2

BATCH, CONTEXT, WARMUP = 12, 64, 100
PEAK, LAST, DECAY, CLIP, BETAS = 1e-3, 1e-4, 0.1, 1.0, (0.9, 0.99)


def schedule(steps):
    return optax.warmup_cosine_decay_schedule(0.0, PEAK, WARMUP, steps, LAST)


def optimizer(steps):
    matrices = {name: name in gpt2.MATRICES for name in gpt2.table(Gpt2())}
    adamw = optax.adamw(schedule(steps), *BETAS, weight_decay=DECAY, mask=matrices)
    return optax.chain(optax.clip_by_global_norm(CLIP), adamw)


def trained(route, model, params, batches, steps):
    """Parameters after a step on each batch."""
    update = optimizer(steps)
    value_and_grad = routes.value_and_grad(route, model)

    @partial(jax.jit, donate_argnums=(0, 1))
    def step(params, state, ids, labels):
        (loss, _), grads = value_and_grad(params, ids, labels)
        moves, state = update.update(grads, state, params)
        return optax.apply_updates(params, moves), state, loss

    state = update.init(params)
    for ids, labels in batches:
        params, state, _ = step(params, state, ids, labels)
    return params


def torch_trained(model, params, batches, steps):
    import torch

    from experiments.gpt2 import torch_model

    tensors = torch_model.tensors(params)
    update = torch_model.adamw(tensors, gpt2.MATRICES, PEAK, DECAY, BETAS)
    rate = schedule(steps)
    for n, (ids, labels) in enumerate(batches):
        for group in update.param_groups:
            group["lr"] = float(rate(n))
        update.zero_grad()
        x, y = torch.tensor(ids), torch.tensor(labels)
        torch_model.loss(tensors, x, y, model.heads, fused=True).backward()
        torch.nn.utils.clip_grad_norm_(tensors.values(), CLIP)
        update.step()
    return {name: jnp.array(t.detach().numpy()) for name, t in tensors.items()}


def validation(params, model, tokens, rows=256):
    """Mean loss over all of the tokens, in blocks of rows."""
    ids, labels = corpus.windows(tokens, model.context)
    loss = jax.jit(partial(gpt2.loss, model=model))
    total = 0.0
    for start in range(0, len(ids), rows):
        part = slice(start, start + rows)
        count = (labels[part] >= 0).sum()
        total += float(loss(params, ids[part], labels[part])[0]) * count
    return total / (labels >= 0).sum()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", default="tinyshakespeare")
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--torch", action="store_true")
    known = ("network", "rules", "autodiff")
    parser.add_argument("--routes", nargs="*", default=known, choices=known)
    options = parser.parse_args()
    try:
        text = corpus.load_corpus(options.data, "char")
        text.check(CONTEXT)
    except UserError as error:
        sys.exit(f"shakespeare: {error}")
    model = Gpt2(text.tokenizer.vocabulary, CONTEXT, 4, 4, 128)
    batches = [
        corpus.batch(text.train, options.seed, n, BATCH, CONTEXT)
        for n in range(options.steps)
    ]
    runs = {name: partial(trained, name) for name in options.routes}
    if options.torch:
        runs["PyTorch"] = torch_trained
    for name, run in runs.items():
        params = gpt2.init(jax.random.key(options.seed), model)
        if name == next(iter(runs)):
            print(f"before: {validation(params, model, text.val):.4f}")
        start = time.perf_counter()
        params = jax.block_until_ready(run(model, params, batches, options.steps))
        seconds = time.perf_counter() - start
        loss = validation(params, model, text.val)
        print(f"  {name:10s} val {loss:.4f} in {seconds:.0f} s", flush=True)


if __name__ == "__main__":
    main()

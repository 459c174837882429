"""How fast are loss and gradient of GPT-2 by hand?

    taskset -c 0 python -m experiments.gpt2.speed [--rounds 5] [--width 256]
        [--layers 4] [--heads 4] [--tokens 1024] [--vocabulary 2048] [--batch 1]

float32 on one core: processor time, the least of rounds in which all take turns, as a
multiple of `jax.grad` of the plain form unrolled. PyTorch, eager and compiled, with its
fused attention, where it is installed. Then steps of training, AdamW with them: ours as
`jaxninja train` takes them, many in one program, PyTorch's with its fused AdamW.
"""

import argparse
import os
import time
from dataclasses import replace
from functools import partial

os.environ.setdefault(
    "XLA_FLAGS",
    "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1",
)

import jax
import numpy as np
import optax

from experiments.benchmarks.clock import least
from experiments.gpt2 import plain
from jaxninja.jaxpr import wide_vectors
from jaxninja.models import gpt2
from jaxninja.models.by_hand import gpt2 as by_hand
from jaxninja.models.gpt2 import Gpt2

try:
    import torch

    from experiments.gpt2 import torch_model
except ImportError:
    torch = None


def in_jax(model, forms):
    """Name -> function of params, ids and labels."""
    found = {
        f"jax.grad, {form}": jax.value_and_grad(
            partial(plain.loss, model=model, form=form)
        )
        for form in forms
    }
    for keep in gpt2.RESIDUALS:
        kept = replace(model, residuals=keep)
        found[f"by hand, {keep}"] = partial(by_hand.value_and_grad, model=kept)
    return found


def in_torch(params, ids, labels, model):
    """Name -> call; each clears the gradients first, as a step of training does."""
    ts = torch_model.tensors(params)
    x, y = (torch.tensor(np.asarray(a)) for a in (ids, labels))
    eager = partial(torch_model.loss, heads=model.heads, fused=True)

    def call(loss):
        for t in ts.values():
            t.grad = None
        loss(ts, x, y).backward()

    losses = {"eager": eager, "compiled": torch.compile(eager, dynamic=False)}
    return {f"PyTorch, {name}": partial(call, loss) for name, loss in losses.items()}


STEPS, LR, DECAY = 4, 1e-4, 0.01


def jax_steps(params, ids, labels, losses):
    """Name -> call that takes STEPS steps in one program and keeps what it has got."""
    matrices = {name: name in gpt2.MATRICES for name in params}
    update = optax.adamw(LR, weight_decay=DECAY, mask=matrices)

    def step(_, carry, loss):
        params, state = carry
        grads = loss(params, ids, labels)[1]
        moves, state = update.update(grads, state, params)
        return optax.apply_updates(params, moves), state

    def taken(loss):
        loop = partial(jax.lax.fori_loop, 0, STEPS, partial(step, loss=loss))
        program = jax.jit(loop, donate_argnums=0, compiler_options=wide_vectors())
        held = [jax.tree.map(jax.numpy.copy, (params, update.init(params)))]

        def call():
            held.append(jax.block_until_ready(program(held.pop())))

        return call

    return {name: taken(loss) for name, loss in losses.items()}


def torch_steps(params, ids, labels, model):
    """Name -> call that takes STEPS steps, each with the gradients it makes."""

    def taken(loss):
        ts = torch_model.tensors(params)
        x, y = (torch.tensor(np.asarray(a)) for a in (ids, labels))
        update = torch_model.adamw(ts, gpt2.MATRICES, LR, DECAY, fused=True)

        def call():
            for _ in range(STEPS):
                update.zero_grad()
                loss(ts, x, y).backward()
                update.step()

        return call

    eager = partial(torch_model.loss, heads=model.heads, fused=True)
    losses = {"eager": eager, "compiled": torch.compile(eager, dynamic=False)}
    return {f"PyTorch, {n}": taken(loss) for n, loss in losses.items()}


def options(description, batch):
    parser = argparse.ArgumentParser(description=description.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    sizes = {"width": 256, "layers": 4, "heads": 4, "tokens": 1024}
    for name, size in (sizes | {"vocabulary": 2048, "batch": batch}).items():
        parser.add_argument(f"--{name}", type=int, default=size)
    return parser


def model_and_arrays(given):
    """The model of these options, and (params, ids, labels)."""
    model = Gpt2(given.vocabulary, given.tokens, given.layers, given.heads, given.width)
    return model, example(model, given.batch, given.tokens)


def example(model, batch, tokens):
    keys = jax.random.split(jax.random.key(0), 3)
    ids, labels = (
        jax.random.randint(key, (batch, tokens), 0, model.vocabulary)
        for key in keys[1:]
    )
    return gpt2.init(keys[0], model), ids, labels


HEAD = (
    "| loss and gradient by | ms | of the first | MiB | compiled in, s |\n"
    "|---|---:|---:|---:|---:|"
)


def main():
    parser = options(__doc__, batch=1)
    parser.add_argument("--forms", nargs="*", default=plain.FORMS)
    given = parser.parse_args()
    model, arrays = model_and_arrays(given)
    calls, notes = {}, {}
    for name, f in in_jax(model, given.forms).items():
        start = time.process_time()
        program = jax.jit(f).lower(*arrays).compile()
        temporary = program.memory_analysis().temp_size_in_bytes / 2**20
        spent = time.process_time() - start
        notes[name] = f"{temporary:,.0f} | {spent:.1f}"
        calls[name] = lambda run=program: jax.block_until_ready(run(*arrays))
    if torch is not None:
        torch.set_num_threads(1)
        calls |= in_torch(*arrays, model)
    found = least(calls, given.rounds)
    base = next(iter(found.values()))
    print(HEAD)
    for name, value in found.items():
        times = f"{1e3 * value:.0f} | {value / base:.3f}"
        print(f"| {name} | {times} | {notes.get(name, ' | ')} |", flush=True)
    steps = jax_steps(*arrays, in_jax(model, plain.FORMS[:1]))
    if torch is not None:
        steps |= torch_steps(*arrays, model)
    table_of_steps(least(steps, given.rounds))


def table_of_steps(seconds):
    """Against the better of PyTorch's."""
    peers = [value for name, value in seconds.items() if name.startswith("PyTorch")]
    better = min(peers, default=float("nan"))
    print("\n| a step of training by | ms | of the better PyTorch |\n|---|---:|---:|")
    for name, value in seconds.items():
        print(f"| {name} | {1e3 * value / STEPS:.0f} | {value / better:.3f} |")


if __name__ == "__main__":
    main()

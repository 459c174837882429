"""Training steps of makemore's models: by hand, by autodiff, and in PyTorch.

    python -m experiments.benchmarks.models [--rounds 5] [--models rnn gru]

A step is loss, gradients and AdamW's update on a batch of 32 of the names, as
makemore.py takes them: rows of 16 places, padding included; windows of 8 for the
wavenet. Processor time on one core, in float32. Contenders take turns, and the least of
all rounds counts: other processes only ever add to it. STEPS batches, all different,
are one call of JAX.
"""

import argparse
import json
import os
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

os.environ.setdefault(
    "XLA_FLAGS",
    "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1",
)
if hasattr(os, "sched_setaffinity"):  # before JAX starts its threads
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax

from experiments.benchmarks.clock import least
from experiments.benchmarks.machine import about
from jaxninja.models import network, routes, transformer
from jaxninja.models.parts.sequences import mean_loss
from jaxninja.rules import autodiff

NAMES = Path(__file__).parents[2] / "data" / "names.txt"
RESULTS = Path(__file__).parent / "results" / "models" / "cpu.json"
MODELS = ("bigram", "mlp", "bow", "rnn", "gru", "lstm", "transformer", "wavenet")
STEPS, BATCH = 10, 32
BEST = "jax.grad"  # the measure of all others


def batches(model) -> tuple[np.ndarray, np.ndarray]:
    """STEPS batches: ids [STEPS, N, T] and labels [STEPS, N, T], or [STEPS, N]."""
    names = NAMES.read_text().split()
    draw, T = np.random.default_rng(0), model.context
    make = _row if network.reads_sequences(model) else _window
    pairs = [make(name, T, draw) for name in draw.choice(names, STEPS * BATCH)]
    ids, labels = (np.array(side, np.int32) for side in zip(*pairs, strict=True))
    return tuple(a.reshape(STEPS, BATCH, *a.shape[1:]) for a in (ids, labels))


def _symbols(name):
    return [ord(letter) - 96 for letter in name]


def _row(name, T, draw):
    symbols = _symbols(name)
    ids, labels = [0, *symbols], [*symbols, 0]
    rest = T - len(ids)
    return ids + rest * [0], labels + rest * [-1]


def _window(name, T, draw):
    symbols = [0] * T + _symbols(name) + [0]
    end = draw.integers(T, len(symbols))
    return symbols[end - T : end], symbols[end]


def adamw():
    return optax.adamw(5e-4, b1=0.9, b2=0.99, weight_decay=0.01)


def training(layout: routes.Layout) -> Callable:
    """STEPS steps in one loop, as the training loop runs them."""
    tx = adamw()

    def train(params, ids, labels):
        def step(state, examples):
            params, moments = state
            (loss, _), grads = layout.value_and_grad(params, *examples)
            updates, moments = tx.update(grads, moments, params)
            return (optax.apply_updates(params, updates), moments), loss

        laid_out = layout.lay_out(params)
        state, losses = lax.scan(step, (laid_out, tx.init(laid_out)), (ids, labels))
        return layout.lay_back(state[0]), losses

    return train


def contenders(model) -> dict[str, routes.Layout]:
    """Of JAX, by name."""
    ways = {
        BEST: routes.layout("autodiff", model),
        "rules": routes.layout("rules", model),
        "page by hand": routes.Layout(routes.value_and_grad("page", model)),
        "network by hand": routes.layout("network", model),
    }
    if isinstance(model, transformer.Transformer):
        ways["jax.grad, layers in a scan"] = _in_a_scan(model)
    return ways


def _in_a_scan(model) -> routes.Layout:
    """`jax.grad` through a scan of one block over stacked weights."""
    layers = range(1, model.layers + 1)

    def lay_out(p):
        of_blocks = {k: jnp.stack([p[f"{k}{n}"] for n in layers]) for k in LAYER}
        return {k: v for k, v in p.items() if k in ENDS} | of_blocks

    def loss(p, ids, labels):
        x = p["C"][ids] + p["P"][: ids.shape[1]]
        blocks = {k: p[k] for k in LAYER}
        x, _ = lax.scan(lambda x, w: (_block(x, w, model), None), x, blocks)
        last = autodiff.layernorm(x, p["gamma"], p["beta"], model.eps)
        return mean_loss(last @ p["W"], labels, autodiff), {}

    def lay_back(p):
        split = {f"{k}{n}": p[k][n - 1] for n in layers for k in LAYER}
        return {k: p[k] for k in ENDS} | split

    return routes.Layout(jax.value_and_grad(loss, has_aux=True), lay_out, lay_back)


LAYER, ENDS = transformer.LAYER, ("C", "P", "gamma", "beta", "W")


def _block(x, w, model):
    N, T, _ = x.shape
    a = autodiff.layernorm(x, w["gamma_a"], w["beta_a"], model.eps)
    qkv = jnp.split(a @ w["Wqkv"] + w["bqkv"], 3, -1)
    q, k, v = (part.reshape(N, T, model.heads, -1).swapaxes(1, 2) for part in qkv)
    z = q @ k.mT / q.shape[-1] ** 0.5
    z = jnp.where(jnp.tril(jnp.ones((T, T), bool)), z, -jnp.inf)
    y = (jax.nn.softmax(z, -1) @ v).swapaxes(1, 2).reshape(x.shape)
    x = x + y @ w["Wo"] + w["bo"]
    m = autodiff.layernorm(x, w["gamma_m"], w["beta_m"], model.eps)
    return x + jax.nn.gelu(m @ w["Wf"] + w["bf"]) @ w["Wp"] + w["bp"]


def in_torch(name, model, params, ids, labels) -> dict[str, Callable]:
    """STEPS steps of PyTorch, eager and compiled."""
    import torch

    from experiments.benchmarks import makemore_torch

    torch.set_num_threads(1)
    ids, labels = (torch.tensor(a, dtype=torch.long) for a in (ids, labels))

    def made(loss):
        p = {k: torch.tensor(np.asarray(v)).requires_grad_() for k, v in params.items()}
        tx = torch.optim.AdamW(p.values(), 5e-4, (0.9, 0.99), weight_decay=0.01)

        def run():
            for x, y in zip(ids, labels, strict=True):
                tx.zero_grad()
                loss(name, p, x, y, model).backward()
                tx.step()

        return run

    eager = makemore_torch.loss
    return {"PyTorch": made(eager), "torch.compile": made(torch.compile(eager))}


def measure(name: str, rounds: int) -> dict[str, float]:
    """Steps a second of processor time of each contender."""
    model = network.MODELS[name]()
    params = network.of(model).init(jax.random.key(0), model)
    ids, labels = map(jnp.asarray, batches(model))
    work, losses = {}, {}
    for way, layout in contenders(model).items():
        train = jax.jit(training(layout)).lower(params, ids, labels).compile()
        work[way] = lambda f=train: jax.block_until_ready(f(params, ids, labels))
        losses[way] = float(work[way]()[1][-1])
    assert np.ptp([*losses.values()]) < 1e-3, losses
    if find_spec("torch"):
        work |= in_torch(name, model, params, ids, labels)
    found = least(work, rounds, turn=0)  # a turn is one call
    return {way: STEPS / seconds for way, seconds in found.items()}


COLUMNS = {
    BEST: "`jax.grad`",
    "jax.grad, layers in a scan": "`jax.grad`, layers in a scan",
    "rules": "rules",
    "page by hand": "page by hand",
    "network by hand": "as it trains",
    "PyTorch": "PyTorch",
    "torch.compile": "`torch.compile`",
}
HEAD = f"| model | {' | '.join(COLUMNS.values())} |\n|---|{'---:|' * len(COLUMNS)}"


def row(model: str, speeds: dict[str, float]) -> str:
    """Steps a second by each contender, and in brackets over those of `jax.grad`."""
    shown = {way: f"{s:,.0f} ({s / speeds[BEST]:.2f})" for way, s in speeds.items()}
    shown[BEST] = f"{speeds[BEST]:,.0f}"
    return f"| {' | '.join([model, *(shown.get(way, '') for way in COLUMNS)])} |"


def report(results: dict) -> str:
    """The table of all rows that were written."""
    rows = [row(model, found["measured"]) for model, found in results.items()]
    return "\n".join([HEAD, *rows, ""])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--models", nargs="+", choices=MODELS, default=MODELS)
    parser.add_argument("--out", type=Path, default=RESULTS, help="JSON file")
    options = parser.parse_args()
    out: Path = options.out
    results = json.loads(out.read_text()) if out.exists() else {}
    print(HEAD)
    for name in options.models:
        measured = measure(name, options.rounds)
        results[name] = {"about": about(), "measured": measured}
        print(row(name, measured), flush=True)
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(json.dumps(results, indent=1) + "\n")
    out.with_suffix(".md").write_text(report(results))


if __name__ == "__main__":
    main()

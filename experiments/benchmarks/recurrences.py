"""Recurrences by hand, by `jax.grad` of a plain scan, and in PyTorch where installed.

    python -m experiments.benchmarks.recurrences [--rounds 9] [--rules gru lstm]

Processor time of forward and backward together on one core, in float32. Contenders take
turns, and the least of all rounds counts: other processes only ever add to it. Times
are ratios to that of `jax.grad`; beside them stand what waits between forward and
backward (residuals) and what XLA needs besides (temporaries).
"""

import argparse
import os
from collections.abc import Callable
from importlib.util import find_spec

if hasattr(os, "sched_setaffinity"):  # before JAX starts its threads
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})

import jax
import numpy as np
from jax import lax

from experiments.benchmarks.clock import least
from jaxninja.check.subject.residuals import bytes_of
from jaxninja.rules import RULES

TURN = 0.1  # seconds of processor time of a contender's turn
CELLS = {"rnn": "RNN", "gru": "GRU", "lstm": "LSTM"}  # and PyTorch's modules
SIZES = {
    name: ((16, 32, 64, 64), (64, 32, 256, 256), (256, 32, 64, 64)) for name in CELLS
}
SIZES["linear_recurrence"] = ((256, 8, 256), (2048, 8, 256))
RULE = {rule.name: rule for rule in RULES}


def contenders(name: str) -> dict[str, tuple[Callable, Callable]]:
    """Name -> the function, and its forward and backward pass for a cotangent."""
    rule = RULE[name]
    if name in CELLS:
        ways = {
            "jax.grad": lambda *a: rule.reference(*a),
            "by hand": lambda *a: rule.op(*a),
            "by hand, chunks of 16": lambda *a: rule.op(*a, 16),
        }
    else:
        ways = {
            "jax.grad": lambda *a: rule.reference(*a),
            "jax.grad, associative": _associative,
            "by hand": lambda *a: rule.op(*a),
        }
    return {way: (f, _both(f)) for way, f in ways.items()}


def _associative(a, x, h0):
    def join(first, second):
        return second[0] * first[0], second[0] * first[1] + second[1]

    return lax.associative_scan(join, (a, x.at[0].add(a[0] * h0)))[1]


def _both(f):
    def run(arrays, dy):
        y, pull = jax.vjp(f, *arrays)
        return y, pull(dy)

    return run


def measure(name: str, size: tuple[int, ...], rounds: int) -> list[tuple]:
    """Rows of contender, ratio, MiB of residuals and of temporaries."""
    arrays = RULE[name].example(jax.random.key(0), *size)
    y = jax.eval_shape(RULE[name].op, *arrays)
    draw = lambda a: jax.random.normal(jax.random.key(1), a.shape)  # noqa: E731
    dy = jax.tree.map(draw, y)
    work, memory = {}, {}
    for way, (f, both) in contenders(name).items():
        program = jax.jit(both).lower(arrays, dy).compile()
        work[way] = lambda p=program: jax.block_until_ready(p(arrays, dy))
        residuals = bytes_of(jax.eval_shape(lambda *a, f=f: jax.vjp(f, *a)[1], *arrays))
        memory[way] = residuals, program.memory_analysis().temp_size_in_bytes
    if name in CELLS and find_spec("torch"):
        work["PyTorch"] = _torch(name, arrays, dy)
    found = least(work, rounds, TURN)
    return [
        (way, t / found["jax.grad"], *memory.get(way, ())) for way, t in found.items()
    ]


def _torch(name, arrays, dy):
    """A run of PyTorch's module on the same numbers."""
    import torch

    torch.set_num_threads(1)
    to = lambda a: torch.tensor(np.asarray(a))  # noqa: E731
    states = 2 if name == "lstm" else 1
    x, *rest = map(to, arrays)
    Wx, Wh, *biases = rest[states:]
    module = getattr(torch.nn, CELLS[name])(x.shape[-1], len(Wh))
    bx, bh = biases if name == "gru" else (biases[0], 0 * biases[0])
    with torch.no_grad():
        for old, new in zip(module.parameters(), (Wx.T, Wh.T, bx, bh), strict=True):
            old.copy_(new)
    x.requires_grad_()
    state = [h[None].requires_grad_() for h in rest[:states]]
    cotangents = [*map(to, jax.tree.leaves(dy))]

    def run():
        module.zero_grad()
        x.grad = None
        y, last = module(x, tuple(state) if states == 2 else state[0])
        ends = [y, last[1][0]] if states == 2 else [y]
        torch.autograd.backward(ends, cotangents)

    return run


WAYS = ("by hand", "by hand, chunks of 16", "PyTorch", "jax.grad, associative")
HEAD = (
    f"| rule and size | {' | '.join(WAYS)} "
    f"| MiB kept by `jax.grad` | by hand | in chunks |\n|---{'|---:' * 7}|"
)


def row(case: str, measured: list[tuple]) -> str:
    """Times over that of `jax.grad`, and MiB of residuals."""
    times = {way: f"{time:.2f}" for way, time, *_ in measured}
    kept = {way: f"{memory[0] / 2**20:.1f}" for way, _, *memory in measured if memory}
    cells = [case, *(times.get(way, "") for way in WAYS)]
    cells += [kept.get(way, "") for way in ("jax.grad", *WAYS[:2])]
    return f"| {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--rules", nargs="+", choices=list(SIZES), default=list(SIZES))
    options = parser.parse_args()
    print(HEAD)
    for name in options.rules:
        for size in SIZES[name]:
            letters = ", ".join(map("{} {}".format, "TBDH", size))
            print(row(f"{name} {letters}", measure(name, size, options.rounds)))


if __name__ == "__main__":
    main()

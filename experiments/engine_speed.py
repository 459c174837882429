"""What does the engine cost? Its gradient against `jax.grad`'s, compiling, drawing.

    python -m experiments.engine_speed [--rounds 60]

The lecture's network, batch 32, forward left to the engine and to `jax.grad` (the plain
forward, and the one of hand-derived layers). Under `jit` both become one XLA program.
What is measured is processor time on one core, so that a machine with other work to do
gives the same ratios. The two take short turns, in another order each time; a ratio is
formed within a round and reported as median and middle half. Compiling is timed with
every cache of JAX cleared.
"""

import argparse
import os
import statistics
import time
from collections.abc import Callable
from functools import partial

if hasattr(os, "sched_setaffinity"):  # before JAX starts its threads
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})

import jax
import jax.numpy as jnp

from jaxninja.engine import backward, trace, value_and_grad
from jaxninja.models import ninja
from jaxninja.models.ninja import Ninja
from jaxninja.rules import autodiff, manual

CALLS = 200  # of a compiled gradient, in one round


def network(ops) -> tuple[Callable, tuple]:
    model = Ninja()
    key = jax.random.key(0)
    ids = jax.random.randint(key, (32, model.context), 0, model.vocabulary)
    labels = jax.random.randint(key, (32,), 0, model.vocabulary)
    loss = partial(ninja.loss, model=model, ops=ops)
    return loss, (ninja.init(key, model), ids, labels)


def seconds(f: Callable, *args) -> float:
    start = time.process_time()
    jax.block_until_ready(f(*args))
    return time.process_time() - start


def compiled(make: Callable, loss, args) -> tuple[Callable, float]:
    """The compiled gradient, and the seconds that tracing and compiling took."""
    jax.clear_caches()
    start = time.process_time()
    step = jax.jit(make(loss, has_aux=True)).lower(*args).compile()
    return step, time.process_time() - start


def repeat(step: Callable, args) -> None:
    for _ in range(CALLS):
        result = step(*args)
    jax.block_until_ready(result)


def ratio(mine: list[float], theirs: list[float]) -> str:
    """Median, and between what the middle half lies."""
    each = [a / b for a, b in zip(mine, theirs, strict=True)]
    low, middle, high = statistics.quantiles(each, n=4, method="inclusive")
    return f"{middle:.2f} ({low:.2f} to {high:.2f})"


def against_jax(name: str, ops, rounds: int) -> None:
    loss, args = network(ops)
    makers = {"engine": value_and_grad, "jax.grad": jax.value_and_grad}
    run: dict[str, list[float]] = {who: [] for who in makers}
    compiling: dict[str, list[float]] = {who: [] for who in makers}
    steps = {}
    for _ in range(6):
        for who, make in makers.items():
            steps[who], took = compiled(make, loss, args)
            compiling[who].append(took)
    for turn in range(rounds):
        for who, step in list(steps.items())[:: 1 if turn % 2 else -1]:
            run[who].append(seconds(repeat, step, args) / CALLS)
    first, *rest = run.values()
    mean = 1e6 * statistics.median(first)
    print(f"| jitted gradient, {name} | {ratio(first, *rest)}, {mean:.0f} us |")
    first, *rest = (row[1:] for row in compiling.values())
    print(f"| trace and compile, {name} | {ratio(first, *rest)}, {first[-1]:.2f} s |")


def chain(x, n: int):
    """About 7 n / 4 nodes of different kinds."""
    for k in range(n // 2):
        x = jnp.tanh(x * 1.01) + x if k % 2 else jnp.sin(x) * 0.9
    return x.sum()


def eager(nodes: int) -> None:
    f, x = partial(chain, n=nodes * 4 // 7), jnp.ones((8, 8))
    walk = value_and_grad(f)
    first, again = seconds(walk, x), seconds(walk, x)
    count = len(trace(f, x))
    text = f"{again:.2f} s (the first time {first:.2f} s)"
    print(f"| value and gradient without jit, {count} nodes | {text} |")


def draw(nodes: int) -> None:
    graph = trace(partial(chain, n=nodes * 4 // 7), jnp.ones((8, 8)))
    grads = backward(graph)
    for fold in (None, False):
        start = time.process_time()
        size = len(graph.to_svg(grads, fold))
        took = time.process_time() - start
        how = "all of them" if fold is False else "folded"
        row = f"drawing {len(graph):,} nodes, {how} | {took:.2f} s, {size:,} bytes"
        print(f"| {row} |")


def main() -> None:
    parser = argparse.ArgumentParser(description="The engine's time, as ratios.")
    parser.add_argument("--rounds", type=int, default=60)
    options = parser.parse_args()
    print("| | of `jax.grad`'s time, or seconds |\n|---|---|")
    against_jax("plain forward", autodiff, options.rounds)
    against_jax("hand-derived layers", manual, options.rounds)
    eager(1_000)
    draw(2_000)


if __name__ == "__main__":
    main()

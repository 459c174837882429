"""How fast is a training step, by each route and in PyTorch? Ratios, from one run.

    python -m experiments.step_speed [--rounds 9] [--steps 3000] [--json FILE]

The lecture's network, batch 32, SGD, one process. The contenders take turns, round
after round, so that a machine that slows down slows all of them; a ratio is formed
within a round and reported as median, least and greatest. PyTorch joins where it is
installed: its own autograd, and the lecture's backward pass by hand, each with 1 thread
and with all of them; the faster of the two is what we compare with.
"""

import argparse
import json
import os
import shutil
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from experiments.benchmarks.clock import ratios, spread
from jaxninja import TrainConfig
from jaxninja.training import steps

N, V = 182_625, 27  # examples and symbols, as in makemore's training set


def examples() -> tuple[np.ndarray, np.ndarray]:
    """Random symbols: the time of a step does not depend on what they are."""
    rng = np.random.default_rng(0)
    x = rng.integers(0, V, (N, 3), dtype=np.int32)
    return x, rng.integers(0, V, N, dtype=np.int32)


def by_route(route: str, x, y) -> Callable[[int], None]:
    """A function that trains so many steps, in calls of 1,000."""
    config = TrainConfig(route=route)  # type: ignore[arg-type]
    model = config.network(V)
    advance = steps.make_advance(config, model)
    x, y = jnp.asarray(x), jnp.asarray(y)
    state = steps.init_state(config, model)

    def train(count: int) -> None:
        nonlocal state
        for start in range(0, count, 1_000):
            state, losses = advance(state, steps.Items(x, y), start, 1_000)
            np.asarray(losses)  # the transfer that `jaxninja train` makes too

    return train


def torch_contenders(x, y) -> dict[str, Callable[[int], None]]:
    try:
        import torch
        import torch.nn.functional as F
    except ImportError:
        return {}
    X, Y = torch.from_numpy(x).long(), torch.from_numpy(y).long()
    n, H, eps = 32, 200, 1e-5

    def parameters():
        g = torch.Generator().manual_seed(2147483647)
        shapes = [(V, 10), (30, H), (H,), (H, V), (V,), (1, H), (1, H)]
        scales = [1, (5 / 3) / 30**0.5, 0.1, 0.1, 0.1, 0.1, 0.1]
        made = [
            torch.randn(s, generator=g) * k for s, k in zip(shapes, scales, strict=True)
        ]
        made[5] += 1
        return made

    def loss_of(params, x, y):
        C, W1, b1, W2, b2, gain, bias = params
        hprebn = C[x].view(n, -1) @ W1 + b1
        mean = hprebn.mean(0, keepdim=True)
        var = hprebn.var(0, keepdim=True, unbiased=True)
        h = torch.tanh(gain * (hprebn - mean) * (var + eps) ** -0.5 + bias)
        return F.cross_entropy(h @ W2 + b2, y)

    def autograd(count: int, params, loss_of=loss_of) -> None:
        for _ in range(count):
            ix = torch.randint(0, N, (n,))
            loss = loss_of(params, X[ix], Y[ix])
            for p in params:
                p.grad = None
            loss.backward()
            for p in params:
                p.data += -0.1 * p.grad

    def by_hand(count: int, params) -> None:
        C, W1, b1, W2, b2, gain, bias = params
        with torch.no_grad():
            for _ in range(count):
                ix = torch.randint(0, N, (n,))
                Xb, Yb = X[ix], Y[ix]
                emb = C[Xb]
                embcat = emb.view(n, -1)
                hprebn = embcat @ W1 + b1
                mean = hprebn.mean(0, keepdim=True)
                var = hprebn.var(0, keepdim=True, unbiased=True)
                rstd = (var + eps) ** -0.5
                raw = (hprebn - mean) * rstd
                h = torch.tanh(gain * raw + bias)
                logits = h @ W2 + b2
                F.cross_entropy(logits, Yb)
                dlogits = F.softmax(logits, 1)
                dlogits[range(n), Yb] -= 1
                dlogits /= n
                dh = dlogits @ W2.T
                dW2 = h.T @ dlogits
                db2 = dlogits.sum(0)
                dhpreact = (1.0 - h**2) * dh
                dgain = (raw * dhpreact).sum(0, keepdim=True)
                dbias = dhpreact.sum(0, keepdim=True)
                dhprebn = (
                    gain * rstd / n * (n * dhpreact - dbias - n / (n - 1) * raw * dgain)
                )
                dembcat = dhprebn @ W1.T
                dW1 = embcat.T @ dhprebn
                db1 = dhprebn.sum(0)
                dC = torch.zeros_like(C)
                dC.index_add_(0, Xb.view(-1), dembcat.view(-1, 10))
                for p, d in zip(
                    params, [dC, dW1, db1, dW2, db2, dgain, dbias], strict=True
                ):
                    p.data += -0.1 * d

    def contender(step, threads: int, grad: bool):
        params = [p.requires_grad_(grad) for p in parameters()]

        def train(count: int) -> None:
            torch.set_num_threads(threads)
            step(count, params)

        return train

    made = {}
    for threads in sorted({1, os.cpu_count() or 1}):
        plural = "s" if threads > 1 else ""
        name = f"PyTorch {{}}, {threads} thread{plural}"
        made[name.format("autograd")] = contender(autograd, threads, True)
        made[name.format("by hand")] = contender(by_hand, threads, False)
    if shutil.which("g++") or shutil.which("clang++"):  # torch.compile needs one
        compiled = partial(autograd, loss_of=torch.compile(loss_of))
        made["PyTorch compiled, 1 thread"] = contender(compiled, 1, True)
    return made


def measure(contenders, rounds: int, count: int) -> dict[str, list[float]]:
    """Steps per second of each contender in each round."""
    speeds: dict[str, list[float]] = {name: [] for name in contenders}
    for train in contenders.values():
        train(1_000)  # compile, warm up
    for _ in range(rounds):
        for name, train in contenders.items():
            steps_now = count if "PyTorch" not in name else count // 6
            start = time.perf_counter()
            train(steps_now)
            speeds[name].append(steps_now / (time.perf_counter() - start))
    return speeds


def best_of(speeds, word: str) -> list[float] | None:
    """Round by round, the faster of the thread counts."""
    rows = [s for name, s in speeds.items() if word in name]
    return [max(r) for r in zip(*rows, strict=True)] if rows else None


def report(speeds: dict[str, list[float]]) -> list[str]:
    """A Markdown table."""
    against = {
        "autodiff": speeds["autodiff"],
        "PyTorch autograd": best_of(speeds, "PyTorch autograd"),
        "PyTorch by hand": best_of(speeds, "PyTorch by hand"),
    }
    against = {name: row for name, row in against.items() if row}
    lines = ["| | steps/s | " + " | ".join(f"/ {name}" for name in against) + " |"]
    lines.append("|---" * (2 + len(against)) + "|")
    for name, row in speeds.items():
        shown = [spread(ratios(row, other)) for other in against.values()]
        cells = [name, f"{statistics.median(row):,.0f}", *shown]
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description="Steps per second, as ratios.")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--steps", type=int, default=3_000, help="of a round")
    parser.add_argument("--json", type=Path, help="where to write all measurements")
    options = parser.parse_args()
    x, y = examples()
    routes = ("network", "rules", "autodiff")
    contenders = {route: by_route(route, x, y) for route in routes}
    contenders |= torch_contenders(x, y)
    speeds = measure(contenders, options.rounds, options.steps)
    device = jax.devices()[0]
    print(f"{device.device_kind} ({device.platform}), {os.cpu_count()} CPUs, ", end="")
    print(
        f"JAX {jax.__version__}; median of {options.rounds} rounds (least to greatest)"
    )
    print("\n".join(report(speeds)))
    if options.json:
        options.json.write_text(json.dumps(speeds, indent=1) + "\n")


if __name__ == "__main__":
    main()

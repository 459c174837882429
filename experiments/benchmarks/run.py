"""The benchmark suite: steps, growth, limits, compile time; ratios with spread.

    python -m experiments.benchmarks.run [--parts step growth ...] [--rounds 7]
    python -m experiments.benchmarks.rules
    python -m experiments.benchmarks.compare OLD.json NEW.json

Each part is measured in one process with its contenders taking turns. What it measures
is merged into results/<device>.json, and the Markdown beside it is written anew.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import jax

from experiments import step_speed
from experiments.benchmarks import contenders, limits, scaling, tables, vocabulary
from experiments.benchmarks.clock import take_turns
from experiments.benchmarks.machine import about
from jaxninja import TrainConfig

RESULTS = Path(__file__).parent / "results"


def step(rounds: int) -> dict[str, Any]:
    """Seconds of one step by each contender, and of the limits, in the same rounds."""
    x, y = step_speed.examples()
    config = TrainConfig()
    by_route = {
        route: contenders.in_scan(TrainConfig(route=route), x, y)
        for route in ("network", "rules", "autodiff")
    }
    jax_ones = by_route | {
        "autodiff laid out as network": contenders.autodiff_laid_out(config, x, y),
        "jax.grad + optax in a scan": contenders.plain_scan(config, x, y),
        "jax.grad + optax, a call a step": contenders.plain_calls(config, x, y),
    }
    torch_ones = step_speed.torch_contenders(x, y)
    everyone = jax_ones | torch_ones | limits.contenders()
    units = take_turns(everyone, rounds)
    size = {name: contenders.CALL for name in jax_ones}
    return {k: [s / size.get(k, 1) for s in row] for k, row in units.items()}


START = """
import sys, time
start = float(sys.argv[1])
from jaxninja import TrainConfig, train
from jaxninja.training.machine import compile_cache
from jaxninja.training.progress import Progress
compile_cache.enable()
class First(Progress):
    def update(self, step, loss, rate):
        if step == 1_000:
            print(time.time() - start)
train(TrainConfig(steps=1_001, log_every=1_000, eval_every=10**6, samples=0,
                  checkpoint_every=10**6, runs=sys.argv[2]), progress=First())
"""


def start(rounds: int) -> dict[str, Any]:
    """Seconds from the start of the process to the end of the first 1,000 steps."""
    seconds: dict[str, list[float]] = {"no cache": [], "second start": []}
    with tempfile.TemporaryDirectory() as folder:
        cache = {"JAX_COMPILATION_CACHE_DIR": f"{folder}/cache"}
        _first_chunk(folder, cache)
        for _ in range(rounds):
            off = {"JAX_ENABLE_COMPILATION_CACHE": "false"}
            seconds["no cache"].append(_first_chunk(folder, off))
            seconds["second start"].append(_first_chunk(folder, cache))
    return seconds


def _first_chunk(folder, settings) -> float:
    command = [sys.executable, "-c", START, str(time.time()), f"{folder}/runs"]
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, env=os.environ | settings
    )
    return float(done.stdout)


def sweep(rounds: int) -> dict[str, Any]:
    """Seconds of a step of one seed, alone and among 64, in a process of its own."""
    command = [sys.executable, "-m", "experiments.benchmarks.sweeps", str(rounds)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


PARTS = {
    "step": step,
    "vocabulary of GPT-2": lambda rounds: vocabulary.measure(min(rounds, 3)),
    "growth": scaling.measure,
    "start": lambda rounds: start(min(rounds, 3)),
    "sweep": sweep,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--parts", nargs="+", choices=list(PARTS), default=list(PARTS))
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--out", type=Path, help="JSON file; results/<platform>.json")
    options = parser.parse_args()
    out = options.out or RESULTS / f"{jax.default_backend()}.json"
    results = json.loads(out.read_text()) if out.exists() else {}
    for part in options.parts:
        print(f"measuring {part} ...", file=sys.stderr, flush=True)
        measured = PARTS[part](options.rounds)
        results[part] = {"about": about(), "measured": measured}
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(json.dumps(results, indent=1) + "\n")
    text = tables.report(results)
    out.with_suffix(".md").write_text(text)
    if "growth" in results:
        tables.plot(results["growth"]["measured"], out.with_suffix(".png"))
    print(text)


if __name__ == "__main__":
    main()

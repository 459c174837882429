"""What does --diagnose cost at its default interval of 1000 steps?

    python -m experiments.diagnose_cost [--rounds 30]

Within a round: 1000 steps as `jaxninja train` takes them, then one line of diagnostics
measured and written. Their ratio is taken within the round, since a busy machine slows
both; reported is the median (least to greatest). Compilation is timed apart.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import jax.numpy as jnp
import numpy as np

from experiments.step_speed import examples
from jaxninja import TrainConfig
from jaxninja.storage import run_folder
from jaxninja.training import steps
from jaxninja.training.monitor import observe

NETS = {
    "the lecture's network": {},
    "the deep net of Part 3": {
        "route": "rules",
        "layers": 5,
        "hidden": 100,
        "batchnorm": "all",
        "init": "deep",
        "gain": 1.0,
    },
}

HEAD = (
    "| network | of the time of 1000 steps | ms a line | kB a line | compiled in, s |\n"
    "|---|---|---:|---:|---:|"
)


def measure(options: dict, rounds: int, file: Path) -> tuple[list[float], float, float]:
    """Ratios of the rounds, milliseconds of a line, seconds to compile."""
    config = TrainConfig(**options)
    model = config.network(27)
    x, y = map(jnp.asarray, examples())
    state = steps.init_state(config, model)
    advance = steps.make_advance(config, model)
    clock = time.perf_counter()
    observe(config, model, state, steps.Items(x, y), 0)
    compiling = time.perf_counter() - clock
    ratios, lines = [], []
    for n in range(rounds + 1):
        start = time.perf_counter()
        state, losses = advance(state, steps.Items(x, y), 1_000 * n, 1_000)
        np.asarray(losses)
        middle = time.perf_counter()
        line = observe(config, model, state, steps.Items(x, y), 1_000 * (n + 1))
        run_folder.append_metrics(file, line)
        end = time.perf_counter()
        if n:  # the first round compiles
            ratios.append((end - middle) / (middle - start))
            lines.append(1e3 * (end - middle))
    return ratios, statistics.median(lines), compiling


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=30)
    options = parser.parse_args(argv)
    print(HEAD)
    with tempfile.TemporaryDirectory() as scratch:
        for name, net in NETS.items():
            file = Path(scratch) / f"{len(net)}.jsonl"
            ratios, line, compiling = measure(net, options.rounds, file)
            middle, least, most = statistics.median(ratios), min(ratios), max(ratios)
            size = file.stat().st_size / (options.rounds + 1) / 1e3
            cells = (
                *(name, f"{middle:.1%} ({least:.1%} to {most:.1%})"),
                *(f"{line:.1f}", f"{size:.0f}", f"{compiling:.1f}"),
            )
            print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()

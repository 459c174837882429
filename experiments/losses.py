"""Does training by hand reach the lecture's losses? By every route, and over seeds.

    python -m experiments.losses [--runs runs/losses] [--steps 200000]

Each row is `jaxninja train` with its options, 200,000 steps of the lecture's network.
A run that was cut goes on from its last checkpoint, and one that ended is read.
"""

import argparse
import dataclasses

from experiments.makemore import PARTS, shown, trained
from jaxninja import Run, TrainConfig

ROWS = (
    *(("makemore", route, 0) for route in ("network", "rules", "autodiff")),
    *(("makemore", "network", seed) for seed in (1, 2, 3)),
    *((data, "network", 0) for data in ("names", "surnames")),
)
HEAD = "| data | route | seed | train | val | clean val | test |\n" + "|---" * 7 + "|"
LECTURE = "| the lecture (PyTorch, another random stream) | | | 2.0705 | 2.1099 | | |"


def config(data: str, route: str, seed: int, runs: str, steps: int) -> TrainConfig:
    own = TrainConfig(data=data, route=route, seed=seed, runs=runs)  # type: ignore
    at = own.lr_drop_at and own.lr_drop_at * steps // own.steps
    name = f"{data}-{route}-{seed}"
    return dataclasses.replace(own, name=name, steps=steps, lr_drop_at=at)


def row(run: Run) -> str:
    """A line of the table; data without duplicates have no clean val of their own."""
    assert run.result is not None
    losses = [shown(run.result[f"{part}_loss"]) for part in PARTS]
    given = (run.config.data, run.config.route, str(run.config.seed))
    return f"| {' | '.join([*given, *losses])} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", default="runs/losses")
    parser.add_argument("--steps", type=int, default=200_000)
    options = parser.parse_args()
    print(HEAD, flush=True)
    for wanted in ROWS:
        given = config(*wanted, options.runs, options.steps)
        print(row(trained(given, lambda line: None)), flush=True)
    print(LECTURE)


if __name__ == "__main__":
    main()

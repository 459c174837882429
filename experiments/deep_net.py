"""The lecture's deep net of Part 3 at step 1000, over seeds; and trained to the end.

    python -m experiments.deep_net --data makemore [--seeds 10] [--steps 200000]

47,024 parameters: six linear layers, each with batchnorm, five of them with tanh. The
lecture stops at step 1000 and reads its diagnostics; here they are over seeds, so that
its numbers can be judged by the spread. Then one run goes to the end.
"""

import argparse
import json
import math
import statistics
import tempfile
from pathlib import Path

import jaxninja
from jaxninja import TrainConfig
from jaxninja.training.progress import Progress

# The lecture's figures after 1,001 steps; it evaluates with running statistics.
LECTURE = {
    "initial loss": 3.2870,
    "train": 2.4003,
    "val": 2.3982,
    **dict(zip([f"saturated h{i}, %" for i in range(1, 6)],
               [2.78, 2.56, 2.25, 1.69, 1.88], strict=True)),
    **dict(zip([f"grad std h{i}, 1e-3" for i in range(1, 6)],
               [2.6407, 2.2456, 2.0457, 1.9831, 1.9524], strict=True)),
    **dict(zip(["grad:data C", *(f"grad:data W{i}" for i in range(1, 7))],
               [8.01e-3, 4.88e-2, 6.96e-2, 6.07e-2, 5.63e-2, 5.57e-2, 1.16e-1],
               strict=True)),
}  # fmt: skip


def config(data: str, runs: str, seed: int, steps: int, diagnose: int) -> TrainConfig:
    """The lecture's; its learning rate drops at 150,000 of 200,000 steps."""
    return TrainConfig(
        data=data,
        runs=runs,
        name=f"deep-{seed}-{steps}",
        route="rules",
        steps=steps,
        seed=seed,
        hidden=100,
        layers=5,
        batchnorm="all",
        init="deep",
        gain=1.0,
        bn_momentum=0.1,
        lr_drop_at=150_000,
        diagnose=diagnose,
        keep_best=False,
    )


def at_step_1000(data: str, runs: str, seed: int, steps: int = 1_000) -> dict:
    """name -> figure, in the names of LECTURE."""
    run = jaxninja.train(config(data, runs, seed, steps, steps), progress=Progress())
    first, last = run.diagnostics
    losses = run.losses("running")
    found = {
        "initial loss": first["loss"],
        "train": losses["train_loss"],
        "val": losses["val_loss"],
    }
    for i in range(1, 6):
        h = last["activations"][f"h{i}"]
        found[f"saturated h{i}, %"] = 100 * h["saturated"]
        std = last["gradients"][f"h{i}"]["std"]
        found[f"grad std h{i}, 1e-3"] = 1e3 * std
    for name in ("C", *(f"W{i}" for i in range(1, 7))):
        parameter = last["parameters"][name]
        found[f"grad:data {name}"] = parameter["grad_data"]
        found[f"log10 update:data {name}"] = parameter["update_data"]
    return found


def table(runs: list[dict]) -> list[str]:
    """Mean, spread and the lecture's figure, with its distance in spreads."""
    lines = [
        "| at step 1000 | mean | std over seeds | least to greatest | lecture | z |",
        "|---|---|---|---|---|---|",
    ]
    for name in runs[0]:
        values = [run[name] for run in runs]
        mean = statistics.mean(values)
        spread = statistics.stdev(values) if len(values) > 1 else math.nan
        theirs = LECTURE.get(name)
        z = f"{(theirs - mean) / spread:+.1f}" if theirs and spread > 0 else ""
        cells = (
            f"{mean:.4g}",
            f"{spread:.2g}",
            f"{min(values):.4g} to {max(values):.4g}",
        )
        lecture = "" if theirs is None else f"{theirs:g}"
        lines.append(f"| {name} | " + " | ".join(cells) + f" | {lecture} | {z} |")
    return lines


def ended(run: jaxninja.Run) -> str:
    """The losses of a run to the end, as a table."""
    assert run.result is not None
    parts = ("train", "val", "clean_val", "test")
    losses = (f"{run.result[f'{part}_loss']:.4f}" for part in parts)
    head = " | ".join(part.replace("_", " ") for part in parts)
    title = f"| steps | {head} |\n|---|---|---|---|---|"
    return f"{title}\n| {run.config.steps:,} | {' | '.join(losses)} |"


def main(argv: list[str] | None = None) -> list[dict]:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default="makemore")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--steps", type=int, default=200_000, help="0: not to the end")
    parser.add_argument("--runs", default=None, help="keep the run folders here")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as scratch:
        runs = options.runs or scratch
        found = [at_step_1000(options.data, runs, s) for s in range(options.seeds)]
        print("\n".join(table(found)), flush=True)
        if options.steps:
            whole = config(options.data, runs, 0, options.steps, 1_000)
            run = jaxninja.train(whole, progress=Progress())
            print(f"\n{ended(run)}")
    if options.json:
        options.json.write_text(json.dumps(found, indent=2) + "\n")
    return found


if __name__ == "__main__":
    main()

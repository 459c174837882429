"""`jaxninja eval RUN`."""

from dataclasses import dataclass
from typing import Annotated, Literal

import tyro

from jaxninja.run import load


@dataclass(frozen=True)
class Eval:
    """Mean losses in nats of a run's last checkpoint."""

    run: Annotated[str, tyro.conf.Positional]
    """The run folder."""
    bn: Literal["calibrated", "running"] = "calibrated"
    """Batchnorm's statistics: over the whole training set, or those of the training."""


def main(args: list[str]) -> int:
    options = tyro.cli(Eval, prog="jaxninja eval", args=args)
    run = load(options.run)
    losses = run.losses(options.bn)
    print(f"{run.path} at step {run.step:,}, batchnorm {options.bn}")
    for part in ("train", "val", "clean_val", "test"):
        count = len(getattr(run.dataset, part).y)
        name, loss = part.replace("_", " "), losses[f"{part}_loss"]
        print(f"  {name:<10} {loss:.4f}  {count:>9,} examples")
    print("clean val: the items of val that do not occur in train")
    return 0

"""`jaxninja eval RUN`."""

from dataclasses import dataclass
from typing import Literal

from jaxninja.cli.process.arguments import parsed
from jaxninja.cli.process.choices import RunFolder
from jaxninja.training.runs.loading import load


@dataclass(frozen=True)
class Eval:
    """Print the mean losses of a run in nats, on each part of its data.

    Example: jaxninja eval runs/names-network-1 --at best
    """

    run: RunFolder
    """The run folder, as `jaxninja train` names it."""
    at: Literal["last", "best"] = "last"
    """The last checkpoint, or the one of the least validation loss."""
    bn: Literal["calibrated", "running"] = "calibrated"
    """Batchnorm's statistics: over the whole training set, or those of the training."""


def main(args: list[str]) -> int:
    options = parsed(Eval, "eval", args)
    run = load(options.run, options.at)
    losses = run.losses(options.bn)
    batchnorm = f", batchnorm {options.bn}" * bool(run.state.statistics)
    print(f"{run.path} at step {run.step:,}{batchnorm}")
    for name, part in run.dataset.parts.items():
        loss = losses[f"{name}_loss"]
        shown = "none  " if loss is None else f"{loss:.4f}"
        symbols = f"{part.predicted:>9,} symbols"
        print(f"  {name.replace('_', ' '):<10} {shown}  {symbols}")
    if "clean_val" in run.dataset.parts:
        print("clean val: the items of val that do not occur in train")
    return 0

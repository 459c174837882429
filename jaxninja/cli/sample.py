"""`jaxninja sample RUN`."""

from dataclasses import dataclass
from typing import Annotated, Literal

import tyro

from jaxninja.cli.process.arguments import parsed
from jaxninja.cli.process.choices import RunFolder
from jaxninja.escaping import printable, printable_lines
from jaxninja.training.runs.loading import load
from jaxninja.training.runs.recorder import TEXTS


@dataclass(frozen=True)
class Sample:
    """Draw new items or texts from a trained network.

    Example: jaxninja sample runs/names-network-1 -n 10 --temperature 0.8 --prompt an

    Attributes:
        length: Symbols after the prompt at which an item is cut off, 100; of running
            text tokens to write, by default the run's own. At most 10,000: beyond the
            context each token reads all of it anew.
        bn: Batchnorm's statistics: over the whole training set, or those of the
            training. By default the first, and the second where the data of the run are
            gone.
    """

    run: RunFolder
    """The run folder, as `jaxninja train` names it."""
    count: Annotated[int, tyro.conf.arg(aliases=["-n"])] = 20
    """Items or texts to draw."""
    temperature: float = 1.0
    """Below 1 tamer, above 1 wilder; 0 takes the most likely symbol every time."""
    top_k: int | None = None
    """Draw among the k most likely symbols only."""
    top_p: float | None = None
    """Draw among the fewest most likely symbols that have this probability together."""
    prompt: str = ""
    """What every item begins with; of running text, by default the end of a line."""
    length: int | None = None
    seed: int = 0
    """The same seed repeats the same draws."""
    at: Literal["last", "best"] = "last"
    """The last checkpoint, or the one of the least validation loss."""
    bn: Literal["calibrated", "running"] | None = None


def main(args: list[str]) -> int:
    o = parsed(Sample, "sample", args)
    run = load(o.run, o.at)
    items = run.sample(
        o.count, o.temperature, o.top_k, o.prompt, o.seed, o.bn, o.top_p, o.length
    )
    if run.config.reads_text:
        print(printable_lines(TEXTS.join(items)))
        return 0
    print("\n".join(printable(item) for item in items))
    if run.without_data is None:
        print(f"{run.new(items)} of {len(items)} are not in the data")
    else:
        which = "batchnorm's running statistics, and " if o.bn is None else ""
        print(f"with {which}no word on which are new: {run.without_data}")
    return 0

"""`jaxninja train`: the options are the fields of TrainConfig."""

import argparse
import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import jax
import tyro

from jaxninja.cli.process import streams
from jaxninja.cli.process.arguments import parsed
from jaxninja.cli.process.lines import show
from jaxninja.escaping import printable, printable_lines
from jaxninja.training.config import TrainConfig
from jaxninja.training.loop import train
from jaxninja.training.machine import compile_cache, distributed
from jaxninja.training.machine.devices import pick_device
from jaxninja.training.machine.distributed import HEARTBEAT
from jaxninja.training.machine.rate import digits
from jaxninja.training.options.recipes import RECIPES, takes
from jaxninja.training.progress import Bar, Lines, Progress
from jaxninja.training.runs.opening import expect_model, resumed_config
from jaxninja.training.runs.run import Run

PARTS = ("train", "val", "clean_val", "test")
LECTURE = "the lecture, after 200,000 steps: train 2.0705, val 2.1099"
PEER = "makemore.py, after {} steps: train {}, test {}"
REFERENCES = {  # on makemore's names, in the recipe's own settings
    "ninja": LECTURE,
    "bigram": "counting, the optimum on all names: 2.4540",
    "mlp": PEER.format("10,000", 2.0355, 2.0702),
    "bow": PEER.format("10,000", 2.1873, 2.1848),
    "rnn": PEER.format("10,000", 2.0705, 2.0709),
    "gru": PEER.format("2,000", 2.1457, 2.1425),
    "transformer": "makemore's README: test about 1.92",
    "wavenet": "the lecture, after 200,000 steps: train 1.7690, val 1.9937",
}


@dataclass(frozen=True)
class Train:
    """Train a network, the lecture's or another; everything lands in runs/<name>/.

    Example: jaxninja train --model transformer --data makemore --steps 10000

    Attributes:
        resume: Run folder to continue from its last checkpoint, exactly. Its own
            options hold; only steps, device, intervals, check-grads and samples may be
            given anew, and by --data where its file is now.
        distributed: Divide each batch among all devices of all processes that start
            this command, or of one process (JAX_NUM_CPU_DEVICES=2 makes two of a CPU).
        heartbeat: Seconds without a sign of life after which a process is given up, and
            the run ends.
    """

    config: Annotated[TrainConfig, tyro.conf.arg(name="")] = field(
        default_factory=TrainConfig
    )
    resume: Annotated[str | None, tyro.conf.arg(metavar="RUN")] = None
    distributed: bool = False
    heartbeat: int = HEARTBEAT


def main(args: list[str]) -> int:
    options = parsed(Train, "train", args, default=_default(args))
    if options.distributed and distributed.CHILD not in os.environ:
        return distributed.watch(["train", *args])
    compile_cache.enable()
    mesh = None
    if options.distributed:
        distributed.initialize(options.heartbeat)
        mesh = distributed.data_mesh()
    pick_device(options.config.device)
    progress = _listener()
    with streams.lasting():
        run = train(options.config, resume=options.resume, progress=progress, mesh=mesh)
        for line in summary(run) if jax.process_index() == 0 else ():
            show(line)
    for problem in run.problems:
        print(f"jaxninja: {problem}", file=sys.stderr)
    return 1 if run.problems else 0


def _listener() -> Progress:
    """Process 0 speaks for all."""
    if jax.process_index() > 0:
        return Progress()
    return Bar(show) if sys.stderr.isatty() else Lines(show)


def _default(args: list[str]) -> Train:
    """What holds for options that are not given: the run's own, or the model's."""
    given = early(args, "--resume")
    if given is not None:
        config = resumed_config(Path(given))
        expect_model(Path(given), early(args, "--model") or config.model)
        return Train(config, given)
    return Train(recipe(args))


def recipe(args: list[str]) -> TrainConfig:
    """The defaults, which some of the options that are given decide."""
    given: dict[str, Any] = {"model": early(args, "--model") or "ninja"}
    if given["model"] in RECIPES and "size" in takes(given["model"]):
        given["size"] = early(args, "--size")
    steps = early(args, "--steps")
    if steps is not None and steps.isdecimal() and int(steps):  # else said later
        given["steps"] = int(steps)
    return TrainConfig(**given)


def early(args: list[str], option: str) -> str | None:
    """The value of an option that is needed before the rest: it decides defaults."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument(option, nargs="?", default=None, dest="value")
    return parser.parse_known_args(args)[0].value


def summary(run: Run) -> Iterator[str]:
    """The losses beside those to compare with, the speed, what the network invents."""
    result = run.result
    assert result is not None
    losses = [
        f"{part.replace('_', ' ')} {_loss(result, part)}"
        for part in PARTS
        if f"{part}_loss" in result
    ]
    calibrated = "; batchnorm calibrated on train" * bool(run.state.statistics)
    yield f"losses     {', '.join(losses)}  (nats{calibrated})"
    if run.config.data == "makemore" and run.config.model in REFERENCES:
        yield f"           {REFERENCES[run.config.model]}"
    elif run.config.route.endswith(".py"):  # exercise 4
        yield f"           {LECTURE}; on its own names: --data makemore"
    rate, seconds = digits(result["steps_per_second"] or 0.0), result["seconds"]
    yield f"speed      {rate} steps/s, {result['steps']:,} in {seconds:.1f} s"
    samples = run.path / "samples.txt"
    if samples.exists() and run.config.reads_text:
        yield "samples"
        yield printable_lines(samples.read_text(encoding="utf-8").rstrip("\n"))
    elif samples.exists():
        items = samples.read_text(encoding="utf-8").split("\n")[:-1]
        yield f"samples    {len(items)}, of which {run.new(items)} are not in the data:"
        yield "  " + printable(" ".join(items))
    names = ("result.json", "loss.png", "samples.txt")
    written = [name for name in names if (run.path / name).exists()]
    yield f"written    {run.path}/: {', '.join(written)}, checkpoints/"


def _loss(result: Mapping[str, Any], part: str) -> str:
    loss = result[f"{part}_loss"]
    return "none" if loss is None else f"{loss:.4f}"

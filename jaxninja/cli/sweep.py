"""`jaxninja sweep`: many trainings at once; the other options are TrainConfig's."""

import dataclasses
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import jax

from jaxninja.cli.process import streams
from jaxninja.cli.process.arguments import parsed
from jaxninja.cli.process.lines import show, width
from jaxninja.cli.train import early, recipe
from jaxninja.storage.checkpoint import CheckpointError, check_config
from jaxninja.training.config import ConfigError, TrainConfig
from jaxninja.training.machine import compile_cache
from jaxninja.training.progress import Bar, Lines
from jaxninja.training.sweeps import plan
from jaxninja.training.sweeps.trainer import resumed, summary, sweep

TABLE = 78  # columns that the table of the losses needs
RESUMABLE = {"memory_mb", "resume"}  # what `--resume` may change, and itself
OWN = {"seed", "lr", "resume", "check_grads", "samples"}  # not options of a sweep


def _defaults(args: list[str]) -> dict[str, Any]:
    """What holds for options that are not given: the sweep's own, or the model's."""
    path = early(args, "--resume")
    if path is None:
        config, seeds, rates = recipe(args), range(8), None
    else:
        config, seeds, rates = plan.read(Path(path))
    own = {"seeds": len(seeds), "lr": tuple(rates or [config.lr])}
    shared = {k: v for k, v in vars(config).items() if k not in OWN}
    return {**own, "memory_mb": 1024, "resume": path, **shared}


def _options(defaults: dict[str, Any]) -> type:
    """The options of a sweep, and after them those of TrainConfig that a sweep has."""
    kinds: dict[str, Any] = {f.name: f.type for f in dataclasses.fields(TrainConfig)}
    kinds |= {"seeds": int, "lr": tuple[float, ...]}
    kinds |= {"memory_mb": int, "resume": str | None}
    fields = [(k, kinds[k], dataclasses.field(default=v)) for k, v in defaults.items()]
    made = dataclasses.make_dataclass("Sweep", fields, frozen=True)
    described = (TrainConfig.__doc__ or "").split("Attributes:")[1].rstrip()
    made.__doc__ = f"""Train a network for each of many seeds and learning rates.

    Example: jaxninja sweep --seeds 64 --lr 0.05 0.1 0.2

    Attributes:{described}
        seeds: how many, from 0 on; each with each learning rate.
        lr: learning rates, one or more of them.
        memory_mb: for the members that train at the same time; the rest
            wait.
        resume: folder of a sweep to go on with; its own options hold, and only
            memory-mb may be given anew.
    """
    return made


def main(args: list[str]) -> int:
    defaults = _defaults(args)
    made = _options(defaults)
    options: Any = parsed(made, "sweep", args)
    given = dataclasses.asdict(options)
    if given["resume"] is not None:
        _expect_unchanged(defaults, given)
    own = ("seeds", "lr", "memory_mb", "resume")
    seeds, rates, memory, resume = (given.pop(name) for name in own)
    for name, value in (("seeds", seeds), ("memory_mb", memory)):
        if value < 1:
            raise ConfigError(f"{name} is {value}, expected 1 or more")
    config = TrainConfig(**given)
    _use_all_cores()
    compile_cache.enable()
    with streams.lasting():
        progress = Bar(show) if sys.stderr.isatty() else Lines(show)
        if resume is None:
            rows = sweep(config, range(seeds), rates, memory * 2**20, progress)
        else:
            rows = resumed(resume, memory * 2**20, progress)
        _tell(rows)
    return 0


def _expect_unchanged(saved: dict[str, Any], given: dict[str, Any]) -> None:
    """Refuse options that a sweep which goes on would not heed."""
    try:
        check_config(saved, given, RESUMABLE)
    except CheckpointError as error:
        raise ConfigError(
            f"{error}; a resumed sweep may change memory_mb alone"
        ) from None


def _tell(rows: list[dict[str, Any]]) -> None:
    lines = summary(rows)
    for line in _table(lines) if width() >= TABLE else _narrow(lines):
        show(line)
    root = Path(rows[0]["path"]).parent
    show(f"written    {root}/: sweep.json, sweep.png, a run each")


def _use_all_cores() -> None:
    """A CPU device for each core, unless JAX has looked for its devices already."""
    if jax.config.jax_num_cpu_devices in (None, -1):  # type: ignore[attr-defined]
        with suppress(RuntimeError):
            jax.config.update("jax_num_cpu_devices", os.cpu_count() or 1)


def _table(lines: list[dict[str, Any]]):
    yield "       lr  members  failed   train loss (sd)    val loss (sd)  least val"
    for line in lines:
        text = f"{line['lr']!r:>9} {line['members']:8d} {line['failed']:7d}"
        if "val_loss mean" in line:
            for part in ("train_loss", "val_loss"):
                text += f"   {line[part + ' mean']:.4f} ({line[part + ' sd']:.4f})"
            text += f"     {line['val_loss least']:.4f}"
        yield text


def _narrow(lines: list[dict[str, Any]]):
    """The same, a few short lines for each learning rate."""
    for line in lines:
        failed = f", {line['failed']} failed" if line["failed"] else ""
        yield f"lr {line['lr']!r}: {line['members']} members{failed}"
        if "val_loss mean" in line:
            for part in ("train_loss", "val_loss"):
                mean, sd = line[f"{part} mean"], line[f"{part} sd"]
                yield f"  {part.replace('_', ' ')} {mean:.4f} (sd {sd:.4f})"
            yield f"  least val {line['val_loss least']:.4f}"

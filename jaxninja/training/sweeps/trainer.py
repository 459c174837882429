"""Many whole trainings at once: over seeds and learning rates, and over the devices.

A member of a sweep is a run like any other, in a folder of its own, and equal to the
same training alone, or in another sweep, up to rounding: those are other programs.
Members share the data and the compiled program: each device takes its share of them, a
few at a time, through `jax.shard_map`. The last group is filled up with copies, so that
all groups run one program. Nothing passes between members, so one that diverges hurts
no other.
"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jaxninja.data.datasets import Dataset
from jaxninja.models.by_hand import user_file
from jaxninja.storage import atomic, run_folder
from jaxninja.training.arguments import expect_config, expect_progress
from jaxninja.training.config import ConfigError, TrainConfig
from jaxninja.training.examples import dataset_of
from jaxninja.training.kernel import build
from jaxninja.training.loop import expect_to_fit
from jaxninja.training.machine import settings
from jaxninja.training.machine.signals import caught_signals
from jaxninja.training.progress import Progress, default
from jaxninja.training.sweeps import plan
from jaxninja.training.sweeps.members import train
from jaxninja.training.sweeps.program import compiled, group_size, mesh_of


@settings.fixed()
def sweep(
    config: TrainConfig,
    seeds: Sequence[int],
    rates: Sequence[float],
    memory: int = 2**30,
    progress: Progress | None = None,
    resume: str | Path | None = None,
) -> list[dict[str, Any]]:
    """Train a network for each seed and learning rate.

    Args:
        config: of all members; its seed and lr are replaced. Its name is that of the
            sweep's folder, which holds a run folder for each member.
        seeds: of the initialisations and batches.
        rates: learning rates.
        memory: bytes for the members that train at the same time, about.
        progress: who listens; by default a bar on a terminal, or the cell of a
            notebook.
        resume: the folder of a sweep that was interrupted, for `resumed`.

    Returns:
        A row for each member: seed, lr, path, and its losses or the step it failed at.

    Raises:
        ConfigError: there is no member, two are the same, there are too many, or one
            takes more memory than there is.
        Interrupted: Ctrl-C or the like, after saving.
    """
    expect_config(config, {}, "sweep")
    if resume is None:
        config.expect_effect()
    listener: Progress = expect_progress(progress) or default()
    if config.reads_text:
        raise ConfigError(
            f"model is {config.model!r}, expected one of items: a sweep trains its "
            "members on one data set that lies on the device; train them one by one"
        )
    configs = plan.members(config, seeds, rates)
    mesh = mesh_of(config)
    config = expect_to_fit(config, mesh.devices.flat[0])
    configs = [dataclasses.replace(c, context=config.context) for c in configs]
    dataset = dataset_of(config)
    assert isinstance(dataset, Dataset)  # of items
    model = config.network(len(dataset.vocabulary))
    if user_file.is_file(config.route) and isinstance(model, user_file.Known):
        user_file.proof(config.route, model, config.batch_size)
    if config.engine == "kernel":
        listener.say(f"kernel     {build.register(mesh.devices.flat[0])}")
    root = Path(resume) if resume is not None else plan.new_folder(config, seeds, rates)
    configs = [dataclasses.replace(c, runs=str(root)) for c in configs]
    group = min(
        group_size(config, model, memory, mesh.size),
        len(configs) + -len(configs) % mesh.size,
    )
    listener.say(
        f"sweep      {len(configs)} members, {min(group, len(configs))} at a time on "
        f"{mesh.size} {mesh.devices.flat[0].platform} devices, in {root}"
    )
    rows = {(row["lr"], row["seed"]): row for row in plan.rows(root)}
    waiting = [c for c in configs if (c.lr, c.seed) not in rows]
    advance: Any = None
    here = jax.default_device(mesh.devices.flat[0])
    with run_folder.lock(root), caught_signals(None) as caught, here:
        for start, part in plan.groups(waiting, group):
            if advance is None:  # ahead: compiling does not count as training
                listener.say(f"compiling  for {len(part)} members at a time")
                advance = compiled(config, model, mesh, group, dataset)
            for row in train(
                part, advance, group, dataset, mesh, listener, start, caught
            ):
                rows[row["lr"], row["seed"]] = row
            atomic.write_json(root / plan.ROWS, _in_order(rows, configs))
    from jaxninja import plots  # matplotlib: only once a sweep is at its end

    ended = _in_order(rows, configs)
    plots.sweep_distribution(ended, root / "sweep.png")
    return ended


def _in_order(rows: dict, configs: list[TrainConfig]) -> list[dict[str, Any]]:
    keys = [(c.lr, c.seed) for c in configs]
    return [rows[key] for key in keys if key in rows]


def resumed(path: str | Path, memory: int = 2**30, progress: Progress | None = None):
    """Go on with a sweep; members that ended are left as they are.

    Raises:
        ConfigError: there is no sweep at `path`.
    """
    return sweep(*plan.read(Path(path)), memory, progress, path)


def summary(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """For each learning rate: members, failures, and the spread of the losses."""
    table = []
    for lr in sorted({row["lr"] for row in rows}):
        mine = [row for row in rows if row["lr"] == lr]
        good = [row for row in mine if "failed_at" not in row]
        line = {"lr": lr, "members": len(mine), "failed": len(mine) - len(good)}
        for part in ("train_loss", "val_loss"):
            values = np.array([row[part] for row in good])
            stats = {"mean": values.mean, "sd": values.std, "least": values.min}
            line |= {f"{part} {k}": float(f()) for k, f in stats.items() if len(good)}
        table.append(line)
    return table

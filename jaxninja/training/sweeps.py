"""Many whole trainings at once: over seeds and learning rates, and over the devices.

A member of a sweep is a run like any other, in a folder of its own, and equal to the
same training alone, or in another sweep, up to rounding: those are other programs.
Members share the data and the compiled program: each device takes its share of them, a
few at a time, through `jax.shard_map`. The last group is filled up with copies, so that
all groups run one program. Nothing passes between members, so one that diverges hurts
no other.
"""

import dataclasses
import math
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jax.sharding import PartitionSpec as P

from jaxninja.data.datasets import Dataset
from jaxninja.models.by_hand import user_file
from jaxninja.models.ninja import Ninja
from jaxninja.storage import atomic, run_folder
from jaxninja.training import steps, sweep_plan
from jaxninja.training.config import TrainConfig, expect_config
from jaxninja.training.examples import dataset_of
from jaxninja.training.kernel import build
from jaxninja.training.loop import expect_to_fit
from jaxninja.training.machine import settings
from jaxninja.training.machine.signals import Interrupted, caught_signals
from jaxninja.training.opening import open_run
from jaxninja.training.progress import Bar, Progress, expect_progress
from jaxninja.training.recorder import Record
from jaxninja.training.run import Run
from jaxninja.training.sweep_program import compiled, group_size, mesh_of, put

FIRST, SIGN = 10, 5.0  # steps until the first sign of life; seconds between two, about


class Member(NamedTuple):
    """One training of a sweep."""

    record: Record
    failed: int | None = None  # the step whose loss is not finite


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
        progress: who listens; a tqdm bar by default.
        resume: the folder of a sweep that was interrupted, for `resumed`.

    Returns:
        A row for each member: seed, lr, path, and its losses or the step it failed at.

    Raises:
        ConfigError: there is no member, two are the same, there are too many, or one
            takes more memory than there is.
        Interrupted: Ctrl-C or the like, after saving.
    """
    expect_config(config, {}, "sweep")
    listener: Progress = expect_progress(progress) or Bar()
    configs = sweep_plan.members(config, seeds, rates)
    mesh = mesh_of(config)
    config = expect_to_fit(config, mesh.devices.flat[0])
    configs = [dataclasses.replace(c, context=config.context) for c in configs]
    dataset = dataset_of(config)
    model = config.network(len(dataset.vocabulary))
    if user_file.is_file(config.route) and isinstance(model, Ninja):
        user_file.proof(config.route, model, config.batch_size)
    if config.engine == "kernel":
        listener.say(f"kernel     {build.register(mesh.devices.flat[0])}")
    root = (
        Path(resume)
        if resume is not None
        else sweep_plan.new_folder(config, seeds, rates)
    )
    configs = [dataclasses.replace(c, runs=str(root)) for c in configs]
    group = min(
        group_size(config, model, memory, mesh.size),
        len(configs) + -len(configs) % mesh.size,
    )
    listener.say(
        f"sweep      {len(configs)} members, {min(group, len(configs))} at a time on "
        f"{mesh.size} {mesh.devices.flat[0].platform} devices, in {root}"
    )
    rows = {(row["lr"], row["seed"]): row for row in sweep_plan.rows(root)}
    waiting = [c for c in configs if (c.lr, c.seed) not in rows]
    advance: Any = None
    with run_folder.lock(root), caught_signals(None) as caught:
        for start, part in sweep_plan.groups(waiting, group):
            if advance is None:  # ahead: compiling does not count as training
                listener.say(f"compiling  for {len(part)} members at a time")
                advance = compiled(config, model, mesh, group, dataset)
            for row in _train(
                part, advance, group, dataset, mesh, listener, start, caught
            ):
                rows[row["lr"], row["seed"]] = row
            atomic.write_json(root / sweep_plan.ROWS, _in_order(rows, configs))
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
    return sweep(*sweep_plan.read(Path(path)), memory, progress, path)


def _train(
    configs: list[TrainConfig],
    advance: Callable[..., Any],
    width: int,
    dataset: Dataset,
    mesh: Mesh,
    progress: Progress,
    start: int,
    caught: list[int],
) -> list[dict[str, Any]]:
    """Train one group from the step where it is to the last, among `width` members.

    advance: of `sweep_program.compiled`, for so many members.
    """
    config = configs[0]
    members = [Member(_opened(c, dataset)) for c in configs]
    padding = [configs[-1]] * (width - len(configs))
    seeds = np.array([c.seed for c in configs + padding], np.int32)
    rates = np.array([c.lr for c in configs + padding], np.float32)
    x, y = (put(a, mesh, P()) for a in dataset.train)
    seeds, rates = (put(a, mesh, P("members")) for a in (seeds, rates))
    states = [m.record.run.state for m in members] + [
        members[-1].record.run.state
    ] * len(padding)
    states = jax.tree.map(lambda *a: put(np.stack(a), mesh, P("members")), *states)
    examples = tuple(map(jnp.asarray, dataset.train))
    pace = FIRST
    progress.start(start, config.steps)
    _diagnose(members, examples)
    while start < config.steps and any(m.failed is None for m in members):
        if caught:
            _stop(members, start, caught[0])
        n = min(steps.next_stop(config, start) - start, pace)
        clock = time.perf_counter()
        new, losses = advance(states, seeds, rates, x, y, np.int32(start), np.int32(n))
        losses = np.asarray(losses)[:, :n]
        took = time.perf_counter() - clock
        seconds, pace = took / len(configs), max(1, int(n * SIGN / max(took, 1e-6)))
        before, after = jax.device_get((states, new))
        start, states = start + n, new
        for i, member in enumerate(members):
            pick = partial(jax.tree.map, lambda a, i=i: a[i])
            chunk = steps.Chunk(pick(after), start, losses[i], seconds, pick(before))
            members[i] = _follow(member, chunk)
        alive = losses[: len(members)][[m.failed is None for m in members]]
        mean = float(alive.mean()) if alive.size else math.nan
        progress.update(start, mean, n / seconds)  # steps of all members together
        _diagnose(members, examples)
    progress.stop()
    return [_row(member) for member in members]


def _follow(member: Member, chunk: steps.Chunk) -> Member:
    """Write down what a member did; one whose loss is not finite stops before it."""
    record, failed = member
    if failed is not None:
        return member
    finite = np.isfinite(chunk.losses)
    if finite.all():
        record.add(chunk)
        return member
    first = chunk.step - len(finite) + int(finite.argmin())
    assert chunk.before is not None
    record.run.state = chunk.before
    record.save()
    _write_failure(record.run, first)
    return Member(record, first)


def _write_failure(run: Run, step: int) -> None:
    """Say in a member's folder, as a training alone does, why it has no result."""
    text = (
        f"the loss is not finite at step {step}; step {run.step}, the last good one, "
        f"is saved in {run.path}. Train with a smaller lr (it was {run.config.lr:g}), "
        "or with clip 1\n"
    )
    atomic.write_text(run.path / "failure.txt", text)


def _opened(config: TrainConfig, dataset: Dataset) -> Record:
    path = sweep_plan.path(config)
    return open_run(config, dataset, path if path.exists() else None)


def _diagnose(members: list[Member], examples: tuple) -> None:
    for member in members:
        if member.failed is None:
            member.record.diagnose(*examples)


def _stop(members: list[Member], step: int, number: int) -> None:
    """Save the members where they are; those that failed were saved then.

    Raises:
        Interrupted: always.
    """
    for member in members:
        if member.failed is None:
            member.record.save()
    root = members[0].record.run.path.parent
    raise Interrupted(root, step, number, "sweep")


def _row(member: Member) -> dict[str, Any]:
    run: Run = member.record.run
    row = {"seed": run.config.seed, "lr": run.config.lr, "path": str(run.path)}
    if member.failed is not None:
        return row | {"failed_at": member.failed}
    try:
        member.record.write_result()
    except steps.Diverged as diverged:
        member.record.go_back(diverged)
        return row | {"failed_at": diverged.step}
    assert run.result is not None
    return row | {k: v for k, v in run.result.items() if k.endswith("_loss")}


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

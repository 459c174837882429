"""Members of a sweep that train together, each with the books of its own run."""

import math
import time
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.sharding import Mesh
from jax.sharding import PartitionSpec as P

from jaxninja.data.datasets import Dataset
from jaxninja.storage import atomic
from jaxninja.training import steps
from jaxninja.training.config import TrainConfig
from jaxninja.training.machine.signals import Interrupted
from jaxninja.training.progress import Progress
from jaxninja.training.runs.opening import open_run
from jaxninja.training.runs.recorder import Record
from jaxninja.training.runs.run import Run
from jaxninja.training.sweeps import plan
from jaxninja.training.sweeps.program import put

FIRST, SIGN = 10, 5.0  # steps until the first sign of life; seconds between two, about


class Member(NamedTuple):
    """One training of a sweep."""

    record: Record
    failed: int | None = None  # the step whose loss is not finite


def train(
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

    advance: of `program.compiled`, for so many members.
    """
    config = configs[0]
    members = [Member(_opened(c, dataset)) for c in configs]
    padding = [members[-1]] * (width - len(members))
    runs = [m.record.run for m in members + padding]
    seeds = np.array([run.config.seed for run in runs], np.int32)
    rates = np.array([run.config.lr for run in runs], np.float32)
    data = steps.feed(config, dataset, partial(put, mesh=mesh, spec=P()))(start)
    seeds, rates = (put(a, mesh, P("members")) for a in (seeds, rates))
    states = [run.state for run in runs]
    states = jax.tree.map(lambda *a: put(np.stack(a), mesh, P("members")), *states)
    here = steps.feed(config, dataset)
    pace = FIRST
    progress.start(start, config.steps)
    _diagnose(members, here)
    while start < config.steps and any(m.failed is None for m in members):
        if caught:
            _stop(members, start, caught[0])
        n = min(steps.next_stop(config, start) - start, pace)
        clock = time.perf_counter()
        new, losses = advance(states, seeds, rates, data, np.int32(start), np.int32(n))
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
        _diagnose(members, here)
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
    _fail(record, steps.Diverged(chunk.before, record.run.step, first))
    return Member(record, first)


def _fail(record: Record, diverged: steps.Diverged) -> None:
    """Say in a member's folder, as a training alone does, why it has no result."""
    run, diverged = record.run, record.from_good(diverged)
    record.go_back(diverged)
    left = steps.what_is_left(diverged, run.config, run.path)
    atomic.write_text(run.path / "failure.txt", f"{diverged}; {left}\n")


def _opened(config: TrainConfig, dataset: Dataset) -> Record:
    path = plan.path(config)
    return open_run(config, dataset, path if path.exists() else None)


def _diagnose(members: list[Member], feed: steps.Feed) -> None:
    for member in members:
        if member.failed is None:
            member.record.diagnose(feed)


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
        _fail(member.record, diverged)
        return row | {"failed_at": diverged.step}
    assert run.result is not None
    return row | {k: v for k, v in run.result.items() if k.endswith("_loss")}

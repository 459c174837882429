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
from jax.sharding import AxisType, Mesh, NamedSharding
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
from jaxninja.training.machine.devices import pick_device
from jaxninja.training.machine.signals import Interrupted, caught_signals
from jaxninja.training.opening import open_run
from jaxninja.training.progress import Bar, Progress, expect_progress
from jaxninja.training.recorder import Record
from jaxninja.training.run import Run

FIRST, SIGN = 10, 5.0  # steps until the first sign of life; seconds between two, about
AT_ONCE = 4  # members in one vmap on a CPU: more no longer fit its second-level cache


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
    mesh = _mesh(config)
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
    with run_folder.lock(root), caught_signals(None) as caught:
        for start, part in sweep_plan.groups(waiting, group):
            for row in _train(part, group, dataset, mesh, listener, start, caught):
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


def _mesh(config: TrainConfig) -> Mesh:
    """All devices of the kind that the configuration asks for, in one row."""
    devices = np.array(jax.devices(pick_device(config.device).platform))
    return Mesh(devices, ("members",), axis_types=(AxisType.Auto,))


def group_size(config: TrainConfig, model: Any, memory: int, devices: int) -> int:
    """Members that fit into so many bytes: their states twice, and their batches."""
    state = jax.eval_shape(lambda: steps.init_state(config, model))
    own = sum(math.prod(a.shape) * a.dtype.itemsize for a in jax.tree.leaves(state))
    examples = steps.longest_chunk(config) * config.batch_size
    batches = 4 * examples * steps.numbers(config)
    return max(memory // (2 * own + batches) // devices, 1) * devices


def _train(
    configs: list[TrainConfig],
    width: int,
    dataset: Dataset,
    mesh: Mesh,
    progress: Progress,
    start: int,
    caught: list[int],
) -> list[dict[str, Any]]:
    """Train one group from the step where it is to the last, among `width` members."""
    config, model = configs[0], configs[0].network(len(dataset.vocabulary))
    members = [Member(_opened(c, dataset)) for c in configs]
    padding = [configs[-1]] * (width - len(configs))
    seeds = np.array([c.seed for c in configs + padding], np.int32)
    rates = np.array([c.lr for c in configs + padding], np.float32)
    x, y = (_put(a, mesh, P()) for a in dataset.train)
    seeds, rates = (_put(a, mesh, P("members")) for a in (seeds, rates))
    states = [m.record.run.state for m in members] + [
        members[-1].record.run.state
    ] * len(padding)
    states = jax.tree.map(lambda *a: _put(np.stack(a), mesh, P("members")), *states)
    examples = tuple(map(jnp.asarray, dataset.train))
    advance = make_advance(config, model, mesh)
    program: Any = None
    pace = FIRST
    progress.start(start, config.steps)
    _diagnose(members, examples)
    while start < config.steps and any(m.failed is None for m in members):
        if caught:
            _stop(members, start, caught[0])
        n = min(steps.next_stop(config, start) - start, pace)
        given = (states, seeds, rates, x, y, np.int32(start), np.int32(n))
        if program is None:  # ahead, so that compiling does not count as training
            progress.say(f"compiling  for {len(configs)} members at a time")
            with steps.matmul_precision(config):
                program = advance.lower(*given).compile()
        clock = time.perf_counter()
        new, losses = program(*given)
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


def make_advance(config: TrainConfig, model: Any, mesh: Mesh) -> Callable[..., Any]:
    """`advance(states, seeds, rates, x, y, start, n)`, jitted, axis 0 over members.

    One program for every n, as `steps.make_advance`, and another one for another number
    of members: the same member has the same numbers in both up to rounding.
    """
    on_cpu = mesh.devices.flat[0].platform == "cpu"
    take_steps = steps.take_steps(config, model)

    def one(member, x, y, start, n):
        state, seed, lr = member
        return take_steps(state, x, y, start, n, seed, lr)

    @jax.jit
    def advance(states, seeds, rates, x, y, start, n):
        def share(states, seeds, rates, x, y):
            train = lambda member: one(member, x, y, start, n)  # noqa: E731
            limit = min(AT_ONCE, len(seeds)) if on_cpu else len(seeds)
            size = max(k for k in range(1, limit + 1) if len(seeds) % k == 0)
            return jax.lax.map(train, (states, seeds, rates), batch_size=size)

        own, whole = P("members"), P()
        specs = (own, own, own, whole, whole)
        return jax.shard_map(share, mesh=mesh, in_specs=specs, out_specs=own)(
            states, seeds, rates, x, y
        )

    return advance


def _put(array, mesh, spec):
    return jax.device_put(jnp.asarray(array), NamedSharding(mesh, spec))


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

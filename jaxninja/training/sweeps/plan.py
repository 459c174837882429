"""What a sweep has to do and what it has done, in its folder: plan.json, sweep.json."""

import dataclasses
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NotRequired, TypedDict

from jaxninja.storage import atomic, records, run_folder
from jaxninja.training.config import ConfigError, TrainConfig

PLAN, ROWS = "plan.json", "sweep.json"  # what is to do, and what is done
MEMBERS = 10_000  # a folder each


class Plan(TypedDict):
    """plan.json: the configuration of all members, and what they differ in."""

    config: dict[str, Any]
    seeds: list[int]
    rates: list[float]


class Row(TypedDict):
    """A member in sweep.json: its losses, or the step it failed at."""

    seed: int
    lr: float
    path: str
    failed_at: NotRequired[int]
    train_loss: NotRequired[float]
    val_loss: NotRequired[float]


def read(root: Path) -> tuple[TrainConfig, list[int], list[float]]:
    """Configuration, seeds and learning rates of a sweep.

    Raises:
        ConfigError: there is no sweep in this folder, or one of another version.
        RecordError: its plan was cut short or altered.
    """
    if not (root / PLAN).exists():
        raise ConfigError(f"{root} is no sweep: it has no {PLAN}")
    plan = records.read(root / PLAN, Plan)
    try:
        config = TrainConfig.from_dict(plan["config"])
    except ConfigError as error:
        raise ConfigError(f"{root / PLAN}: config: {error}") from None
    return config, plan["seeds"], plan["rates"]


def new_folder(config: TrainConfig, seeds, rates) -> Path:
    """The sweep's folder, with what is needed to go on with it."""
    stem = "-".join([*config.trained, "sweep"])
    root = run_folder.create(config.runs, config.name, stem)
    (root / "checkpoints").rmdir()  # the members have their own
    plan = {"config": config.to_dict(), "seeds": list(map(int, seeds))}
    atomic.write_json(root / PLAN, plan | {"rates": list(map(float, rates))})
    return root


def rows(root: Path) -> list[dict[str, Any]]:
    """Of the members that have ended, in a sweep to go on with.

    Raises:
        RecordError: the file was cut short or altered.
    """
    file = root / ROWS
    return [*map(dict, records.read(file, list[Row]))] if file.exists() else []


def groups(
    configs: list[TrainConfig], size: int
) -> Iterator[tuple[int, list[TrainConfig]]]:
    """Members to train together, at most `size`, with the step that all of them are at.

    They are at one step at the start, and after a Ctrl-C; not if the process was killed
    while it saved them.
    """
    for step, same in itertools.groupby(sorted(configs, key=_step), _step):
        waiting = list(same)
        for start in range(0, len(waiting), size):
            yield step, waiting[start : start + size]


def _step(config: TrainConfig) -> int:
    last = run_folder.latest_checkpoint(path(config))
    return 0 if last is None else int(last.stem.removeprefix("step-"))


def path(config: TrainConfig) -> Path:
    return Path(config.runs, str(config.name))


def members(config, seeds, rates) -> list[TrainConfig]:
    for name, given, meant in (("seeds", seeds, "range(8)"), ("rates", rates, "[0.1]")):
        if not hasattr(given, "__len__") or isinstance(given, str):
            raise ConfigError(f"{name} is {given!r}, expected several, as {meant}")
    count = len(seeds) * len(rates)
    if count > MEMBERS:
        raise ConfigError(
            f"{len(seeds):,} seeds and {len(rates):,} learning rates make {count:,} "
            f"members, expected at most {MEMBERS:,}"
        )
    configs = [
        dataclasses.replace(config, lr=lr, seed=seed)
        for lr, seed in itertools.product(rates, seeds)
    ]
    # repr tells any two numbers apart
    named = [dataclasses.replace(c, name=f"lr-{c.lr!r}-seed-{c.seed}") for c in configs]
    if not named or len(set(named)) < len(named):
        raise ConfigError(
            f"seeds is {list(seeds)} and lr is {list(rates)}, expected one or more of "
            "each, all different"
        )
    return named

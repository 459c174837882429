"""Losses: of a run, of several over each other, of a sweep's members at the end."""

import itertools
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from jaxninja.plots.courses import Course, draw, shortened, wide
from jaxninja.plots.labels import name_ends
from jaxninja.plots.style import axes_of, literal, logarithmic, save

Runs = Mapping[str, Sequence[Mapping[str, Any]]]
MUCH = 10  # times as high: then a close-up shows what the whole cannot


def loss_curve(
    metrics: Sequence[Mapping[str, Any]],
    result: Mapping[str, Any] | None,
    title: str,
    path: Path,
    normalised: bool = True,
) -> None:
    """Training and validation loss against the step, as a PNG.

    Args:
        metrics: records with step, lr, train_loss (the mean since the one before) and
            val_loss or None.
        result: its train_loss and val_loss, with calibrated batchnorm, are drawn as
            levels; None leaves them out.
        title: above the axes.
        path: of the PNG, replaced if it exists.
        normalised: over the batch: val is by running statistics, and at the end by
            calibrated ones.
    """
    figure = Figure(figsize=(7, 4), dpi=120, layout="constrained")
    axes = figure.subplots()
    steps = [m["step"] for m in metrics]
    losses = [math.nan if (v := m["train_loss"]) is None else v for m in metrics]
    axes.plot(steps, losses, color="#0072b2", lw=1)
    validated = [m for m in metrics if m["val_loss"] is not None]
    axes.plot(
        [m["step"] for m in validated],
        [m["val_loss"] for m in validated],
        color="#d55e00",
        marker="o",
        ms=3,
        lw=1,
        ls="--",
    )
    names = ["train, mean of an interval"]
    names += ["val, running statistics" if normalised else "val"]
    if result is not None:
        for name, ls in (("train", "-"), ("val", ":")):
            level = result[f"{name}_loss"]
            if level is None:
                continue
            axes.axhline(level, color="black", lw=0.8, ls=ls)
            how = ", calibrated" if normalised else ""
            names.append(f"{name} at the end{how}: {level:.4f}")
    axes.legend(names, frameon=False, fontsize=9)
    axes.set(xlabel="step", ylabel="cross entropy (nats)", title=literal(title))
    _mark_drops(axes, metrics)
    axes.spines[["top", "right"]].set_visible(False)
    save(figure, path)


def _mark_drops(axes, metrics) -> None:
    """A vertical line where the learning rate changes, from one that holds to another:
    a cosine has none."""
    rates = [m["lr"] for m in metrics]
    steady = [True, *(a == b for a, b in itertools.pairwise(rates)), True]
    for place, (before, after) in enumerate(itertools.pairwise(metrics), 1):
        if not steady[place] and steady[place - 1] and steady[place + 1]:
            axes.axvline(before["step"], color="gray", lw=0.8, ls="--")
            label = f" lr {after['lr']:g}"
            height = axes.get_ylim()[1]
            axes.text(before["step"], height, label, color="gray", va="top", fontsize=9)


def losses(runs: Runs) -> list[Course]:
    """Of the records of metrics.jsonl: train, a mean an interval, and val of each run.

    Of one run the two are called so; of several a run has its name at one of them.
    """
    found = []
    for place, (name, lines) in enumerate(runs.items()):
        train, val = (
            [(m["step"], m[part]) for m in lines if m[part] is not None]
            for part in ("train_loss", "val_loss")
        )
        alone = len(runs) == 1
        names = ("train", "val") if alone else (f"{name}, train", f"{name}, val")
        found.append(Course(names[0], train, place, marked=False))
        found.append(Course(names[1], val, place))
    return [course for course in found if course.points]


def losses_of_runs(runs: Runs, close: bool = False) -> Figure:
    """Losses of one or more runs over each other: thin for train, marked for val.

    Args:
        runs: name of a run -> the records of its metrics.jsonl.
        close: only as far up as the best runs reach in their second half, see `band`.
    """
    courses = losses(runs)
    title = "loss: thin train, marked val"
    axes = axes_of(f"{title}, a close-up" if close else title, "step", "nats")
    draw(axes, courses, whole=not close)
    limits = band(courses)
    if close and limits:
        axes.set_ylim(*limits)
    elif wide(courses):
        logarithmic(axes)
    name_ends(axes, None if len(runs) == 1 else _once(courses, runs))
    return axes.figure


def _once(courses: Sequence[Course], runs: Runs) -> dict[str, str]:
    """Of each run's curves the last -> its name, without what all begin with."""
    last = {course.place: course.name for course in courses if course.finite}
    short = shortened([*runs])
    return {literal(name): literal(short[place]) for place, name in last.items()}


def band(courses: Sequence[Course]) -> tuple[float, float] | None:
    """Where the best curves end up, if all others would make a line of them.

    From the least value to the greatest in the second half of those curves that end
    within a quarter of the best; None if the whole is not much higher.
    """
    ended = [course for course in courses if course.finite]
    if not ended:
        return None
    best = min(course.finite[-1] for course in ended)
    good = [course.finite for course in ended if course.finite[-1] <= 1.25 * best]
    least, most = (f(f(c.finite) for c in ended) for f in (min, max))
    top = max(max(c[len(c) // 2 :]) for c in good)
    top += 0.05 * (top - least)
    return (least, top) if most - least > MUCH * (top - least) > 0 else None


def sweep_distribution(rows: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Losses of a sweep's members at the end, a column for each learning rate.

    Args:
        rows: of `sweeps.sweep`; members that failed are counted below.
        path: of the PNG, replaced if it exists.
    """
    figure = Figure(figsize=(7, 4), dpi=120, layout="constrained")
    axes = figure.subplots()
    rates = sorted({row["lr"] for row in rows})
    parts = (("train_loss", "#0072b2", -0.15, "o"), ("val_loss", "#d55e00", 0.15, "s"))
    for part, color, shift, mark in parts:
        points = [(rates.index(r["lr"]), r[part]) for r in rows if part in r]
        # a fixed scatter to the side, so that equal losses do not hide each other
        x = [
            i + shift + 0.1 * ((7 * k) % 11 / 5 - 1) for k, (i, _) in enumerate(points)
        ]
        label = part.replace("_", " ")
        axes.plot(x, [y for _, y in points], mark, color=color, ms=4, label=label)
    failed = [sum(r["lr"] == lr and "failed_at" in r for r in rows) for lr in rates]
    labels = [
        f"{lr:g}" + (f"\n{n} failed" if n else "")
        for lr, n in zip(rates, failed, strict=True)
    ]
    axes.set_xticks(range(len(rates)), labels)
    axes.set_xlim(-0.5, len(rates) - 0.5)
    axes.set(xlabel="learning rate", ylabel="cross entropy (nats), calibrated")
    axes.legend(frameon=False, fontsize=9)
    axes.spines[["top", "right"]].set_visible(False)
    save(figure, path)

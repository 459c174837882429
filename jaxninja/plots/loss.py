"""The figures that training itself leaves: loss.png of a run, sweep.png of a sweep."""

import itertools
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from jaxninja.plots.style import literal, save


def loss_curve(
    metrics: Sequence[Mapping[str, Any]],
    result: Mapping[str, Any] | None,
    title: str,
    path: Path,
) -> None:
    """Training and validation loss against the step, as a PNG.

    Args:
        metrics: records with step, lr, train_loss (the mean since the one before) and
            val_loss or None.
        result: its train_loss and val_loss, with calibrated batchnorm, are drawn as
            levels; None leaves them out.
        title: above the axes.
        path: of the PNG, replaced if it exists.
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
    names = ["train, mean of an interval", "val, running statistics"]
    if result is not None:
        for name, ls in (("train", "-"), ("val", ":")):
            level = result[f"{name}_loss"]
            if level is None:
                continue
            axes.axhline(level, color="black", lw=0.8, ls=ls)
            names.append(f"{name} at the end, calibrated: {level:.4f}")
    axes.legend(names, frameon=False, fontsize=9)
    axes.set(xlabel="step", ylabel="cross entropy (nats)", title=literal(title))
    _mark_drops(axes, metrics)
    axes.spines[["top", "right"]].set_visible(False)
    save(figure, path)


def _mark_drops(axes, metrics) -> None:
    """A vertical line where the learning rate changes."""
    for before, after in itertools.pairwise(metrics):
        if before["lr"] != after["lr"]:
            axes.axvline(before["step"], color="gray", lw=0.8, ls="--")
            label = f" lr {after['lr']:g}"
            height = axes.get_ylim()[1]
            axes.text(before["step"], height, label, color="gray", va="top", fontsize=9)


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

"""The measurements as Markdown and as a figure."""

import statistics
from pathlib import Path
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from experiments.benchmarks import limits, scaling
from experiments.benchmarks.clock import ratios, spread

CUBE = "1024 x 1024 x 1024"
COPY = "copy of 256 MiB"


def report(results: dict[str, Any]) -> str:
    """All parts that were measured, each under its own heading."""
    writers = {
        "step": _step,
        "vocabulary of GPT-2": _gpt2,
        "growth": _growth,
        "start": _start,
        "sweep": _sweep,
    }
    lines = ["# Benchmarks", "", "Written by `python -m experiments.benchmarks.run`."]
    lines.append("Medians; ratios are formed within a round (least to greatest).")
    if all(part["about"]["platform"] == "cpu" for part in results.values()):
        lines.append("No GPU was at hand: the rows of a GPU are missing.")
    for part, write in writers.items():
        if part in results:
            lines += [
                "",
                f"## {part[0].upper() + part[1:]}",
                _about(results[part]["about"]),
                "",
            ]
            lines += write(results[part]["measured"])
    return "\n".join(lines) + "\n"


def _about(about: dict[str, Any]) -> str:
    versions = ", ".join(f"{name} {v}" for name, v in about["versions"].items())
    return f"{about['device']}, {about['cpus']} CPUs; {versions}; {about['date']}."


def _table(head: list[str], rows: list[list[str]]) -> list[str]:
    lines = ["| " + " | ".join(row) + " |" for row in [head, *rows]]
    return [lines[0], "|---" * len(head) + "|", *lines[1:]]


def _step(seconds: dict[str, list[float]]) -> list[str]:
    bare = (*limits.PRODUCTS, COPY)
    steps = {k: s for k, s in seconds.items() if k not in bare}
    torch = [s for k, s in steps.items() if "autograd" in k]
    against = {
        "jax.grad in a scan": steps["jax.grad + optax in a scan"],
        "autodiff laid out": steps["autodiff laid out as network"],
    }
    if torch:
        against["PyTorch autograd"] = [min(r) for r in zip(*torch, strict=True)]
    limit = [s / limits.flops(CUBE) * limits.STEP_FLOPS for s in seconds[CUBE]]
    rows = []
    for name, s in steps.items():
        rate = f"{1 / statistics.median(s):,.0f}"
        cells = [spread(ratios(other, s)) for other in against.values()]
        share = statistics.median(ratios(limit, s))
        rows.append([name, rate, *cells, f"{share:.1%}"])
    head = ["", "steps/s", *(f"/ {name}" for name in against), "of the matmul limit"]
    return [*_table(head, rows), "", *_limits(seconds)]


def _limits(seconds) -> list[str]:
    rows = []
    for name in limits.PRODUCTS:
        s = statistics.median(seconds[name])
        rows.append([name, f"{s * 1e6:,.1f}", f"{limits.flops(name) / s / 1e9:,.0f}"])
    s = statistics.median(seconds[COPY])
    rows.append([COPY, f"{s * 1e6:,.0f}", f"{2 * 2**28 / s / 1e9:,.1f} GB/s"])
    return _table(["limit", "µs", "GFLOP/s"], rows)


def _gpt2(row: dict[str, Any]) -> list[str]:
    s = row["seconds"]
    time = spread(ratios(s["rule both"], s["autodiff both"]))
    mine, theirs = row["rule temporary bytes"], row["autodiff temporary bytes"]
    return [
        f"`linear_cross_entropy`, {row['size']}, forward + backward in float32:",
        f"time {time} times that of `jax.grad` of the plain form; temporary memory "
        f"{mine / 1e6:,.1f} MB against {theirs / 1e6:,.1f} MB, 1/{theirs / mine:.0f}.",
    ]


def _growth(rows: dict[str, Any]) -> list[str]:
    lines = []
    above = scaling.above_launch(rows)
    for axis, row in rows.items():
        time, flops = scaling.slope(row, above[axis])
        last, _ = scaling.slope(row)
        micro = [statistics.median(s) * 1e6 for s in row["seconds"]]
        cells = ", ".join(
            f"{n:,}: {m:,.0f}" for n, m in zip(row["sizes"], micro, strict=True)
        )
        lines.append([axis, cells, f"{time:.2f}", f"{flops:.2f}", f"{last:.2f}"])
    head = ["axis", "µs a step", "slope of time", "slope of FLOPs"]
    head += ["of time, three largest"]
    note = (
        "Slopes of log time and log FLOPs over the sizes that take five times as long "
        "as the least step of all, which is mostly launching; and over the three "
        "largest alone."
    )
    return [note, "", *_table(head, lines)]


def _start(seconds: dict[str, list[float]]) -> list[str]:
    rows = [[name, spread(s)] for name, s in seconds.items()]
    return _table(["", "seconds from nothing to 1,000 steps done"], rows)


def _sweep(seconds: dict[str, list[float]]) -> list[str]:
    alone = seconds["one seed"]
    rows = []
    for name, s in seconds.items():
        rate = f"{1 / statistics.median(s):,.0f}"
        rows.append([name, rate, spread(ratios(alone, s))])
    return _table(["", "steps/s of all seeds together", "/ one seed"], rows)


def plot(rows: dict[str, Any], path: Path) -> None:
    """Time of a step against its FLOPs, on logarithmic axes."""
    figure = Figure(figsize=(7, 4.5), dpi=120, layout="constrained")
    axes = figure.subplots()
    for (axis, row), mark in zip(rows.items(), "os^", strict=False):
        micro = [statistics.median(s) * 1e6 for s in row["seconds"]]
        axes.loglog(row["flops"], micro, marker=mark, label=f"{axis} grows")
    ends = [min(r["flops"][0] for r in rows.values())]
    ends.append(max(r["flops"][-1] for r in rows.values()))
    largest = max(rows.values(), key=lambda r: r["flops"][-1])
    last = statistics.median(largest["seconds"][-1]) * 1e6
    line = [last * f / largest["flops"][-1] for f in ends]
    axes.loglog(ends, line, color="gray", ls="--", label="as the FLOPs")
    axes.set(xlabel="FLOPs of a step", ylabel="time of a step (µs)")
    axes.legend(frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    FigureCanvasAgg(figure).print_png(str(path))

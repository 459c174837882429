"""The figure of the README: what each checker detects, and its false alarms."""

from pathlib import Path

from experiments.checker_benchmark import tables


def plot(records: list[dict], path: Path) -> None:
    """Grouped bars: a group a checker, a bar a kind of mistake."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    names = tables.checkers(records)
    chosen = {
        "mutants": {"kind": "mutant", "order": 1},
        "use of the cotangent": {"kind": "mutant", "truths": ["cotangent"]},
        "field bugs": {"kind": "field"},
        "clean rules (false alarms)": {"kind": "clean"},
    }
    bars = {
        label: [tables.select(records, checker=name, **wanted) for name in names]
        for label, wanted in chosen.items()
    }
    figure, axes = plt.subplots(figsize=(1.6 + 1.5 * len(names), 4), layout="tight")
    for i, (label, groups) in enumerate(bars.items()):
        heights = [_percent(group) for group in groups]
        places = [x + 0.2 * (i - 1.5) for x in range(len(names))]
        axes.bar(places, heights, 0.18, label=label, hatch=["", "//", "..", "xx"][i])
    axes.set_xticks(range(len(names)), names, rotation=20, ha="right")
    axes.set_ylabel("failed by the checker, %")
    axes.set_ylim(0, 105)
    axes.legend(ncols=len(bars), loc="lower center", bbox_to_anchor=(0.5, 1))
    figure.savefig(path, dpi=120)
    plt.close(figure)


def _percent(group: list[dict]) -> float:
    return 100 * sum(map(tables.detected, group)) / len(group) if group else 0.0

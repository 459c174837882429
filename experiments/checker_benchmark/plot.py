"""The figure of the page: what each checker detects, and its false alarms.

    python -m experiments.checker_benchmark.plot

draws it anew from the table that `python -m experiments.all` has put into the page.
"""

from pathlib import Path

from experiments.all.headlines import by_name
from experiments.checker_benchmark import tables

FIGURE = Path(__file__).parents[1] / "figures" / "checker.png"
LABELS = {  # by column of the table
    "mutants": "mutants",
    "use of the cotangent": "use of the cotangent",
    "field bugs": "field bugs",
    "alarms on clean rules": "clean rules (false alarms)",
}


def plot(records: list[dict], path: Path) -> None:
    """From the records of a run."""
    draw(tables.detection(records), path)


def draw(table: str, path: Path) -> None:
    """Grouped bars: a group a checker, a bar a kind of mistake.

    Args:
        table: Markdown, with `checker` and the columns of LABELS; a cell is
            "97.3 % of 991", or a dash where there is nothing.
        path: of the PNG.
    """
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    found = by_name(table)
    width = max(1.6 + 1.5 * len(found), 8)  # the legend's, at least
    figure, axes = plt.subplots(figsize=(width, 4), layout="tight")
    for i, (column, label) in enumerate(LABELS.items()):
        heights = [_percent(cells[column]) for cells in found.values()]
        places = [x + 0.2 * (i - 1.5) for x in range(len(found))]
        axes.bar(places, heights, 0.18, label=label, hatch=["", "//", "..", "xx"][i])
    axes.set_xticks(range(len(found)), list(found), rotation=20, ha="right")
    axes.set_ylabel("failed by the checker, %")
    axes.set_ylim(0, 105)
    axes.legend(ncols=len(LABELS), loc="lower center", bbox_to_anchor=(0.5, 1))
    figure.savefig(path, dpi=120)
    plt.close(figure)


def _percent(cell: str) -> float:
    share, has, _ = cell.partition(" %")
    return float(share) if has else 0.0


if __name__ == "__main__":
    from experiments.all.pages import BLOCK

    page = (Path(__file__).parent / "README.md").read_text()
    (table,) = [text for name, _, text in BLOCK.findall(page) if name == "checkers"]
    draw(table.split("\n\n")[0], FIGURE)

"""Several runs over each other: their tables, and the curves that they share."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from jaxninja import plots
from jaxninja.plots import loss as of_losses
from jaxninja.plots import over_time
from jaxninja.plots.courses import Course, shortened
from jaxninja.plots.style import natural
from jaxninja.report.gathered import Gathered
from jaxninja.report.parts import Picture, Table, count, loss, number, value
from jaxninja.report.parts import over_time as course
from jaxninja.training.runs.schema import Diagnosis

LOSSES = ("val_loss", "train_loss", "clean_val_loss", "test_loss")
Runs = Mapping[str, Gathered]


def labelled(runs: Sequence[Gathered]) -> Runs:
    """Runs by their names, by their paths where two have the same."""
    names = [found.name for found in runs]
    twice = len(set(names)) < len(names)
    return {str(found.path) if twice else found.name: found for found in runs}


def parts(runs: Runs) -> Iterator[Picture | Table]:
    """The curves of all runs: losses, moves of the weights, norms of the gradient."""
    metrics = {name: found.metrics for name, found in runs.items()}
    losses = of_losses.losses(metrics)
    draw: Any = lambda: plots.losses_of_runs(metrics)  # noqa: E731
    drawn = [course("loss", "the losses of all runs", losses, draw)]
    if isinstance(drawn[0], Picture) and of_losses.band(losses):
        alt = "the losses of all runs, a close-up of the best"
        close: Any = lambda: plots.losses_of_runs(metrics, close=True)  # noqa: E731
        drawn.append(Picture("loss", alt, close))
    places = {name: n for n, name in enumerate(runs)}
    short = shortened([*runs])
    diagnosed = {name: found for name, found in runs.items() if found.diagnostics}
    moves = [
        Course(short[places[name]], [*map(_move, found.diagnostics)], places[name])
        for name, found in diagnosed.items()
    ]
    alt = "the update:data ratios of all runs, the median over the weights"
    drawn.append(course("updates", alt, moves, lambda: over_time.ratios(moves)))
    norms = [
        over_time.norm(short[places[name]], found.diagnostics, places[name])
        for name, found in diagnosed.items()
    ]
    given = (found.config.get("clip") for found in runs.values())
    limits = sorted({limit for limit in given if limit is not None})
    alt = "the norm of the gradient of all runs"
    draw = lambda: over_time.norms(norms, limits)  # noqa: E731
    drawn.append(course("clipping", alt, norms, draw))
    yield from (part for part in drawn if part is not None)
    if diagnosed:
        yield layers(diagnosed)


def _move(line: Diagnosis) -> tuple[int, float | None]:
    """The median of update:data over the weight matrices of a step."""
    names = [name for name in line["parameters"] if name[0] == "W"]
    return line["step"], over_time.median_update(line, names)


def layers(runs: Runs) -> Table:
    """The std of each layer's activations at the last diagnosis, a column a run."""
    lasts = [found.diagnostics[-1]["activations"] for found in runs.values()]
    names = natural({name for last in lasts for name in last})
    rows = [
        (name, *(_spread(last[name]) if name in last else "" for last in lasts))
        for name in names
    ]
    return Table(
        "activations",
        "std of the activations, and how many are flat",
        ("layer", *runs),
        rows,
    )


def _spread(stats: Any) -> str:
    flat = stats["saturated"]
    return f"{number(stats['std'])}" + (f", {flat:.1%} flat" if flat else "")


def results(runs: Runs) -> Table:
    """A row for each run: size, time and losses; what has not ended has its steps."""
    losses = (name.removesuffix("_loss").replace("_", " ") for name in LOSSES)
    head = ("run", *losses, "model", "parameters", "steps", "seconds")
    rows = [_row(name, found) for name, found in runs.items()]
    return Table("results", "results, losses in nats", head, rows)


def _row(name: str, found: Gathered) -> tuple[str, ...]:
    result: Any = found.result or {}
    reached = found.metrics[-1]["step"] if found.metrics else 0
    seconds = result.get("seconds")
    losses = (loss(result.get(part)) for part in LOSSES)
    size = count(result.get("parameters")), count(result.get("steps", reached))
    took = "none" if seconds is None else f"{seconds:.1f}"
    return name, *losses, str(found.config.get("model", "ninja")), *size, took


def differences(runs: Runs) -> Table:
    """The options that differ, a column for each run."""
    rows = []
    for name in dict.fromkeys(k for found in runs.values() for k in found.config):
        given = [found.config.get(name) for found in runs.values()]
        if any(v != given[0] for v in given) and name not in ("name", "runs"):
            rows.append((name, *map(value, given)))
    return Table("differences", "options that differ", ("", *runs), rows)

"""What a report is made of beside sentences: a picture, or a table where it says more.

A topic of the report is a heading, how to read it, findings, and parts.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from jaxninja.plots.courses import Course

FEW = 3  # points of a curve: as numbers they say more

TOPICS = {
    "loss": "Loss",
    "start": "At the start",
    "activations": "Activations",
    "gradients": "Gradients",
    "updates": "Updates",
    "clipping": "Norm and clipping of the gradient",
    "batchnorm": "Batchnorm",
    "forces": "Push and pull on the logits",
    "attention": "Attention",
    "embedding": "Embedding",
}
# What a figure shows and how it looks when all is well.
READ = {
    "loss": "A point of train is the mean over an interval, of val an evaluation. "
    "Healthy: falling, then flat, and val close to train.",
    "start": "Healthy: a loss near log V, and activations away from their ends.",
    "activations": "Healthy: layers alike, values away from the flat ends of the "
    "function, and no filled column in the map (a unit that no example reaches).",
    "gradients": "Healthy: layers alike; neither a spike at zero nor wider and wider.",
    "updates": "log10 of how much a step moves the weights. Healthy: about -3.",
    "clipping": "Healthy: no outliers, or a limit that cuts off a few.",
    "batchnorm": "Healthy: falling to a few per cent, the noise of the 1,024 examples "
    "that stand for the training set.",
    "forces": "A row is an example and sums to zero: blue pulls its target up, "
    "orange pushes the others down, by their probability.",
    "attention": "A row is a place and sums to one over the places up to it: filled "
    "is where it looks. Heads that look alike do the same work twice.",
    "embedding": "Symbols that serve alike drift together, as vowels do.",
}


class Picture(NamedTuple):
    """A figure of the report; it is drawn when its place on the page is known."""

    topic: str  # of the findings that belong to it
    alt: str  # what it shows, for whoever cannot see it
    draw: Callable[[], Any]  # -> Figure


class Table(NamedTuple):
    """Rows of cells under a head; a row's first cell is its name."""

    topic: str
    alt: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]


def over_time(
    topic: str, alt: str, courses: Sequence[Course], draw: Callable[[], Any]
) -> Picture | Table | None:
    """Curves as a picture; as a table if they have a few points; None without any."""
    steps = sorted({step for course in courses for step, _ in course.points})
    if not steps:
        return None
    if len(steps) > FEW:
        return Picture(topic, alt, draw)
    rows = []
    for course in courses:
        at = dict(course.points)
        rows.append((course.name, *(number(at.get(step)) for step in steps)))
    return Table(topic, alt, ("step", *(f"{step:,}" for step in steps)), rows)


def number(value: float | None) -> str:
    return "none" if value is None else f"{value:.4g}"


def loss(value: float | None) -> str:
    return "none" if value is None else f"{value:.4f}"


def count(value: int | None) -> str:
    return "none" if value is None else f"{value:,}"


def value(given: Any) -> str:
    """An option or a result as a cell."""
    if given is None:
        return "none"
    return f"{given:.6g}" if isinstance(given, float) else str(given)

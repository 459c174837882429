"""What changes over training: losses, update:data ratios, norms, batchnorm's gap.

Each takes records of runs; values that were not finite leave gaps. A curve is named at
its end, and several runs lie over each other, each with its dashes and its marker.
"""

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from matplotlib.figure import Figure

from jaxninja.plots.labels import name_ends
from jaxninja.plots.style import (
    MARKERS,
    SOFT,
    axes_of,
    literal,
    logarithmic,
    looks,
    natural,
)

Lines = Sequence[Mapping[str, Any]]
Runs = Mapping[str, Lines]
TARGET = -3  # log10 of the update:data ratio that serves
MUCH = 10  # times as high: then a close-up shows what the whole cannot


class Course(NamedTuple):
    """A curve: what it is called, its values, and which look it has.

    Attributes:
        name: at its end.
        points: (step, value), None for a value that was not finite.
        place: among those that are drawn, which decides its look; a run has one.
        marked: with markers; without, it is thin.
    """

    name: str
    points: Sequence[tuple[int, float | None]]
    place: int
    marked: bool = True

    @property
    def finite(self) -> list[float]:
        return [v for _, v in self.points if v is not None and math.isfinite(v)]


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
    elif _wide(courses):
        logarithmic(axes)
    name_ends(axes, None if len(runs) == 1 else _once(courses, runs))
    return axes.figure


def _once(courses: Sequence[Course], runs: Runs) -> dict[str, str]:
    """Of each run's curves the last -> its name, without what all begin with."""
    last = {course.place: course.name for course in courses if course.finite}
    short = shortened([*runs])
    return {literal(name): literal(short[place]) for place, name in last.items()}


def shortened(names: Sequence[str], most: int = 16) -> list[str]:
    """Names without the words that all begin with, if one is longer than `most`."""
    if max(map(len, names), default=0) <= most:
        return [*names]
    words = [name.split("-") for name in names]
    common = sum(1 for _ in itertools.takewhile(_same, zip(*words, strict=False)))
    cut = min(common, min(map(len, words)) - 1)  # a word is left of each
    return ["-".join(word[cut:]) for word in words]


def _same(words: tuple[str, ...]) -> bool:
    return len(set(words)) == 1


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


def _wide(courses: Sequence[Course]) -> bool:
    """Values of which the greatest is many times the least: an axis of factors."""
    values = [v for course in courses for v in course.finite]
    return bool(values) and max(values) > 4 * min(values) > 0


def updates(lines: Lines) -> list[Course]:
    """update:data of each weight matrix and the embedding."""
    names = natural({k for line in lines for k in line["parameters"] if k[0] in "CW"})
    return [
        Course(
            name, [(m["step"], m["parameters"][name]["update_data"]) for m in lines], n
        )
        for n, name in enumerate(names)
    ]


def update_ratios(lines: Lines) -> Figure:
    """log10 of std(update) / std(data) of each weight matrix, with the line at -3."""
    return ratios(updates(lines))


def ratios(courses: Sequence[Course]) -> Figure:
    """Update:data ratios, as log10, with the line at -3."""
    axes = axes_of("update:data ratio of the weights", "step", "log10")
    draw(axes, courses)
    level(axes, TARGET, "about right")
    name_ends(axes)
    return axes.figure


def gradient_norms(lines: Lines, limit: float | None = None) -> Figure:
    """Global norm of the gradient, and the limit at which it is clipped, if any."""
    return norms([norm("norm", lines, 0)], () if limit is None else (limit,))


def norm(name: str, lines: Lines, place: int) -> Course:
    """The global norm of a run's gradient."""
    return Course(name, [(line["step"], line["grad_norm"]) for line in lines], place)


def norms(courses: Sequence[Course], limits: Iterable[float] = ()) -> Figure:
    """Global norms of the gradient, and the limits at which they are clipped."""
    axes = axes_of("norm of the gradient", "step", "global norm")
    draw(axes, courses)
    for limit in limits:
        level(axes, limit, f"clip {limit:g}", ls="--")
    if _wide(courses):
        logarithmic(axes)
    name_ends(axes)
    return axes.figure


def gaps(lines: Lines) -> list[Course]:
    """Of each layer with batchnorm: the gap of its means, and of its deviations."""
    layers = natural({k for line in lines for k in line["batchnorm"]})
    series = [(layer, part) for layer in layers for part in ("mean", "std")]
    return [
        Course(
            f"layer {layer}, {part}",
            [(m["step"], m["batchnorm"].get(layer, {}).get(part)) for m in lines],
            n,
        )
        for n, (layer, part) in enumerate(series)
    ]


def batchnorm_gaps(lines: Lines) -> Figure:
    """How far batchnorm's running statistics are from calibrated ones, by layer."""
    title = "running against calibrated statistics"
    axes = axes_of(title, "step", "root mean square gap")
    draw(axes, gaps(lines))
    logarithmic(axes)
    name_ends(axes)
    return axes.figure


def level(axes: Any, height: float, words: str, ls: str = "-") -> None:
    """A line across at a value to compare with, named at its end like a curve."""
    across = axes.get_xlim()
    axes.plot(across, (height, height), color=SOFT, lw=0.8, ls=ls, label=words)


def draw(axes: Any, courses: Sequence[Course], whole: bool = True) -> None:
    """Curves with a few markers; one without a finite value is left out.

    Args:
        axes: to draw on.
        courses: the curves.
        whole: the axes hold all of them, so that no marker is to be cut off.
    """
    most = max((course.place for course in courses), default=0)
    given = list(itertools.islice(looks(), most + 1))
    for course in filter(lambda course: course.finite, courses):
        steps, values = zip(*course.points, strict=True)
        style: dict[str, Any] = {"lw": 0.9, "clip_on": not whole}
        if course.marked:
            marker = MARKERS[course.place % len(MARKERS)]
            style |= {"lw": 1.3, "marker": marker, "ms": 4}
            style["markevery"] = max(len(steps) // 8, 1)
        drawn = [math.nan if value is None else value for value in values]
        (line,) = axes.plot(
            steps, drawn, label=literal(course.name), **given[course.place] | style
        )
        line.set_gid(f"curve-{course.place}")

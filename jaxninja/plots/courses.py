"""Curves over the steps of training: what they are made of, and how they are drawn.

Several runs lie over each other, each with its dashes and its marker; what is compared
with stands behind them.
"""

import itertools
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from jaxninja.plots.style import MARKERS, SOFT, literal, looks


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


def wide(courses: Sequence[Course]) -> bool:
    """Values of which the greatest is many times the least: an axis of factors."""
    values = [v for course in courses for v in course.finite]
    return bool(values) and max(values) > 4 * min(values) > 0


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

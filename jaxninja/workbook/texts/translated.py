"""Heads and lessons of exercises in another language than the solutions' English."""

from typing import Any

from jaxninja.workbook.texts.languages import current
from jaxninja.workbook.texts.zh import heads, lessons

HEADS, TITLES = {"zh": heads.HEADS}, {"zh": heads.TITLES}
LESSONS = {"zh": lessons.LESSONS}


def head(number: int) -> str | None:
    """The docstring of an exercise's file; None where it is as in the solution."""
    return HEADS.get(current(), {}).get(number)


def title(number: int) -> str | None:
    """A few words on an exercise; None where there are none but English ones."""
    return TITLES.get(current(), {}).get(number)


def lesson(number: int, name: str) -> dict[str, Any]:
    """rule, steps, formula and why of a gradient, as far as they are translated."""
    return LESSONS.get(current(), {}).get(f"{number}.{name}", {})

"""Titles, heads and lessons of exercises in another language than English.

The English is that of the solutions.
"""

from typing import Any

from jaxninja.workbook.texts.languages import current
from jaxninja.workbook.texts.zh import exercises as zh

TITLES, HEADS, LESSONS = {"zh": zh.TITLES}, {"zh": zh.HEADS}, {"zh": zh.LESSONS}


def title(number: int) -> str | None:
    """A few words on an exercise; None in English."""
    return TITLES.get(current(), {}).get(number)


def head(number: int) -> str | None:
    """The docstring of an exercise's file; None in English."""
    return HEADS.get(current(), {}).get(number)


def lesson(number: int, name: str) -> dict[str, Any]:
    """rule, steps, formula and why of a gradient; none of them in English."""
    return LESSONS.get(current(), {}).get(number, {}).get(name, {})

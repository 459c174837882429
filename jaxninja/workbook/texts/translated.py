"""Heads and lessons of exercises in another language than the solutions' English."""

from typing import Any

from jaxninja.workbook.texts.languages import current
from jaxninja.workbook.texts.zh import lessons as chinese

OTHERS = {"zh": chinese}


def head(number: int) -> str | None:
    """The docstring of an exercise's file; None where it is as in the solution."""
    other = OTHERS.get(current())
    return other and other.HEADS.get(number)


def title(number: int) -> str | None:
    """A few words on an exercise; None where there are none but English ones."""
    other = OTHERS.get(current())
    return other and other.TITLES.get(number)


def lesson(number: int, name: str) -> dict[str, Any]:
    """rule, steps, formula and why of a gradient, as far as they are translated."""
    other = OTHERS.get(current())
    return other.LESSONS.get(f"{number}.{name}", {}) if other else {}

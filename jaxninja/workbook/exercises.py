"""All exercises, by number."""

from jaxninja.workbook.exercise import Exercise
from jaxninja.workbook.solutions import (
    exercise1,
    exercise2,
    exercise3,
    exercise4,
    exercise5,
    exercise6,
    exercise7,
    exercise8,
)

MODULES = (exercise1, exercise2, exercise3, exercise4, exercise5, exercise6, exercise7)
MODULES += (exercise8,)
EXERCISES: dict[int, Exercise] = {m.EXERCISE.number: m.EXERCISE for m in MODULES}

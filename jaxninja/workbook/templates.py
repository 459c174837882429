"""Exercises and hints, made from the worked solutions."""

import re
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache

from jaxninja.errors import ArgumentError, did_you_mean
from jaxninja.workbook.code import parse
from jaxninja.workbook.exercises import EXERCISES, Exercise
from jaxninja.workbook.graph import NODE, uses

RUNGS = ("shape", "rule", "formula", "one line", "solution")


@dataclass(frozen=True)
class Lesson:
    """What the solution says about one gradient.

    Attributes:
        name: of the array.
        rule, formula, why: the comment above it.
        code: its lines.
        first, last: line numbers of comment and code, from 1.
    """

    name: str
    rule: str
    formula: str
    why: str
    code: tuple[str, ...]
    first: int
    last: int


@cache
def lessons(exercise: Exercise) -> dict[str, Lesson]:
    """The lessons of an exercise, by name."""
    return {name: _lesson(exercise, exercise.worked, name) for name in exercise.names}


def _lesson(exercise: Exercise, solution: parse.Source, name: str) -> Lesson:
    lines = exercise.solution.splitlines()
    nodes = [s.node for s in solution.assigning(f"d{name}")]
    first, last = nodes[0].lineno, nodes[-1].end_lineno or nodes[-1].lineno
    top = first
    while lines[top - 2].startswith("    #"):
        top -= 1
    comment = " ".join(line.strip(" #") for line in lines[top - 1 : first - 1])
    parts = dict(
        re.findall(r"(rule|formula|why): (.*?)(?= (?:formula|why): |$)", comment)
    )
    code = (
        line.strip().removesuffix("# noqa: E501").rstrip()
        for line in lines[first - 1 : last]
    )
    return Lesson(name, **parts, code=tuple(code), first=top, last=last)


def template(exercise: Exercise) -> str:
    """The solution with gaps: what is asked as comments, `None` for what to do."""
    lines = exercise.solution.splitlines()
    for lesson in reversed(lessons(exercise).values()):
        gap = [f"    # {text}" for text in _task(exercise, lesson.name)]
        gap.append(f"    d{lesson.name} = None")
        lines[lesson.first - 1 : lesson.last] = gap
    return "\n".join(lines) + "\n"


def _task(exercise: Exercise, name: str) -> Iterator[str]:
    """The steps that read an array, its shape, and when the lecture is there."""
    yield from _readers(exercise, name)
    time = {1: NODE[name].time, 2: "1:26:31", 3: "1:36:37", 4: "1:50:02"}
    yield f"{shape(name)}; lecture about {time[exercise.number]}"


def _readers(exercise: Exercise, name: str) -> list[str]:
    """The steps that read an array, where an exercise goes through all of them."""
    readers = uses(name)
    known = all(node.name in (*exercise.names, "loss") for node in readers)
    return [node.line for node in readers] if known else []


def shape(name: str) -> str:
    return "[" + ", ".join(NODE[name].shape.split()) + "]"


def hint(number: int, name: str, level: int) -> str:
    """The ladder of hints up to a rung of RUNGS, counted from 1."""
    exercise = EXERCISES[number]
    lesson = lessons(exercise)[name]
    readers = "; ".join(_readers(exercise, name))
    branches = "  # and a second line adds the other branch, with +="
    rungs = (
        f"d{name} has the shape of {name}, {shape(name)}"
        + (f"; {name} is read by: {readers}" if readers else ""),
        lesson.rule,
        f"d{name}: {lesson.formula}",
        lesson.code[0] + (branches if len(lesson.code) > 1 else ""),
        "\n".join((*lesson.code, *_wrapped(_why(number, name)))),
    )
    pairs = zip(RUNGS[:level], rungs, strict=False)
    return "\n".join(_labelled(label, text) for label, text in pairs)


def ladder(number: int, name: str, level: int) -> str:
    """The hints up to a rung, and which comes next."""
    more = [f"again for more: {rung}" for rung in RUNGS[level : level + 1]]
    return "\n".join([hint(number, name, level), *more])


def _why(number: int, name: str) -> str:
    """The derivation in words; exercise 4 refers to the others for most of its."""
    text = lessons(EXERCISES[number])[name].why
    other = re.fullmatch(r"See exercise (\d)\.", text)
    return _why(int(other[1]), name) if other else text


def explanations(number: int, names: Sequence[str]) -> Iterator[str]:
    """What was found just now, in words."""
    if names:
        yield "Right for the first time, and why it is so:"
    for name in names:
        yield from explanation(number, name)


def explanation(number: int, name: str) -> Iterator[str]:
    """Why a gradient is what it is, for who has found it."""
    first, *rest = _wrapped(_why(number, name))
    yield f"  {'d' + name:<16} {first}"
    yield from (f"  {'':<16} {line}" for line in rest)


def _labelled(label: str, text: str) -> str:
    first, *rest = text.splitlines()
    return "\n".join([f"{label:<9} {first}", *(f"{'':<9} {line}" for line in rest)])


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, 70)


def find(place: str) -> tuple[int, str]:
    """ "1.counts" -> (1, "counts"); d in front of the name is fine.

    Raises:
        ValueError: there is no such exercise or gradient.
    """
    number, _, name = place.partition(".")
    if number not in {str(k) for k in EXERCISES}:
        raise ArgumentError(
            f"{place!r}: expected N.NAME with N from 1 to 4, as 1.counts"
        )
    names = EXERCISES[int(number)].names
    if name not in names and name.startswith("d") and name[1:] in names:
        name = name[1:]
    if name not in names:
        raise ArgumentError(
            f"exercise {number} has no gradient {name!r}, it asks for: "
            f"{', '.join(names)}{did_you_mean(name, names)}"
        )
    return int(number), name

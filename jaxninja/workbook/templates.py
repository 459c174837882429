"""Exercises and hints, made from the worked solutions."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache

from jaxninja.errors import ArgumentError
from jaxninja.workbook.code import parse
from jaxninja.workbook.exercise import Exercise
from jaxninja.workbook.exercises import EXERCISES
from jaxninja.workbook.network import Node
from jaxninja.workbook.texts import translated
from jaxninja.workbook.texts.languages import listing, meant, sentence
from jaxninja.workbook.texts.wrapping import padded, shortened, wrapped


@dataclass(frozen=True)
class Lesson:
    """What the solution says about one gradient.

    Attributes:
        name: of the array.
        rule, steps, formula, why: the comment above it.
        code: its lines.
        first, last: line numbers of comment and code, from 1.
    """

    name: str
    rule: str
    steps: tuple[str, ...]
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
    found = re.findall(
        r"(rule|step|formula|why): (.*?)(?= (?:step|formula|why): |$)", comment
    )
    parts = {label: text for label, text in found if label != "step"}
    steps = tuple(text for label, text in found if label == "step")
    code = (
        line.strip().removesuffix("# noqa: E501").rstrip()
        for line in lines[first - 1 : last]
    )
    return Lesson(name, steps=steps, **parts, code=tuple(code), first=top, last=last)


def template(exercise: Exercise) -> str:
    """The solution with gaps: what is asked as comments, `None` for what to do."""
    lines = exercise.solution.splitlines()
    head = translated.head(exercise.number)
    for lesson in reversed(lessons(exercise).values()):
        gap = [f"    # {text}" for text in _task(exercise, lesson.name)]
        gap.append(f"    d{lesson.name} = None")
        lines[lesson.first - 1 : lesson.last] = gap
    if head is not None:
        lines[: exercise.worked.tree.body[0].end_lineno] = f'"""{head}"""'.splitlines()
    return "\n".join(lines) + "\n"


def title(exercise: Exercise) -> str:
    """A few words on it."""
    return translated.title(exercise.number) or exercise.title


def _task(exercise: Exercise, name: str) -> Iterator[str]:
    """The steps that read an array, its shape, and when the lecture is there."""
    yield from _readers(exercise, name)
    time = exercise.time or exercise.network.node[name].time
    facts = dict(shape=shape(exercise, name), effort=effort(exercise.number, name))
    yield sentence("task with time" if time else "task", time=time, **facts)


def _readers(exercise: Exercise, name: str) -> list[str]:
    """The steps that read an array, where an exercise goes through all of them."""
    network = exercise.network
    readers = network.uses(name)
    known = {*exercise.names, *exercise.given, network.output}
    whole = all(node.name in known for node in readers)
    return [node.line for node in readers] if whole else []


def effort(number: int, name: str) -> str:
    """How long it takes with pen and paper, about, and how hard it is."""
    minutes, level = EXERCISES[number].effort[name]
    return sentence("effort", minutes=minutes, level=sentence(f"level {level}"))


def shape(exercise: Exercise, name: str) -> str:
    return "[" + ", ".join(exercise.network.node[name].shape.split()) + "]"


def rungs(number: int, name: str) -> list[tuple[str, str]]:
    """The ladder of hints: a label and a text each, from the shape to the solution."""
    lesson = _translated(number, name)
    branches = sum(" += " in line for line in lesson.code)
    line = lesson.code[0] + sentence(f"branches {branches}")
    reason = _wrapped(why(number, name))
    first = (part for t in _first_rung(EXERCISES[number], name) for part in _wrapped(t))
    found = [
        ("shape", "\n".join(first)),
        ("rule", "\n".join(_wrapped(lesson.rule))),
        *(("step", "\n".join(_wrapped(text))) for text in _steps(number, name)),
        ("formula", "\n".join(_wrapped(f"d{name}: {lesson.formula}"))),
        ("one line", line),
        ("solution", "\n".join((*lesson.code, *reason))),
    ]
    return [(sentence(f"rung {label}"), text) for label, text in found]


def _translated(number: int, name: str) -> Lesson:
    """A lesson in the current language; its lines of code are the same in all."""
    lesson = lessons(EXERCISES[number])[name]
    return replace(lesson, **translated.lesson(number, name))


def hint(number: int, name: str, level: int) -> str:
    """The ladder of hints up to a rung, counted from 1."""
    return "\n".join(_labelled(*rung) for rung in rungs(number, name)[:level])


def ladder(number: int, name: str, level: int) -> str:
    """The hints up to a rung, and which comes next."""
    after = rungs(number, name)[level : level + 1]
    more = [sentence("again", label=label) for label, _ in after]
    return "\n".join([hint(number, name, level), *more])


def how_to_ask(number: int, name: str, in_notebook: bool) -> str:
    """What to write for a hint."""
    place = f"{number}.{name}"
    call = f'workbook.hint("{place}")' if in_notebook else None
    return f"`{call or f'jaxninja exercise hint {place}'}`"


def _first_rung(exercise: Exercise, name: str) -> Iterator[str]:
    """Its shape, how many branches it has, and what each is made of."""
    yield sentence("as", name=name, shape=shape(exercise, name))
    if not _readers(exercise, name):
        sources = sorted(exercise.sources(name)[0] - {"loss"})
        made = sentence("comma").join(f"d{k} {shape(exercise, k)}" for k in sources)
        yield sentence("made of", made=made or sentence("the loss"))
        return
    readers = exercise.network.uses(name)
    yield sentence(f"read {len(readers)}", name=name)
    yield from (_reader(exercise, node, name) for node in readers)


def _reader(exercise: Exercise, node: Node, name: str) -> str:
    upstream = f"d{node.name} {shape(exercise, node.name)}"
    parents = exercise.network.parents(node.name)
    others = [f"{k} {shape(exercise, k)}" for k in parents if k != name]
    first = sentence("one") if node.name == "loss" else upstream
    return sentence("reader", line=node.line, made=listing([first, *others]))


def _steps(number: int, name: str) -> tuple[str, ...]:
    """Steps on paper; some refer to another exercise for theirs."""
    lesson = lessons(EXERCISES[number])[name]
    other = re.match(r"Exercise (\d)(?:\.(\w+))?", lesson.rule)
    if other:
        return _steps(int(other[1]), other[2] or name)
    return _translated(number, name).steps


def why(number: int, name: str) -> str:
    """The derivation in words; exercise 4 refers to the others for most of its."""
    text = lessons(EXERCISES[number])[name].why
    other = re.fullmatch(r"See exercise (\d)\.", text)
    return why(int(other[1]), name) if other else _translated(number, name).why


FEW = 3  # explanations that are read in one go


def explanations(
    number: int, names: Sequence[str], in_notebook: bool = False
) -> Iterator[str]:
    """What was found just now, in words; one line each, if there are many."""
    if names:
        yield sentence("why")
    for name in names:
        short = shortened(why(number, name), 60)
        one = [f"  {'d' + name:<16} {short}"]
        yield from one if len(names) > FEW else explanation(number, name)
    if len(names) > FEW:
        place = f"{number}.{names[0]}"
        how = f'workbook.why("{place}")' if in_notebook else None
        how = f"`{how or f'jaxninja exercise list {place}'}`"
        yield sentence("all of it", how=how)


def explanation(number: int, name: str) -> Iterator[str]:
    """Why a gradient is what it is, for who has found it."""
    first, *rest = wrapped(why(number, name), 60)
    yield f"  {'d' + name:<16} {first}"
    yield from (f"  {'':<16} {line}" for line in rest)


def _labelled(label: str, text: str) -> str:
    first, *rest = text.splitlines()
    lines = [f"{padded(label, 9)} {first}", *(f"{'':<9} {line}" for line in rest)]
    return "\n".join(lines)


def _wrapped(text: str) -> list[str]:
    return wrapped(text, 70, _in(text))


def _in(text: str) -> str:
    """What goes on in the next line is set in by as much."""
    return " " * (len(text) - len(text.lstrip()))


def find(place: str) -> tuple[int, str]:
    """ "1.counts" -> (1, "counts"); d in front of the name is fine.

    Raises:
        ValueError: there is no such exercise or gradient.
    """
    number, _, name = place.partition(".")
    if number not in {str(k) for k in EXERCISES}:
        raise ArgumentError(sentence("no place", place=place, last=len(EXERCISES)))
    names = EXERCISES[int(number)].names
    if name not in names and name.startswith("d") and name[1:] in names:
        name = name[1:]
    if name not in names:
        facts = dict(number=number, name=name, meant=meant(name, names))
        raise ArgumentError(sentence("no gradient", names=", ".join(names), **facts))
    return int(number), name

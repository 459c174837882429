"""A learner's notebook as files of the workbook."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from jaxninja.workbook.exercises import EXERCISES
from jaxninja.workbook.pytorch import answers, files, names, sections, writing
from jaxninja.workbook.pytorch.answers import Answer
from jaxninja.workbook.pytorch.errors import NotebookError
from jaxninja.workbook.solutions.lecture import NETWORK

STEPS = NETWORK.steps

EXERCISES_READ = (1, 2, 3)
ENOUGH = 5  # steps of the forward pass that tell the lecture's notebook


@dataclass(frozen=True)
class Imported:
    """One exercise out of a notebook.

    Attributes:
        number: of the exercise.
        text: of its file.
        found: the gradients that the notebook has an answer to.
        left: what has no translation: the line, its text, why.
        remarks: what PyTorch does otherwise than the file.
    """

    number: int
    text: str
    found: tuple[str, ...]
    left: tuple[tuple[str, str, str], ...]
    remarks: tuple[str, ...]


def imported(path: Path) -> list[Imported]:
    """The exercises that a notebook has answers to.

    Raises:
        NotebookError: it is not there, no notebook, another one, or without answers.
    """
    found = sections.sorted_out(files.read(path))
    lines = [(line, number) for line, number in found if number != 4]
    nodes = [line.node for line, _ in lines if line.node is not None]
    renamed = names.renamed(nodes)
    made = answers.translated(lines, names.modules(nodes), renamed)
    found = [_imported(number, made, path.name) for number in EXERCISES_READ]
    found = [one for one in found if one.found or one.left]
    if not found:
        _refuse(path, nodes, renamed)
    return found


def _imported(number: int, made: Sequence[Answer], name: str) -> Imported:
    exercise = EXERCISES[number]
    kept = answers.of_exercise(exercise, made)
    found = {v for a in kept if not a.problem for v in a.made.assigns}
    return Imported(
        number,
        writing.text(exercise, kept, name),
        tuple(k for k in exercise.names if f"d{k}" in found),
        tuple(_left(kept)),
        tuple(writing.remarks(kept)),
    )


def _left(kept: Sequence[Answer]) -> Iterator[tuple[str, str, str]]:
    for answer in kept:
        if answer.problem:
            first = answer.line.text.strip().splitlines()[0]
            yield answer.line.place, first, answer.problem


def _refuse(path: Path, nodes, renamed) -> None:
    """Which of both it is: another notebook, or one without answers."""
    stored = {k for node in nodes for k in names.stored(node)}
    steps = [k for k in STEPS if k in stored]
    steps += [k for k, v in renamed.items() if getattr(v, "id", "") in STEPS]
    if len(steps) < ENOUGH:
        raise NotebookError(
            f"{path} is another notebook: expected the lecture's, whose forward pass "
            f"has {', '.join(STEPS[:4])}, ..., {STEPS[-2]}; of its {len(STEPS)} steps "
            f"this has {len(steps)}"
        )
    raise NotebookError(
        f"{path} has no answers: no line makes a gradient of exercises 1 to 3, as "
        "dlogprobs = ...; fill some in, or begin here with `jaxninja exercise start`"
    )

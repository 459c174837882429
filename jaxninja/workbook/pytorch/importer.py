"""A learner's notebook as files of the workbook."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from jaxninja.workbook import templates
from jaxninja.workbook.exercises import EXERCISES
from jaxninja.workbook.pytorch import answers, files, names, sections, writing
from jaxninja.workbook.pytorch.answers import Answer
from jaxninja.workbook.pytorch.errors import NotebookError
from jaxninja.workbook.report import GAP, OK, Report, Row
from jaxninja.workbook.solutions.lecture import NETWORK
from jaxninja.workbook.texts.languages import sentence

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
        gaps: the gradients that are still to do.
    """

    number: int
    text: str
    found: tuple[str, ...]
    left: tuple[tuple[str, str, str], ...]
    remarks: tuple[str, ...]
    gaps: tuple[str, ...]

    @property
    def complete(self) -> str:
        """The file with the solution in its gaps, line by line, for the check alone:
        so what stands below a gap is judged as well."""
        lessons, lines = templates.lessons(EXERCISES[self.number]), []
        for line in self.text.splitlines():
            name = line.removeprefix("    d").removesuffix(" = None")
            is_gap = line == f"    d{name} = None" and name in self.gaps
            lines.append(f"    {'; '.join(lessons[name].code)}" if is_gap else line)
        return "\n".join(lines) + "\n"

    def judged(self, report: Report) -> Report:
        """The report on `complete` as one on the file: its gaps are gaps."""
        rows = tuple(
            Row(row.name, GAP, row.line) if row.name in self.gaps else row
            for row in report.rows
        )
        report = replace(report, rows=rows)
        if not self.gaps or report.status != OK:
            return report
        first = next(row for row in rows if row.status == GAP)
        text = sentence("blank", variable=f"d{first.name}", blank=None)
        return replace(report, status=GAP, message=text, line=first.line)


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
        tuple(k for k in exercise.names if f"d{k}" not in found),
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
        facts = dict(first=", ".join(STEPS[:4]), last=STEPS[-2], of=len(STEPS))
        text = sentence("another notebook", path=path, count=len(steps), **facts)
        raise NotebookError(text)
    raise NotebookError(sentence("no answers", path=path))

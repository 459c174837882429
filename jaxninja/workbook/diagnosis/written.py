"""What a learner's lines say, where it is not their numbers that tell the mistake."""

import builtins
from collections.abc import Sequence

from jaxninja.workbook.code import snippets
from jaxninja.workbook.code.parse import Source
from jaxninja.workbook.code.snippets import Piece
from jaxninja.workbook.diagnosis import leftovers, misfits
from jaxninja.workbook.exercise import Exercise
from jaxninja.workbook.gradient import Judged
from jaxninja.workbook.hints import Hint
from jaxninja.workbook.report import CELL
from jaxninja.workbook.samples import Sample
from jaxninja.workbook.texts.languages import meant, sentence


def ineffective(learner: Source) -> list[Hint]:
    """Statements that were to change an array, and do not."""
    nodes = (s.node for s in (*learner.statements, *learner.prints))
    return [*leftovers.dropped(nodes)]


def why_it_raised(
    exercise: Exercise, name: str, piece: Piece, judged: Judged
) -> list[Hint]:
    """Names that are not there, changes in place, PyTorch's own, a product that does
    not fit; of the first, all that stand in its line.

    NumPy's arrays do change in place: only what was raised tells.
    """
    failure = judged.failure
    statements = piece.source.piece(f"d{name}", exercise.gradients)
    nodes = [s.node for s in statements]
    found = [
        *_undefined(exercise, name, piece),
        *(leftovers.in_place(nodes) if "immutable" in failure else ()),
        *leftovers.foreign(nodes),
        *(leftovers.unfinished(nodes) if "_IndexUpdateRef" in failure else ()),
        *(leftovers.exchanged(nodes) if "permutation" in failure else ()),
        *(leftovers.powers(nodes) if "xor" in failure else ()),
    ]
    if not found:
        found = [*misfits.that_do_not_fit(exercise, name, piece, judged.sample)]
    return [hint for hint in found if hint.line == found[0].line]


def where_it_raises(
    exercise: Exercise, name: str, piece: Piece, samples: Sequence[Sample]
) -> list[Hint]:
    """What does not fit at other sizes, where it fits at the exercise's by chance."""
    for sample in samples:
        for hint in misfits.that_do_not_fit(exercise, name, piece, sample):
            facts = {"sizes": str(sample.sizes), "text": str(hint)}
            return [Hint("at other sizes", facts, hint.line)]
    return []


def _undefined(exercise: Exercise, name: str, piece: Piece) -> list[Hint]:
    """The names that these lines read and nothing makes, the first of them."""
    source = piece.source
    done = exercise.names[: exercise.names.index(name)]
    known = {*source.parameters, *(f"d{k}" for k in (*done, *exercise.given))}
    there = {*known, *snippets.environment(source), *dir(builtins)}
    for one in source.piece(f"d{name}", exercise.gradients):
        for given in sorted(one.reads - there):
            return [_unknown(exercise, given, one.line, source, known)]
        there |= one.assigns
    return []


def _unknown(exercise: Exercise, given: str, line: int, source: Source, known) -> Hint:
    below = [s.line for s in source.assigning(given)]
    if below:
        return Hint("below", {"given": given, "below": below[-1]}, line)
    own = f"d{given}" if f"d{given}" in known else None
    own = given[1:] if given[:1] == "d" and given[1:] in known else own
    text = sentence("or meant", name=own) if own else meant(given, known)
    undefined = "not in the cell" if source.filename == CELL else "undefined"
    code = "not a parameter" if given in exercise.known else undefined
    return Hint(code, {"given": given, "meant": text}, line)

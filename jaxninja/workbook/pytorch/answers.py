"""The learner's answers among all lines of a notebook, translated."""

import ast
from collections.abc import Sequence
from dataclasses import dataclass, replace

from jaxninja.workbook.code.parse import Source
from jaxninja.workbook.code.statements import Statement, is_blank, statement, variables
from jaxninja.workbook.exercise import Exercise
from jaxninja.workbook.pytorch.cells import Line
from jaxninja.workbook.pytorch.changes import Translator
from jaxninja.workbook.pytorch.errors import NoTranslation
from jaxninja.workbook.pytorch.expressions import Names
from jaxninja.workbook.pytorch.names import KNOWN
from jaxninja.workbook.solutions.lecture import NETWORK
from jaxninja.workbook.texts.languages import sentence


@dataclass(frozen=True)
class Answer:
    """A line, what it is in JAX, or why it is nothing there.

    Attributes:
        line: of the notebook.
        exercise: its number, 0 where none is named.
        made: the names it reads and assigns, and its syntax tree in JAX.
        problem: why it has no translation; "" if it has one.
    """

    line: Line
    exercise: int
    made: Statement
    problem: str = ""


def translated(
    lines: Sequence[tuple[Line, int]], modules: dict, renamed: dict
) -> list[Answer]:
    """All lines but those of the forward pass and those still to be done."""
    translator = Translator(modules, renamed)
    found = []
    for line, number in lines:
        answer = _translated(line, number, translator, renamed)
        if answer is not None and not _is_forward(answer.made):
            found.append(answer)
    return found


def _translated(
    line: Line, number: int, translator: Translator, renamed: dict
) -> Answer | None:
    if line.node is None:
        return _broken(line, number)
    if isinstance(line.node, ast.Import | ast.ImportFrom):
        return None
    if isinstance(line.node, ast.Assign) and is_blank(line.node):
        return None
    names = variables(line.node)
    try:
        nodes = translator.translated(line.node)
        return Answer(line, number, statement(nodes[0], names)) if nodes else None
    except NoTranslation as problem:
        node = Names(renamed).visit(line.node)
        changed = names | {n.id for n in ast.walk(node) if isinstance(n, ast.Name)}
        made = statement(node, frozenset(changed))
        return Answer(line, number, made, problem.sentence)


def _broken(line: Line, number: int) -> Answer:
    """A line that is not Python; what it would assign is what stands left of `=`."""
    left, equals, _ = line.text.partition("=")
    named = equals and left.strip().isidentifier()
    made = ast.Assign([ast.Name(left.strip() if named else "_", ast.Store())], _NONE)
    ast.fix_missing_locations(ast.copy_location(made, ast.Pass(lineno=line.number)))
    return Answer(
        line, number, statement(made), sentence("not Python there", why=line.problem)
    )


_NONE = ast.Constant(None)


def _is_forward(made: Statement) -> bool:
    return bool(made.assigns & KNOWN)


def of_exercise(exercise: Exercise, answers: Sequence[Answer]) -> list[Answer]:
    """What makes the gradients of an exercise, in order; earlier attempts left out."""
    given = [f"d{k}" for k in exercise.given]
    gradients = [*given, *exercise.gradients]
    pool = _pool(exercise, answers)
    source = _source(pool)
    needed = [
        s
        for variable in exercise.gradients
        for s in source.piece(variable, gradients)
        if _is_answered(pool, variable)
    ]
    return _without_broken([a for a in pool if a.made in needed], gradients)


def _source(answers: Sequence[Answer]) -> Source:
    nothing = ast.parse("def backward(): pass")
    function = nothing.body[0]
    assert isinstance(function, ast.FunctionDef)
    return Source("", "", nothing, function, tuple(a.made for a in answers))


def _is_answered(pool: Sequence[Answer], variable: str) -> bool:
    return any(variable in a.made.assigns for a in pool)


def _pool(exercise: Exercise, answers: Sequence[Answer]) -> list[Answer]:
    """The lines that may belong to an exercise.

    An exercise that asks for one gradient asks for it without the steps between; where
    the notebook does not name it, this is how its lines are told from the first's.
    """
    named = {a.exercise for a in answers}
    if exercise.number == 1:
        whole = {2: "logits", 3: "hprebn"}
        other = [name for number, name in whole.items() if number not in named]
        pool = [a for a in answers if a.exercise <= 1]
        short = [a for name in other for a in _attempt(pool, name, by_steps=False)]
        return [a for a in pool if a not in short]
    if exercise.number in named:
        until = [a for a in answers if a.exercise <= exercise.number]
        mine = [a for a in until if a.exercise == exercise.number]
        return until if _is_answered(mine, exercise.gradients[0]) else []
    name = exercise.names[0]
    short = _attempt([a for a in answers if a.exercise <= 3], name, by_steps=False)
    others = [a for a in answers if f"d{name}" not in a.made.assigns]
    return sorted([*others, *short], key=answers.index) if short else []


def _attempt(pool: Sequence[Answer], name: str, by_steps: bool) -> list[Answer]:
    """The last attempt at a gradient, from the gradients of the steps or without."""
    attempts: list[list[Answer]] = []
    for answer in pool:
        if answer.made.is_fresh(f"d{name}"):
            attempts.append([])
        if f"d{name}" in answer.made.assigns and attempts:
            attempts[-1].append(answer)
    steps = {f"d{node.name}" for node in NETWORK.uses(name)}
    kind = [a for a in attempts if any(x.made.reads & steps for x in a) == by_steps]
    return kind[-1] if kind else []


def _without_broken(kept: list[Answer], gradients: Sequence[str]) -> list[Answer]:
    """A gradient of which one line has no translation has none; helpers likewise."""
    while True:
        broken: dict[str, str] = {}
        for answer in kept:
            if answer.problem:
                broken |= dict.fromkeys(answer.made.assigns, answer.line.place)
        changed = False
        for k, answer in enumerate(kept):
            reads = answer.made.assigns | (answer.made.reads - {*gradients})
            hit = sorted(reads & broken.keys())
            if hit and not answer.problem:
                own = [name for name in hit if name in answer.made.assigns]
                of = (own or hit)[0]
                key = "not whole" if own else "needs"
                why = sentence(key, name=of, place=broken[of])
                kept[k], changed = replace(answer, problem=why), True
        if not changed:
            return kept

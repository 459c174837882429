"""A file of the workbook from a learner's translated answers."""

import ast
import copy
import textwrap
from collections.abc import Iterator, Sequence

from jaxninja.workbook.exercise import Exercise
from jaxninja.workbook.pytorch.answers import Answer
from jaxninja.workbook.pytorch.changes import changed_name
from jaxninja.workbook.templates import template
from jaxninja.workbook.texts.languages import sentence

IMPORTS = {"jax": "", "jnp": "jax.numpy", "np": "numpy", "math": "math"}
IN = "    "


def text(exercise: Exercise, answers: Sequence[Answer], name: str) -> str:
    """The file: the exercise as it came, its gaps filled as far as they are.

    Args:
        exercise: which.
        answers: of the learner, in order.
        name: of the notebook's file.
    """
    body = [*_body(exercise, answers)]
    used = _used(body)
    docstring = ast.get_docstring(ast.parse(template(exercise)), clean=False)
    returns = exercise.solution.rstrip().splitlines()[-1]
    return "\n".join(
        [
            f'"""{docstring}"""',
            "",
            f"# {sentence('from', name=name)}",
            "",
            *_imports(used),
            "",
            "",
            "# fmt: off",
            *_head(exercise, used),
            *body,
            "",
            returns,
            "",
        ]
    )


def _used(body: list[str]) -> set[str]:
    tree = ast.parse(textwrap.dedent("\n".join(body)))
    return {n.id for n in ast.walk(tree) if isinstance(n, ast.Name)}


def _imports(used: set[str]) -> Iterator[str]:
    for short, module in IMPORTS.items():
        if short in used or short in ("jax", "jnp"):
            yield (
                f"import {module} as {short}"
                if module not in ("", short)
                else (f"import {short}")
            )


def _head(exercise: Exercise, used: set[str]) -> list[str]:
    """`def backward(...)` with the exercise's arrays, and what else is read."""
    own = exercise.worked.parameters
    more = [k for k in exercise.known if k in used and k not in own]
    rows = textwrap.wrap(", ".join([*own, *more]) + ",", 84)
    return ["def backward(", *(f"{IN}{row}" for row in rows), "):"]


def _body(exercise: Exercise, answers: Sequence[Answer]) -> Iterator[str]:
    gaps = _gaps(exercise, answers)
    cell = 0
    yield from gaps.get(None, ())
    for k, answer in enumerate(answers):
        if answer.line.cell != cell:
            cell = answer.line.cell
            yield f"{IN}# {sentence('cell', cell=cell)}"
        yield from (f"{IN}{row}" for row in _rows(exercise, answer))
        for variable in sorted(answer.made.assigns & {*exercise.gradients}):
            last = all(variable not in a.made.assigns for a in answers[k + 1 :])
            if last and answer.problem:
                yield f"{IN}{variable} = None"
            if last:
                yield from gaps.get(variable, ())


def _rows(exercise: Exercise, answer: Answer) -> list[str]:
    """One line of the notebook: its comments, and what it is in JAX."""
    rows = [*answer.line.comments]
    if answer.problem:
        facts = dict(place=answer.line.place, why=answer.problem)
        rows += [f"# {sentence('no translation', **facts)}"]
        return rows + [f"#   {row}" for row in answer.line.text.splitlines()]
    node = answer.made.node
    if (shorter := _without_axis(exercise, node)) is not None:
        rows += [f"# {sentence('one axis')}"]
        node = shorter
    code = ast.unparse(node)
    return rows + f"{code}  {answer.line.behind}".rstrip().splitlines()


def _without_axis(exercise: Exercise, node: ast.stmt) -> ast.stmt | None:
    """The notebook keeps bngain and bnbias as [1, H], and the workbook as [H].

    Where their gradients end in `.sum(0, keepdims=True)` that axis is left out.
    """
    match node:
        case ast.Assign(targets=[ast.Name(id=name)], value=value):
            pass
        case ast.AugAssign(target=ast.Name(id=name), value=value):
            pass
        case _:
            return None
    match value:
        case ast.Call(
            func=ast.Attribute(attr="sum"),
            args=[ast.Constant(value=0)],
            keywords=[ast.keyword(arg="keepdims", value=ast.Constant(value=True))],
        ) if name in ("dbngain", "dbnbias"):
            shorter = copy.copy(node)
            shorter.value = ast.Call(value.func, value.args, [])
            return shorter
    return None


def _gaps(exercise: Exercise, answers: Sequence[Answer]) -> dict[str | None, list[str]]:
    """What is still to do, as the exercise has it, below the gradient before it."""
    made = {name for a in answers for name in a.made.assigns}
    rows = template(exercise).splitlines()
    found: dict[str | None, list[str]] = {}
    above: str | None = None
    for variable in exercise.gradients:
        if variable in made:
            above = variable
            continue
        last = rows.index(f"{IN}{variable} = None")
        first = last
        while rows[first - 1].startswith(f"{IN}#"):
            first -= 1
        found.setdefault(above, []).extend(["", *rows[first : last + 1]])
    return found


def remarks(answers: Sequence[Answer]) -> Iterator[str]:
    """What PyTorch does otherwise than these lines in JAX."""
    same: dict[str, str] = {}  # a name for another's array
    for answer in answers:
        node = answer.line.node
        match node:
            case ast.Assign(targets=[ast.Name(id=new)], value=ast.Name(id=old)):
                same[new] = old
                continue
        for part in ast.walk(node) if node else ():
            name = changed_name(part)
            if name in same and same[name].startswith("d"):
                facts = dict(new=name, old=same[name])
                yield sentence("one array", place=answer.line.place, **facts)
                same.pop(name)

"""What `backward` returns, once all of its gradients are right; can it train?"""

import traceback
from contextlib import suppress
from typing import Any

import jax
import numpy as np

from jaxninja.check.errors import running
from jaxninja.models.by_hand.user_file import not_compiled
from jaxninja.workbook.code import snippets
from jaxninja.workbook.code.parse import FUNCTION, Source
from jaxninja.workbook.code.snippets import Piece
from jaxninja.workbook.exercise import Exercise
from jaxninja.workbook.gradient import Chain
from jaxninja.workbook.report import OK, Report
from jaxninja.workbook.texts.languages import sentence


def checked(exercise: Exercise, learner: Source, scope, rows, chain: Chain) -> Report:
    """The last report: are the gradients returned, and is the exercise done?"""
    values = chain.sample.values
    upstream = {k: chain.sample.truth[k] for k in exercise.given}
    function = snippets.whole(learner, scope)
    with jax.enable_x64(False), running(FUNCTION):
        returned = _returned(learner, scope, function, chain, upstream)
        problem = _misreturned(exercise, returned, chain.mine)
        line = learner.function.body[-1].lineno
        if not problem:
            problem, line = _unfit(exercise, learner, function, values, upstream)
    if problem:
        file, number = learner.filename, exercise.number
        return Report(number, file, "error", tuple(rows), problem, line)
    message = sentence("done", number=exercise.number, count=len(rows))
    return Report(exercise.number, learner.filename, OK, tuple(rows), message)


def _unfit(
    exercise: Exercise, learner: Source, function: Piece, values, upstream
) -> tuple[str, int | None]:
    """Why right gradients do not do: made by autodiff, or not to be compiled."""
    last = learner.function.body[-1].lineno
    if hidden := function.not_by_hand(values, upstream):
        return sentence("derive", function=FUNCTION, found=hidden), last
    error = function.untraceable(values, upstream) if exercise.trains else None
    if error is None:
        return "", None
    why = not_compiled(error)
    what = f"{type(error).__name__}: {error}".splitlines()[0]
    what = sentence(f"compile {why}") if why else what
    text = sentence("not to train", count=len(exercise.names), what=what)
    return text, line_in(learner.filename, error) or last


def _returned(learner: Source, scope, function: Piece, chain: Chain, upstream) -> Any:
    """What the function returns. All its lines have run by now, and to run them again
    compiles each operation unless JAX can trace them: else `return` alone has to do."""
    values = chain.sample.values
    if learner.returns and not function.is_quick(values, upstream):
        known = {f"d{name}": gradient for name, gradient in chain.mine.items()}
        with suppress(NameError):
            return snippets.returned(learner, scope, {**values, **known})
    return function(values, upstream)


def _misreturned(exercise: Exercise, returned: Any, mine: dict[str, Any]) -> str | None:
    names = [f"d{k}" for k in exercise.returns]
    text = sentence("returns", function=FUNCTION, names=", ".join(names))
    if returned is None:
        return sentence("returns None", text=text)
    if len(names) == 1 and not isinstance(returned, tuple | list):
        returned = (returned,)
    if not isinstance(returned, tuple | list):
        return sentence("returns one", text=text, kind=type(returned).__name__)
    if len(returned) != len(names):
        facts = dict(count=len(names), given=len(returned))
        return sentence("returns others", text=text, **facts)
    for name, value, key in zip(names, returned, exercise.returns, strict=True):
        largest = float(np.abs(mine[key]).max(initial=0.0))
        right = np.shape(value) == np.shape(mine[key]) and np.allclose(
            value, mine[key], rtol=1e-4, atol=max(1e-6, 1e-5 * largest)
        )
        if not right:
            return sentence("returns another", text=text, name=name)
    return None


def line_in(filename: str, error: BaseException) -> int | None:
    """The innermost line of a file that an error came through."""
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if frame.filename == filename]
    return lines[-1] if lines else None

"""Forward mode of a function that has both modes, against `jax.jvp` of its plain form.

That it is the transpose of the backward pass follows: both are held against J.
"""

from collections.abc import Callable

import jax
import numpy as np

from jaxninja.check.compare import difference
from jaxninja.check.errors import explained
from jaxninja.check.inputs.setting import DRAWS, Setting
from jaxninja.check.oracle.tolerances import proof_tolerance
from jaxninja.check.results import Session
from jaxninja.check.subject.compilation import compiled
from jaxninja.check.subject.plain_forward import opened
from jaxninja.check.subject.pytrees import cast, float_leaves, unit, with_floats
from jaxninja.check.subject.subject import short, source_of

UNIT = unit("float64")


def forward_mode(session: Session, function: Callable, setting: Setting) -> None:
    """J dx by hand for a random dx, then for each argument moving alone."""
    subject, args = setting.draw(session.options.seed * DRAWS)
    rule = function.rule  # type: ignore[attr-defined]
    where = short(source_of(rule.jvp))
    rng = np.random.default_rng([session.options.seed, 0xF0])
    with jax.enable_x64(True):
        wide = cast(args, "float64")
        floats = float_leaves(wide)
        moves = [rng.standard_normal(np.shape(a)) for a in floats]
        run, truth = (_pushed(f, wide) for f in (function, opened(subject.plain)))
        for name, dx in _each(subject.argument_names, wide, moves):
            try:
                got = run(floats, dx, subject.merged)
            except Exception as error:
                problem = explained(f"jvp of {subject.name}", error)
                session.find("E-JVP", problem.sentence, problem.where)
                return
            expected = truth(floats, dx, lambda given: given)
            if not _same(got, expected):
                text = f"the jvp of {subject.name} is not J dx where {name} moves"
                session.find("E-JVP", text, where)
                return
    session.transformations.append("jvp")


def _pushed(f: Callable, wide: tuple) -> Callable:
    """(floats, moves, how f takes its arguments) -> the moves of its float outputs."""

    def run(floats, moves, merged):
        def of_floats(*given):
            return float_leaves(f(*merged(with_floats(wide, given))))

        return compiled(lambda x, dx: jax.jvp(of_floats, x, dx)[1])(floats, moves)

    return run


def _each(names, wide, moves):
    """All moves together, then those of each argument with all others at rest."""
    yield "every argument", moves
    start = 0
    for name, arg in zip(names, wide, strict=True):
        count = len(float_leaves(arg))
        own = range(start, start + count)
        start += count
        if count and count < len(moves):
            still = [m if i in own else np.zeros_like(m) for i, m in enumerate(moves)]
            yield name, still


def _same(got: list, expected: list) -> bool:
    for a, e in zip(got, expected, strict=True):
        e = np.asarray(e)
        largest = float(np.max(np.abs(e), initial=0.0))
        tolerance = 10 * proof_tolerance(np.abs(e), largest, UNIT)
        if not difference(np.asarray(a), e, tolerance).ok:
            return False
    return True

"""Where the rule solves a system of equations that is singular, at an edge, or at sizes
that were guessed: more equations than unknowns.

The solution of a least squares fit is no function of two equal columns. An iteration
of the reference stops somewhere all the same, and has a gradient there; a rule by the
implicit function theorem has none. Where a pivot is what rounding leaves of zero, both
are finite and neither means anything.
"""

from functools import lru_cache

import jax
import jax.numpy as jnp
import numpy as np

from jaxninja.check.errors import running
from jaxninja.check.oracle.trial import Evaluation, Setup, is_off
from jaxninja.check.oracle.truth import traced_gradients
from jaxninja.check.subject.compilation import compiled
from jaxninja.check.subject.plain_forward import evaluate
from jaxninja.check.subject.pytrees import is_float, is_wide
from jaxninja.check.subject.subject import Subject
from jaxninja.jaxpr import bind

PIVOT = 64  # roundings of the largest entry: one that is as good as zero
_SOLVES = frozenset(("custom_linear_solve", "triangular_solve", "lu", "cholesky"))


def solves_a_singular_system(setup: Setup, evaluation: Evaluation) -> bool:
    """Whether all that is off became so in a solve: not finite, or large by a pivot
    that is a rounding."""
    off = [trial for trial in evaluation.trials if is_off(trial)]
    if not off or setup.subject.is_numpy:
        return False
    finite = any(np.isfinite(trial.got).all() for trial in off)
    with (
        jax.enable_x64(is_wide(off[0].dtype)),
        running(f"the rule of {setup.subject.name}"),
    ):
        ended, grown = _singular(setup.subject)(evaluation.args, evaluation.dy)
    return bool(grown or (ended and not finite))


@lru_cache(maxsize=128)
def _singular(subject: Subject):
    def run(args, dy):
        found = [jnp.zeros(2, bool)]

        def step(eqn, ins):
            if eqn.primitive.name not in _SOLVES:
                return None
            outs = bind(eqn, ins)
            found.append(jnp.stack([_finite(ins) & ~_finite(outs), _grown(ins, outs)]))
            return outs

        closed = traced_gradients(subject, args, dy)
        evaluate(closed, jax.tree.leaves((args, dy)), step)
        return jnp.stack(found).any(0)

    return compiled(run)


def _finite(values: list):
    return jnp.stack([jnp.isfinite(a).all() for a in values if is_float(a)]).all()


def _grown(ins: list, outs: list):
    """Whether a solution of a x = b is as large as a rounding of a pivot makes it."""
    floats = [jnp.abs(a) for a in ins if is_float(a)]
    if len(floats) < 2:
        return jnp.zeros((), bool)
    limit = 1 / (PIVOT * jnp.finfo(floats[-1].dtype).eps)
    solution = jnp.max(jnp.abs(outs[0]), initial=0)
    a, b = (jnp.max(size, initial=0) for size in (floats[0], floats[-1]))
    return jnp.isfinite(solution) & (a * solution > limit * b)

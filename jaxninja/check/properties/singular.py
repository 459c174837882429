"""Where the rule solves a system of equations that is singular, at an edge.

The solution of a least squares fit is no function of two equal columns. An iteration
of the reference stops somewhere all the same, and has a gradient there; a rule by the
implicit function theorem has none.
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

_SOLVES = frozenset(("custom_linear_solve", "triangular_solve", "lu", "cholesky"))


def solves_a_singular_system(setup: Setup, evaluation: Evaluation) -> bool:
    """Whether all that is off is not finite, and became so in a solve."""
    off = [trial for trial in evaluation.trials if is_off(trial)]
    if not off or setup.subject.is_numpy:
        return False
    if any(np.isfinite(trial.got).all() for trial in off):
        return False
    with (
        jax.enable_x64(is_wide(off[0].dtype)),
        running(f"the rule of {setup.subject.name}"),
    ):
        return bool(_singular(setup.subject)(evaluation.args, evaluation.dy))


@lru_cache(maxsize=128)
def _singular(subject: Subject):
    def run(args, dy):
        found = [jnp.zeros((), bool)]

        def step(eqn, ins):
            if eqn.primitive.name not in _SOLVES:
                return None
            outs = bind(eqn, ins)
            found.append(_finite(ins) & ~_finite(outs))
            return outs

        closed = traced_gradients(subject, args, dy)
        evaluate(closed, jax.tree.leaves((args, dy)), step)
        return jnp.stack(found).any()

    return compiled(run)


def _finite(values: list):
    return jnp.stack([jnp.isfinite(a).all() for a in values if is_float(a)]).all()

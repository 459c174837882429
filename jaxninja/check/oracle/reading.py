"""Does the forward read its arguments at guessed sizes as it does at those given?

`logp[arange(n), labels]` runs at fewer labels than rows too, and leaves the last rows
unread; at more labels it reads beyond the last row. Nobody wrote it for that, and no
right rule need know what happens there.
"""

from collections.abc import Callable, Iterator
from functools import lru_cache

import jax
import jax.numpy as jnp
import numpy as np

from jaxninja.check.errors import UserCodeError, running
from jaxninja.check.inputs import cotangents
from jaxninja.check.oracle.truth import reference_of
from jaxninja.check.subject.compilation import compiled
from jaxninja.check.subject.plain_forward import opened
from jaxninja.check.subject.pytrees import cast, is_float
from jaxninja.check.subject.structure_traced import shapes_of_output
from jaxninja.check.subject.subject import Subject
from jaxninja.jaxpr import bind


def reads_alike(there: tuple[Subject, tuple], here: tuple[Subject, tuple]) -> bool:
    """False where the forward leaves an end of an axis unread, or reads beyond one, and
    does not at the sizes given.

    Args:
        there, here: subject and arguments as given, and at guessed sizes.
    """
    with jax.enable_x64(True):
        try:
            with running("the plain forward"):
                before, now = (set(_odd(*at)) for at in (there, here))
        except UserCodeError:
            return True
    return now <= before


def _odd(subject: Subject, args: tuple) -> Iterator[tuple]:
    """(leaf, axis) whose last entries reach no output, though others do; and whether an
    index lies beyond what it is an index of."""
    args = cast(args, "float64")
    rng = np.random.default_rng(0x5EED)
    dy = cotangents.ordinary(shapes_of_output(subject, args), rng)
    for leaf, g in enumerate(_gradients(subject.plain)(args, dy)):
        for axis in range(np.ndim(g)):
            others = tuple(k for k in range(np.ndim(g)) if k != axis)
            reached = np.any(np.asarray(g) != 0, axis=others)
            if reached.any() and not reached[-1]:
                yield leaf, axis
    if _beyond(subject.plain)(*args):
        yield ("beyond",)


@lru_cache(maxsize=128)
def _gradients(plain) -> Callable:
    reference = reference_of(plain)
    return compiled(lambda args, dy: reference(args, dy)[1])


@lru_cache(maxsize=128)
def _beyond(plain) -> Callable:
    """Whether a lookup that gives NaN for indices beyond the ends gives any."""

    def run(*args):
        found = [jnp.zeros((), bool)]

        def step(eqn, ins):
            if eqn.primitive.name != "gather" or not is_float(ins[0]):
                return None
            mode = jax.lax.GatherScatterMode.FILL_OR_DROP
            params = {**eqn.params, "mode": mode, "fill_value": np.nan}
            filled = bind(eqn.replace(params=params), ins)[0]
            found.append(jnp.isnan(filled).any() & ~jnp.isnan(ins[0]).any())
            return bind(eqn, ins)

        opened(plain, step)(*args)
        return jnp.stack(found).any()

    return compiled(run)

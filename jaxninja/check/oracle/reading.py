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
from jaxninja.check.oracle.comparisons import counts_from_end
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

    What is left unread of an axis that is not of another's size any more says that the
    two belong together; a stride that does not divide a length leaves a rest, too.

    Args:
        there, here: subject and arguments as given, and at guessed sizes.
    """
    with jax.enable_x64(True):
        try:
            with running("the plain forward"):
                before, now = (set(_odd(*at)) for at in (there, here))
        except UserCodeError:
            return True
    apart = _apart(there[1], here[1])
    return not any(len(odd) == 1 or odd[:2] in apart for odd in now - before)


def _apart(before: tuple, now: tuple) -> set[tuple]:
    """(leaf, axis) of floats that had the size of another axis and have it no more."""
    floats, sizes = 0, []
    for a, b in zip(jax.tree.leaves(before), jax.tree.leaves(now), strict=True):
        places = [(floats, j) if is_float(a) else None for j in range(np.ndim(a))]
        sizes += zip(places, np.shape(a), np.shape(b), strict=True)
        floats += is_float(a)
    return {
        place
        for place, old, new in sizes
        if place and any(o == old and n != new for _, o, n in sizes)
    }


def reads_beyond(there: tuple[Subject, tuple], here: tuple[Subject, tuple]) -> bool:
    """True where the forward reads before the first or beyond the last entry of what
    its integers are indices of, and does not for those given."""
    return _here_alone(lambda plain: _beyond(plain, False), there, here)


def writes_twice(there: tuple[Subject, tuple], here: tuple[Subject, tuple]) -> bool:
    """True where `x.at[i].set(y)` writes to an entry more than once, in an order that
    JAX does not promise, and does not for the integers given."""
    return _here_alone(_twice, there, here)


def _here_alone(asked: Callable, there: tuple, here: tuple) -> bool:
    """Whether `asked(plain)(*args)` is true here, and there it is not."""
    with jax.enable_x64(True):
        try:
            with running("the plain forward"):
                before, now = (
                    bool(asked(subject.plain)(*cast(args, "float64")))
                    for subject, args in (there, here)
                )
        except UserCodeError:
            return False
    return now and not before


def _odd(subject: Subject, args: tuple) -> Iterator[tuple]:
    """(leaf, axis) whose last entries reach no output, though others do, or how many of
    its first ones do not: a causal mask has one row of a single entry, and an empty one
    if there are too few columns. And whether an index lies beyond what it is an index
    of."""
    args = cast(args, "float64")
    rng = np.random.default_rng(0x5EED)
    dy = cotangents.ordinary(shapes_of_output(subject, args), rng)
    for leaf, g in enumerate(_gradients(subject.plain)(args, dy)):
        for axis in range(np.ndim(g)):
            others = tuple(k for k in range(np.ndim(g)) if k != axis)
            reached = np.any(np.asarray(g) != 0, axis=others)
            if reached.any() and not reached[-1]:
                yield leaf, axis
            if first := int(np.argmax(reached)):
                yield leaf, axis, first
    if _beyond(subject.plain, True)(*args):
        yield ("beyond",)


@lru_cache(maxsize=128)
def _gradients(plain) -> Callable:
    reference = reference_of(plain)
    return compiled(lambda args, dy: reference(args, dy)[1])


@lru_cache(maxsize=128)
def _beyond(plain, windows: bool) -> Callable:
    """Whether a lookup that gives NaN beyond the ends gives any, or an index
    is below 0 and counts from the end; or a window, x[1] too, is moved back."""

    def run(*args):
        found = [jnp.zeros((), bool)]

        def step(eqn, ins):
            if counts_from_end(eqn):
                found.append(jnp.min(ins[0], initial=0) < 0)
            if windows and eqn.primitive.name == "dynamic_slice":
                rows = zip(
                    ins[1:], eqn.params["slice_sizes"], ins[0].shape, strict=True
                )
                found.extend(jnp.asarray(i + size > n) for i, size, n in rows)
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


@lru_cache(maxsize=128)
def _twice(plain) -> Callable:
    def run(*args):
        found = [jnp.zeros((), bool)]

        def step(eqn, ins):
            if eqn.primitive.name == "scatter" and is_float(ins[0]):
                into, index, given = ins
                dims, mode = (eqn.params[k] for k in ("dimension_numbers", "mode"))
                ones, none = jnp.ones(given.shape), jnp.zeros(into.shape)
                counts = jax.lax.scatter_add(none, index, ones, dims, mode=mode)
                found.append((counts > 1).any())
            return None

        opened(plain, step)(*args)
        return jnp.stack(found).any()

    return compiled(run)

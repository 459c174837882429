"""Arguments of millions of entries, as they were given, against autodiff.

What is proved in float64 is proved at smaller sizes. Here the rule and autodiff run in
the dtype as given, one after the other, so that what one of them keeps is gone before
the other begins: in one program their intermediate arrays would lie side by side. A
cotangent that is a function of the position is kept by nobody. Where that takes much
memory, and more than two more sets of arguments, the longest axis is cut until it does
not. Where the two are far apart, they are held against the truth.
"""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from jaxninja.check.errors import running
from jaxninja.check.inputs.setting import DRAWS, Setting, refused_by_rule
from jaxninja.check.oracle.trial import Setup, prove
from jaxninja.check.oracle.truth import gradient_leaves
from jaxninja.check.results import Session
from jaxninja.check.subject.plain_forward import opened
from jaxninja.check.subject.pytrees import (
    cotangent,
    float_leaves,
    is_float,
    with_floats,
)
from jaxninja.check.subject.residuals import residuals_of

ROOM = 1 << 26  # bytes that a comparison may take in any case
MOST = 2.0  # times the arguments' memory: what it may take besides them
CLOSE = 1e-3  # of the largest entry: what is wrong for such sizes is wrong by more


def as_large_as_given(session: Session, setup: Setup, setting: Setting) -> None:
    """One comparison at the sizes given; the proof there too, if it is needed."""
    args = setting.draw(session.options.seed * DRAWS)[1]
    count = sum(np.size(a) for a in jax.tree.leaves(args))
    smaller = f"float64, edges and scales at the sizes given ({count:,} entries): "
    smaller += "smaller ones have them"
    session.residuals = residuals_of(setup.subject, args)
    if session.failing:
        session.skip(f"the sizes given ({count:,} entries): smaller ones fail")
        return
    if setup.surrogate is not None:
        session.skip(smaller)
        return
    with running(f"the rule of {setup.subject.name}"):
        args, programs, cut = _fitting(setup, args)
        mine, expected = (run(args) for run in programs)
    session.skip(f"{smaller}; {cut}")
    gaps, sizes = np.asarray(_apart(mine, expected), float)
    session.samples += 1
    if not (gaps <= CLOSE * sizes).all():  # NaN is not
        dy = [np.asarray(g) for g in _cotangents(float_leaves(_output(setup, args)))]
        evaluation = prove(setup, args, dy, "the sizes given")
        if evaluation is not None:
            session.record(setup, evaluation)


def _fitting(setup: Setup, args: tuple) -> tuple[tuple, list, str]:
    """The arguments, the programs of the rule and of autodiff for them, and in words
    whether they are as they were given."""
    programs = _programs(setup, args)
    size = sum(np.asarray(a).nbytes for a in jax.tree.leaves(args))
    needed = _needed(programs)
    as_given = "as given, the rule is held against autodiff once"
    fits = needed <= max(ROOM, 1.05 * MOST * size)
    if fits or not all(map(is_float, jax.tree.leaves(args))):
        return args, programs, as_given
    times = needed / size
    longest = max(n for a in jax.tree.leaves(args) for n in np.shape(a))
    count = max(1, int(longest * MOST / (1 + times)))  # what is cut is a copy
    shorter = jax.tree.map(lambda a: a[_until(np.shape(a), longest, count)], args)
    if refused_by_rule(setup.subject, shorter):
        return args, programs, as_given
    text = f"the rule is held against autodiff once at {longest}->{count}, since all "
    text += f"of it takes {times:.1f} times the memory of the arguments"
    return shorter, _programs(setup, shorter), text


def _until(shape: tuple[int, ...], size: int, count: int) -> tuple[slice, ...]:
    return tuple(slice(count if n == size else None) for n in shape)


def _programs(setup: Setup, args: tuple) -> list:
    return [
        jax.jit(gradients(setup)).lower(args).compile()
        for gradients in (_by_rule, _by_autodiff)
    ]


def _needed(programs: list) -> float:
    """Bytes besides the arguments; the gradients of the first are there as long as the
    second runs. 0 where the backend does not say."""
    stats = [program.memory_analysis() for program in programs]
    if None in stats:
        return 0.0
    first, second = (s.temp_size_in_bytes + s.output_size_in_bytes for s in stats)
    return max(first, stats[0].output_size_in_bytes + second)


def _by_rule(setup: Setup) -> Callable:
    """args -> the rule's gradients, leaf by leaf."""

    def gradients(args):
        out, residuals = setup.subject.fwd(args)
        dy = _cotangents(float_leaves(out))
        return gradient_leaves(setup.subject.bwd(residuals, cotangent(out, dy)), args)

    return gradients


def _by_autodiff(setup: Setup) -> Callable:
    """args -> the plain forward's, of the same cotangents."""
    plain = opened(setup.subject.plain)

    def gradients(args):
        def f(*floats):
            return float_leaves(plain(*with_floats(args, floats)))

        y, pull = jax.vjp(f, *float_leaves(args))
        return list(pull(_cotangents(y)))

    return gradients


@jax.jit
def _apart(mine: list, expected: list):
    """Per leaf the largest difference, and the largest entry."""
    pairs = list(zip(mine, expected, strict=True))
    gaps = [jnp.max(jnp.abs(a - b), initial=0.0) for a, b in pairs]
    return jnp.stack(gaps), jnp.stack([_top(b) for _, b in pairs])


def _output(setup: Setup, args: tuple):
    return jax.eval_shape(setup.subject.plain, *args)


def _cotangents(y: list) -> list:
    """Numbers of both signs that repeat nowhere near."""
    return [_wave(a.shape).astype(a.dtype) for a in y]


def _wave(shape: tuple[int, ...]):
    position = jax.lax.iota(jnp.uint32, math.prod(shape))
    mixed = position * jnp.uint32(2654435761)  # Knuth's multiplicative hash
    return ((mixed >> 8).astype(jnp.float32) / 2**23 - 1).reshape(shape)


def _top(array):
    return jnp.max(jnp.abs(array), initial=0.0)

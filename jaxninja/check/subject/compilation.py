"""Compilation for a short life.

A check runs dozens of small functions a few dozen times each, so compiling them is
what it takes its time for. In float64, where no rounding is judged, XLA is asked to
optimise little, which on a CPU takes a quarter of the time. The run dtype is compiled
as its users compile it, and so are large arrays.
"""

from collections.abc import Callable

import jax
import numpy as np

from jaxninja.check.subject.pytrees import is_float, signature
from jaxninja.check.subject.time_limit import Clock, bounded, holds_while
from jaxninja.jaxpr import quick_to_compile

LARGE = 1 << 18  # entries of the arguments, from which on running counts


def compiled(f: Callable) -> Callable:
    """`jax.jit(f)`, quick to compile for small arguments that hold no narrow floats.

    A while loop in it ends in any case: see `bounded`.
    """
    clock = Clock()
    thorough, quickly = jax.jit(f), jax.jit(f, compiler_options=quick_to_compile())
    ending, ending_quickly = (
        jax.jit(bounded(f, clock), compiler_options=options)
        for options in (None, quick_to_compile())
    )
    loops: dict[tuple, bool] = {}

    def run(*args):
        leaves = jax.tree.leaves(args)
        large = sum(map(np.size, leaves)) >= LARGE
        quick = not (large or any(map(_narrow, leaves)))
        key = signature(args)
        if key not in loops:
            traced = (quickly if quick else thorough).trace(*args)
            loops[key] = holds_while(traced.jaxpr.jaxpr)
        if not loops[key]:
            return _outermost(thorough, quickly, quick, args)
        clock.start()
        run_to_end = ending_quickly if quick else ending
        out = jax.block_until_ready(run_to_end(*args))
        clock.stop()
        return out

    return run


def _outermost(thorough: Callable, quickly: Callable, quick: bool, args: tuple):
    """Options are for no jit that stands within another one, of the user's."""
    try:
        return (quickly if quick else thorough)(*args)
    except ValueError as error:
        if "compiler_options" not in str(error):
            raise
        return thorough(*args)


def _narrow(leaf) -> bool:
    dtype = getattr(leaf, "dtype", None)
    return is_float(leaf) and dtype not in (np.float64, np.complex128)

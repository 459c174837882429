"""Compilation for a short life.

A check runs dozens of small functions a few dozen times each, so compiling them is
what it takes its time for. XLA is asked to optimise little, which on a CPU takes a
quarter of the time; large arrays get it all. Rule and reference are compiled alike.
"""

from collections.abc import Callable
from functools import lru_cache

import jax
import numpy as np

LARGE = 1 << 18  # entries of the arguments, from which on running counts
LITTLE = {"xla_backend_optimization_level": 0}
OLD_EMITTERS = {"xla_cpu_use_fusion_emitters": False}  # not every version has both


def compiled(f: Callable) -> Callable:
    """`jax.jit(f)`, quick to compile where the arguments are small."""
    thorough = jax.jit(f)
    quick = jax.jit(f, compiler_options=_options())

    def run(*args):
        entries = sum(np.size(a) for a in jax.tree.leaves(args))
        return (thorough if entries >= LARGE else quick)(*args)

    return run


@lru_cache(maxsize=1)
def _options() -> dict:
    """The options that this version of XLA knows; none but on a CPU."""
    if jax.default_backend() != "cpu":
        return {}
    for options in (LITTLE | OLD_EMITTERS, LITTLE):
        try:
            jax.jit(lambda: 0, compiler_options=options)()
        except Exception:  # whatever XLA raises for an option it does not know
            continue
        return options
    return {}

"""Gradients that are those of a usual function."""

from dataclasses import replace

import jax
import numpy as np

from jaxninja.check.diagnosis.code.problem import problems
from jaxninja.check.diagnosis.usual_functions import borrowed
from tests.check.diagnosis.evidence import evidence


def test_of_a_forward_that_asks_for_arrays_of_jax(x64):
    def plain(x):
        return x.at[0].mul(2.0)

    def bwd(y, dy):
        return (y * (1 - y) * dy,)

    found = evidence(plain, lambda x: (plain(x), plain(x)), bwd, ((4,),))
    of_numpy = [
        replace(s, args=jax.tree.map(np.asarray, s.args)) for s in found.samples
    ]
    (problem,) = problems(replace(found, samples=tuple(of_numpy)))
    kind, statement = borrowed(problem, 0)
    assert (kind, statement["function"]) == ("function", "sigmoid")

"""Columns that a forward names one by one, as the corners of a triangle are.

`faces[:, 0]`, `faces[:, 1]`, `faces[:, 2]` are all there is of an array of three
columns, and of one of five the forward runs as well: it does not look at the rest.
"""

from typing import Any

import numpy as np


def named(jaxpr: Any) -> list[dict[int, int]]:
    """For each input of a jaxpr: axis -> how many entries along it are read, of axes
    that are read one entry at a time. What is read as a whole as well, a sum of the
    squares of two volatilities, counts if several entries have names."""
    return [_named(jaxpr, v) for v in jaxpr.invars]


def _named(jaxpr, variable) -> dict[int, int]:
    uses = [e for e in jaxpr.eqns if any(v is variable for v in e.invars)]
    slices = [e for e in uses if e.primitive.name == "slice"]
    if not slices or any(v is variable for v in jaxpr.outvars):
        return {}
    starts, ends = (
        np.array([e.params[name] for e in slices])
        for name in ("start_indices", "limit_indices")
    )
    single = (ends - starts == 1).all(0)
    counts = {j: len(set(starts[:, j])) for j in np.flatnonzero(single).tolist()}
    least = 1 if len(slices) == len(uses) else 2
    return {j: count for j, count in counts.items() if count >= least}

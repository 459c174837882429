"""Columns that a forward names one by one, as the corners of a triangle are.

`faces[:, 0]`, `faces[:, 1]`, `faces[:, 2]` are all there is of an array of three
columns, and of one of five the forward runs as well: it does not look at the rest.
`p[:, 2:]` is one column of three, which `p[:, :2] / p[:, 2:]` broadcasts, and several
of more: another function, for which nobody has written the rule.
"""

from typing import Any

import numpy as np

from jaxninja.jaxpr import equations


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


def broadcast(jaxpr: Any) -> tuple[int, int]:
    """How many slices there are in a jaxpr, and how many of them leave one column of
    several, which meets wider arrays."""
    slices = [e for e in equations(jaxpr) if e.primitive.name == "slice"]
    readers: dict[Any, list] = {}
    for eqn in equations(jaxpr):
        for v in eqn.invars:
            readers.setdefault(id(v), []).append(eqn)
    widened = [e for e in slices if _is_widened(e, readers.get(id(e.outvars[0]), []))]
    return len(slices), len(widened)


def _is_widened(cut, readers: list) -> bool:
    before, after = cut.invars[0].aval.shape, cut.outvars[0].aval.shape
    axes = [j for j, (n, m) in enumerate(zip(before, after, strict=True)) if n > m == 1]
    for eqn in readers:
        wide = eqn.outvars[0].aval.shape
        beside = len(eqn.invars) == 1 or any(v.aval.shape == wide for v in eqn.invars)
        if beside and len(wide) == len(after) and any(wide[j] > 1 for j in axes):
            return True
    return False

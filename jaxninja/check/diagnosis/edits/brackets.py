"""Parentheses in another place: which terms a factor multiplies, and with what weights.

`a * (b + c)` for `a * b + c`, `a * b - c * d` for `a * (b - d)`, a sum with weights for
a mean.
"""

import itertools
from collections.abc import Callable, Iterator

import numpy as np

from jaxninja.check.diagnosis.code.numpy_primitives import run
from jaxninja.check.diagnosis.code.program import Program
from jaxninja.check.diagnosis.edits.single import Edit
from jaxninja.check.hints import say

Name = Callable[[int], str]

KEPT = ("broadcast_in_dim", "reshape", "convert_element_type")  # what lays out
BRACKETED = {"add": np.add, "add_any": np.add, "sub": np.subtract}


def bracketed(program: Program, index: int, name: Name) -> Iterator[Edit]:
    """a * (b + c) for a * b + c, and the other way round; a + b * c for a * b + c."""
    outer = program.steps[index]
    if len(outer.outs) != 1 or outer.name not in ("mul", *BRACKETED):
        return
    for k, slot in enumerate(outer.ins):
        maker = program.maker.get(slot)
        inner = None if maker is None else program.steps[maker]
        if inner is None or {inner.name == "mul", outer.name == "mul"} != {True, False}:
            continue
        if inner.name not in ("mul", *BRACKETED):
            continue
        rest = outer.ins[1 - k]
        for j, part in enumerate(inner.ins):
            factor = inner.ins[1 - j]
            if outer.name == "mul":  # r * (p + q): r * p + q
                yield _distributed(outer, inner, rest, j, name)
            else:  # p * q + r: q * (p + r), and p + q * r
                yield from _gathered(outer, k, part, factor, rest, name)


def _distributed(outer, inner, factor: int, j: int, name: Name) -> Edit:
    def make(v):
        ins = [v[s] for s in inner.ins]
        ins[j] = ins[j] * v[factor]
        return BRACKETED[inner.name](*ins)

    what = say("factor of one", factor=name(factor), what=name(inner.ins[j]))
    return Edit(outer.outs[0], make, what, "factor", 1.7)


def _gathered(outer, k, part, factor, rest, name: Name) -> Iterator[Edit]:
    def both(v, one, other):
        return BRACKETED[outer.name](*((one, other) if k == 0 else (other, one)))

    def around(v):
        return v[factor] * both(v, v[part], v[rest])

    def moved(v):
        return both(v, v[part], v[factor] * v[rest])

    facts = {"factor": name(factor), "one": name(part), "other": name(rest)}
    what = say("factor of both", **facts)
    yield Edit(outer.outs[0], around, what, "factor", 1.7)
    what = say("factor of other", factor=name(factor), what=name(rest))
    yield Edit(outer.outs[0], moved, what, "factor", 1.8)


def factor_of_one_term(
    program: Program, index: int, others: list[int], name: Name
) -> Iterator[Edit]:
    """a * b - c * d, where a * (b - d) was written, for another value c."""
    outer = program.steps[index]
    if outer.name != "mul":
        return
    for k, slot in enumerate(outer.ins):
        maker = program.maker.get(slot)
        inner = None if maker is None else program.steps[maker]
        if inner is None or inner.name not in BRACKETED:
            continue
        for j, other in itertools.product((0, 1), others):
            if other == outer.ins[1 - k]:
                continue

            def make(v, inner=inner, j=j, other=other, factor=outer.ins[1 - k]):
                ins = [v[s] * v[factor] for s in inner.ins]
                ins[j] = v[inner.ins[j]] * v[other]
                return BRACKETED[inner.name](*ins)

            facts = {"what": name(inner.ins[j]), "by": name(other)}
            what = say("factor of term", **facts, old=name(outer.ins[1 - k]))
            yield Edit(outer.outs[0], make, what, "residual", 2.0)


def weighted(
    program: Program, index: int, others: list[int], name: Name
) -> Iterator[Edit]:
    """A sum with weights where a mean was taken."""
    count = program.steps[index]
    maker = program.maker.get(count.ins[0]) if count.name == "div" else None
    laid = []  # what keeps the summed axes
    while maker is not None and program.steps[maker].name in KEPT:
        laid.append(program.steps[maker])
        maker = program.maker.get(laid[-1].ins[0])
    if maker is None or program.steps[maker].name != "reduce_sum":
        return
    total = program.steps[maker]
    for other in others:

        def make(v, other=other):
            if np.shape(v[other]) != np.shape(v[total.ins[0]]):
                raise ValueError("weights of another shape")
            value = run(total.eqn, [v[total.ins[0]] * v[other]])[0]
            for step in reversed(laid):
                value = run(step.eqn, [value])[0]
            return value

        what = say("weighted", what=name(total.ins[0]), by=name(other))
        yield Edit(count.outs[0], make, what, "operand", 2.0)

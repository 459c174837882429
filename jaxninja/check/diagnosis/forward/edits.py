"""Single edits of a forward pass: what people take for the function they wrote.

The edits of a backward's step are edits of a forward's too. Here are those that a
forward has of its own: two steps in the other order, an epsilon outside of the root, a
running sum that goes the other way, a value taken for constant, a mask put on.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from jaxninja.check.diagnosis.code.numpy_primitives import run
from jaxninja.check.diagnosis.code.program import Makes, Program
from jaxninja.check.diagnosis.edits.axes import one_for_all
from jaxninja.check.diagnosis.edits.running import moved_in, other_option, running_sums
from jaxninja.check.diagnosis.edits.single import (
    FUNCTIONS,
    OPERATORS,
    Edit,
    instead,
)
from jaxninja.check.hints import Statement, say

Name = Callable[[int], str]


@dataclass(frozen=True)
class Nearby:
    """A change of a forward.

    Attributes:
        makes: the values that change, and to what.
        what, kind, cost: as of an `Edit`.
        slot: the value to point at.
        key: where it is made and what it is, the same at other sizes.
    """

    makes: Makes | dict[int, Callable]
    what: Statement
    kind: str
    cost: float
    slot: int
    key: tuple = ()


def of_edit(edit: Edit, key: tuple) -> Nearby:
    """An edit of a step as one of a forward."""
    return Nearby(edit.makes, edit.what, edit.kind, edit.cost, edit.slot, key)


UNARY = (*FUNCTIONS, "integer_pow", "neg", "log1p", "expm1", "erf", "cbrt", "pow")
BINARY = ("add", "sub", "mul", "div", "max", "min")
REDUCED = ("reduce_sum", "reduce_max", "reduce_min", "reduce_prod", "cumsum")


def own_edits(program: Program, index: int, name: Name) -> Iterator[Edit]:
    """The edits of a step that only a forward has."""
    step = program.steps[index]
    if len(step.outs) != 1:
        return
    for generator in (
        *(_reordered, running_sums, _held, _masked, moved_in, _compared),
        *(_operated, one_for_all, other_option),
    ):
        yield from generator(program, index, name)


def _reordered(program: Program, index: int, name: Name) -> Iterator[Edit]:
    """This step before the one that made its operand: log of a mean, mean of logs."""
    second = program.steps[index]
    (out,) = second.outs
    for k, slot in enumerate(second.ins):
        maker = program.maker.get(slot)
        if maker is None or program.steps[maker].origin == ():
            continue
        first = program.steps[maker]
        names = {first.name, second.name}
        one_unary = bool(names & set(UNARY))
        if not one_unary or not names <= {*UNARY, *BINARY, *REDUCED}:
            continue
        for j, inner in enumerate(first.ins):
            if inner in program.constants:
                continue

            def make(v, k=k, j=j, inner=inner, first=first):
                ins = [v[s] for s in second.ins]
                ins[k] = v[inner]
                outer = [v[s] for s in first.ins]
                outer[j] = run(second.eqn, ins)[0]
                return run(first.eqn, outer)[0]

            what = say("other order", one=second.name, other=first.name)
            yield Edit(out, make, what, "function", 1.3)
    yield from _around_mean(program, second)
    if second.name == "rsqrt":
        yield from _outside_root(program, second)


def _around_mean(program: Program, second) -> Iterator[Edit]:
    """A function of a mean for the mean of the function, and the other way round."""
    chain = _made_by(program, second, 2)
    names = [step.name for step in chain]
    if names == ["div", "reduce_sum"] and second.name in UNARY and len(second.ins) == 1:
        count, total = chain

        def first(v):
            inner = run(second.eqn, [v[total.ins[0]]])
            return run(count.eqn, [run(total.eqn, inner)[0], v[count.ins[1]]])[0]

        what = say("other order", one=second.name, other="mean")
        yield Edit(second.outs[0], first, what, "function", 1.3)
    unary = len(names) == 2 and names[1] in UNARY and len(chain[1].ins) == 1
    if unary and second.name == "div" and names[0] == "reduce_sum":
        total, f = chain

        def last(v):
            summed = run(total.eqn, [v[f.ins[0]]])[0]
            return run(f.eqn, [run(second.eqn, [summed, v[second.ins[1]]])[0]])[0]

        what = say("other order", one="mean", other=f.name)
        yield Edit(second.outs[0], last, what, "function", 1.3)


def _made_by(program: Program, step, count: int) -> list:
    """The steps that made its first operand, the latest first."""
    found = []
    for _ in range(count):
        maker = program.maker.get(step.ins[0]) if step.ins else None
        if maker is None or not program.steps[maker].origin:
            break
        step = program.steps[maker]
        found.append(step)
    return found


def _outside_root(program: Program, root) -> Iterator[Edit]:
    maker = program.maker.get(root.ins[0])
    if maker is None or program.steps[maker].name != "add":
        return
    for x, c in (program.steps[maker].ins, program.steps[maker].ins[::-1]):

        def make(v, x=x, c=c):
            return 1 / (np.sqrt(v[x]) + v[c])

        yield Edit(root.outs[0], make, say("outside root"), "eps", 1.3)


def _held(program: Program, index: int, name: Name) -> Iterator[Edit]:
    """A value taken for constant: in all its uses, or in this one."""
    step = program.steps[index]
    (out,) = step.outs
    if _is_float(step) and step.name != "stop_gradient":
        what = say("constant value", what=name(out))
        yield Edit(out, _base(out), what, "term", 1.2)
    if step.name == "stop_gradient":
        what = say("leave out", what="stop_gradient")
        yield Edit(out, lambda v: v[step.ins[0]], what, "term", 0.9)
    if len(step.ins) < 2 or step.name in ("select_n", "scan_stack"):
        return
    for k, slot in enumerate(step.ins):
        if slot in program.constants or not _is_float(step):
            continue

        def make(v, k=k, slot=slot):
            ins = [v[s] for s in step.ins]
            ins[k] = v.base[slot]
            return run(step.eqn, ins)[0]

        what = say("constant there", what=name(slot))
        yield Edit(out, make, what, "term", 1.4)


def _base(slot: int) -> Callable:
    return lambda v: v.base[slot]


def _is_float(step) -> bool:
    dtype = step.eqn.outvars[0].aval.dtype
    return isinstance(dtype, np.dtype) and dtype.kind in "fc"


def _masked(program: Program, index: int, name: Name) -> Iterator[Edit]:
    """A triangle of a square array shut out of a softmax."""
    step = program.steps[index]
    (out,), shape = step.outs, step.eqn.outvars[0].aval.shape
    if not _is_float(step) or len(shape) < 2 or not 1 < shape[-1] == shape[-2]:
        return
    for k in (0, -1, 1):
        for word, tri in (("lower", np.tril), ("upper", np.triu)):
            what = say("triangle", what=word, k=k, fill="-1e+30")

            def make(v, tri=tri, k=k):
                x = np.asarray(v[out])
                return np.where(tri(np.ones(x.shape[-2:], bool), k), x, -1e30)

            yield Edit(out, make, what, "mask", 1.5 + 0.1 * abs(k))


def _compared(program: Program, index: int, name: Name) -> Iterator[Edit]:
    """A comparison that is always true, or never; a maximum that is a sum."""
    step = program.steps[index]
    (out,) = step.outs
    dtype = step.eqn.outvars[0].aval.dtype
    if dtype == np.bool_:
        for truth in (True, False):
            what = instead(str(truth), name(out))
            make = _all(out, truth)
            yield Edit(out, make, what, "mask", 1.1)
    if step.name in ("and", "or"):
        f, word = (np.bitwise_or, "|") if step.name == "and" else (np.bitwise_and, "&")
        what = instead(word, "&" if step.name == "and" else "|")
        yield Edit(out, lambda v: f(v[step.ins[0]], v[step.ins[1]]), what, "mask", 1.2)
    if step.name in ("max", "min"):
        what = instead("+", "maximum" if step.name == "max" else "minimum")
        yield Edit(
            out, lambda v: v[step.ins[0]] + v[step.ins[1]], what, "function", 1.4
        )


OF_ANOTHER_KIND: dict[str, tuple[tuple[str, Callable], ...]] = {
    "mul": (("-", np.subtract), ("+", np.add)),
    "div": (("-", np.subtract), ("+", np.add)),
    "add": (("*", np.multiply), ("/", np.divide)),
    "sub": (("*", np.multiply), ("/", np.divide)),
}


def _operated(program: Program, index: int, name: Name) -> Iterator[Edit]:
    """An operator of another kind between two values: a difference for a product."""
    step = program.steps[index]
    if any(slot in program.constants for slot in step.ins):
        return  # x * 1 is x, for which there are better words
    for symbol, f in OF_ANOTHER_KIND.get(step.name, ()):

        def make(v, f=f):
            return f(v[step.ins[0]], v[step.ins[1]])

        what = instead(symbol, OPERATORS[step.name])
        yield Edit(step.outs[0], make, what, "function", 1.5)


def _all(slot: int, truth: bool) -> Callable:
    return lambda v: np.full_like(v[slot], truth)

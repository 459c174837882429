"""The single edits of a backward pass that are tried as its fix.

An edit makes another value of one slot of the program out of the values there are. Each
generator inverts a common mistake: what was left out is put back, what was put in is
left out, `+` is `-`, a sum is a mean, an operand is another one.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jax import lax

from jaxninja.check.diagnosis.code.names import enclosed
from jaxninja.check.diagnosis.code.numpy_primitives import run
from jaxninja.check.diagnosis.code.program import Makes, Program, Step
from jaxninja.check.hints import Number, Place, Statement, say

Values = Sequence[Any]


@dataclass(frozen=True)
class Edit:
    """A change of one value.

    Attributes:
        slot: the value that changes.
        make: its new value, from all values of a sample; may raise where it has none.
        what: the change.
        kind: the class of the mistake that it fixes.
        cost: how far-fetched it is; the smallest is told first.
        others: the same in the further turns of a loop, or places of a line.
    """

    slot: int
    make: Callable[[Values], Any]
    what: Statement
    kind: str
    cost: float
    others: tuple["Edit", ...] = ()

    @property
    def makes(self) -> Makes:
        return {edit.slot: edit.make for edit in (self, *self.others)}


@dataclass(frozen=True)
class Fix:
    """An edit, the wrong leaves that it makes right, and where it stands."""

    edit: Edit
    leaves: frozenset[int]
    where: Place | None
    subject: str | Statement  # the piece of the user's text that changes
    edges: tuple[str, ...] = ()  # where it does not hold
    options: tuple[str, ...] = ()  # with which it does not

    @property
    def change(self) -> Statement:
        """The edit and its place, as a statement."""
        at = say("at line", place=str(self.where)) if self.where else None
        return say("edit", at=at, subject=self.subject, edit=self.edit.what)


def axes_of(step: Step, but: Sequence[str]) -> Iterator[tuple[int, int, int]]:
    """(slot, axis, length) of each axis of a step's one result, `but` steps aside."""
    if len(step.outs) == 1 and step.name not in but:
        for axis, n in enumerate(step.eqn.outvars[0].aval.shape):
            yield step.outs[0], axis, n


SIGNED = {"add": "sub", "sub": "add", "add_any": "sub"}
EXCHANGED = {
    "add": np.subtract, "add_any": np.subtract, "sub": np.add, "mul": np.divide,
    "div": np.multiply, "max": np.minimum, "min": np.maximum, "gt": np.less_equal,
    "le": np.greater, "lt": np.greater_equal, "ge": np.less, "eq": np.not_equal,
    "ne": np.equal,
}  # fmt: skip
STRICTER = {
    "gt": (np.greater_equal, ">="), "ge": (np.greater, ">"),
    "lt": (np.less_equal, "<="), "le": (np.less, "<"),
}  # fmt: skip
SYMBOLS = {
    "add": "-", "add_any": "-", "sub": "+", "mul": "/", "div": "*", "max": "minimum",
    "min": "maximum", "gt": "<=", "le": ">", "lt": ">=", "ge": "<", "eq": "!=",
    "ne": "==",
}  # fmt: skip
OPERATORS = {
    "add": "+", "add_any": "+", "sub": "-", "mul": "*", "div": "/", "max": "maximum",
    "min": "minimum", "gt": ">", "le": "<=", "lt": "<", "ge": ">=", "eq": "==",
    "ne": "!=", "neg": "the minus sign", "convert_element_type": "the cast",
    "rev": "the flip", "reduce_sum": "the sum", "dot_general": "@",
}  # fmt: skip
KINDS = {
    "add": "sign", "add_any": "sign", "sub": "sign", "mul": "factor", "div": "factor",
    "neg": "sign", "convert_element_type": "precision", "transpose": "transpose",
    "select_n": "mask", "dot_general": "swap", "rev": "index", "conj": "conjugate",
}  # fmt: skip
FUNCTIONS: dict[str, Callable] = {
    "exp": np.exp, "log": np.log, "tanh": np.tanh, "sin": np.sin, "cos": np.cos,
    "square": np.square, "sqrt": np.sqrt, "rsqrt": lambda a: 1 / np.sqrt(a),
    "reciprocal": lambda a: 1 / a, "sign": np.sign, "abs": np.abs,
    "logistic": lambda a: 1 / (1 + np.exp(-a)),
}  # fmt: skip


def structural(program: Program, index: int, name: Callable[[int], str]):
    """All edits of one step that need nothing but the step and its operands."""
    step = program.steps[index]
    if len(step.outs) != 1:
        return
    for generator in (_dropped, _exchanged, _skipped, _moved, _scattered):
        yield from generator(program, index, name)


def _dropped(program, index, name) -> Iterator[Edit]:
    """One operand in place of the result: a step that should not be there."""
    step = program.steps[index]
    (out,) = step.outs
    operands = step.ins[1:] if step.name == "select_n" else step.ins
    for slot in dict.fromkeys(operands):
        sign = -1.0 if step.name == "sub" and slot == step.ins[1] else 1.0

        def make(values, slot=slot, sign=sign):
            shape, dtype = np.shape(values[out]), np.result_type(values[out])
            kept = np.broadcast_to(values[slot], shape)
            kept = kept if step.name == "convert_element_type" else kept.astype(dtype)
            return sign * kept if sign < 0 else kept

        others = [s for s in step.ins if s != slot]
        operator = OPERATORS.get(step.name, step.name)
        operands = ", ".join(map(name, others))
        if step.name in ("sub", "mul", "div", "dot_general"):
            operands = enclosed(operands, operator)
        what = say("leave out", what=f"{operator} {operands}".strip())
        number = bool(others) and all(s in program.constants for s in others)
        kind = _dropped_kind(step.name, number)
        yield Edit(out, make, what, kind, 1.0 if len(step.ins) == 1 else 1.6)


def _dropped_kind(primitive: str, number: bool) -> str:
    """What a superfluous step is; `number` if the other operand is a constant."""
    if primitive in SIGNED:
        return "affine" if number else "term"
    if primitive in ("mul", "div") and number:
        return "ratio"
    return KINDS.get(primitive, "function")


def conjugated(program: Program, values: Values, slots) -> Iterator[Edit]:
    for slot in slots:
        maker = program.maker.get(slot)
        is_conj = maker is not None and program.steps[maker].name == "conj"
        if np.iscomplexobj(values[slot]) and not is_conj:

            def make(values, slot=slot):
                return np.conj(values[slot])

            yield Edit(slot, make, say("conjugate it"), "conjugate", 1.2)


def _exchanged(program, index, name) -> Iterator[Edit]:
    """Another operator, or the operands the other way round."""
    step = program.steps[index]
    (out,), ins = step.outs, step.ins
    if step.name in EXCHANGED:
        f, old = EXCHANGED[step.name], OPERATORS[step.name]
        kind = "mask" if step.name in ("gt", "ge", "lt", "le", "eq", "ne") else (
            KINDS.get(step.name, "function")
        )  # fmt: skip
        what = instead(SYMBOLS[step.name], old)
        cost = 1.7 if step.name in ("max", "min") else 1.2  # a bound is rather left out
        yield Edit(out, lambda v, f=f: f(v[ins[0]], v[ins[1]]), what, kind, cost)
    if step.name in STRICTER:
        f, symbol = STRICTER[step.name]
        what = instead(symbol, OPERATORS[step.name])
        yield Edit(out, lambda v, f=f: f(v[ins[0]], v[ins[1]]), what, "mask", 1.2)
    if step.name in ("sub", "div", "pow", "dot_general", "atan2"):
        operator = OPERATORS.get(step.name, step.name)
        what = say("exchange operands", what=operator)
        swap = [ins[1], ins[0]]
        kind = "sign" if step.name == "sub" else "swap"
        yield Edit(
            out, lambda v: run(step.eqn, [v[s] for s in swap])[0], what, kind, 1.3
        )
    if step.name == "select_n" and len(ins) == 3:
        swap = [ins[0], ins[2], ins[1]]
        what = say("exchange branches")
        yield Edit(
            out, lambda v: run(step.eqn, [v[s] for s in swap])[0], what, "mask", 1.2
        )
        yield from _emptied(step, out, name)
    if step.name in FUNCTIONS:
        yield from _functions(step, out, ins[0])


def _emptied(step, out, name) -> Iterator[Edit]:
    """Zeros in place of one of the branches of where."""
    for k in (1, 2):

        def make(v, k=k):
            ins = [np.asarray(v[s]) for s in step.ins]
            ins[k] = np.zeros_like(ins[k])
            return run(step.eqn, ins)[0]

        yield Edit(out, make, instead("0", name(step.ins[k])), "mask", 1.3)


def _functions(step, out, operand) -> Iterator[Edit]:
    for other, f in FUNCTIONS.items():
        if other != step.name:
            what = instead(other, step.name)
            yield Edit(out, lambda v, f=f: f(v[operand]), what, "function", 1.4)


def _skipped(program, index, name) -> Iterator[Edit]:
    """This step on what its operand was made from: one step earlier is left out."""
    step = program.steps[index]
    (out,) = step.outs
    for k, slot in enumerate(step.ins):
        if slot not in program.maker:
            continue
        before = program.steps[program.maker[slot]]
        for inner in dict.fromkeys(before.ins):

            def make(values, k=k, inner=inner):
                ins = [values[s] for s in step.ins]
                if np.shape(values[inner]) == np.shape(ins[k]):
                    raise ValueError("the same as leaving out the step before")
                if _is_mask(ins[k]) and not _is_mask(values[inner]):
                    raise ValueError("a number for a mask")
                ins[k] = values[inner]
                return run(step.eqn, ins)[0]

            what = instead(name(inner), name(slot))
            kind = {"slice": "index", "transpose": "transpose"}.get(before.name)
            kind = kind or KINDS.get(before.name, "residual")
            unnamed = " in `" in name(inner)  # what no line of the text holds
            yield Edit(out, make, what, kind, 1.65 if unnamed else 1.5)


def _is_mask(value) -> bool:
    return getattr(value, "dtype", None) == np.bool_


def instead(new: str | Number | Statement, old: str) -> Statement:
    """One value for another; two of one line may have one name."""
    return say("another", old=old) if new == old else say("instead", new=new, old=old)


def _moved(program, index, name) -> Iterator[Edit]:
    """The result transposed, shifted by one place, or reversed."""
    step = program.steps[index]
    (out,) = step.outs
    shape = step.eqn.outvars[0].aval.shape
    if len(shape) >= 2 and shape[-1] == shape[-2]:
        what = say("transpose operand", what="it")
        yield Edit(out, lambda v: np.swapaxes(v[out], -1, -2), what, "transpose", 1.3)
    for axis in range(len(shape)):
        if shape[axis] > 1:
            for by in (-1, 1):
                what = say("shift it", by=by, axis=axis)
                yield Edit(
                    out, lambda v, a=axis, b=by: np.roll(v[out], b, a), what, "index", 2
                )


def _scattered(program, index, name) -> Iterator[Edit]:
    """Repeated indices: add, where the last one wins."""
    step = program.steps[index]
    if step.name != "scatter":
        return
    (out,), ins = step.outs, step.ins
    yield Edit(
        out, lambda v: v[ins[0]], say("leave out", what="the .set"), "index", 0.9
    )
    keys = ("dimension_numbers", "indices_are_sorted", "unique_indices", "mode")
    options = {key: step.eqn.params[key] for key in keys}

    def make(values):
        return np.asarray(lax.scatter_add(*(values[s] for s in ins), **options))

    yield Edit(out, make, instead(".add", ".set"), "duplicates", 1.0)

"""Another sum: a mean or a maximum, along another axis, over the entries of a group.

A sum over another axis may have another shape. Then the edit is made one step later:
there the array that the sum was taken of and the array it meets have one shape.
"""

import itertools
from collections.abc import Callable, Iterator

import numpy as np

from jaxninja.check.diagnosis.code.numpy_primitives import run
from jaxninja.check.diagnosis.code.problem import Problem
from jaxninja.check.diagnosis.code.program import Program
from jaxninja.check.diagnosis.edits.single import Edit, axes_of, instead
from jaxninja.check.hints import say

LAID_OUT = (
    *("broadcast_in_dim", "reshape", "squeeze", "expand_dims"),
    *("convert_element_type", "stop_gradient"),
)
MEETING = ("add", "add_any", "sub", "mul", "div", "max", "min")
REDUCTIONS: dict[str, tuple[str, Callable]] = {
    "reduce_sum": ("sum", np.sum),
    "reduce_max": ("max", np.max),
}
RANK = 4  # beyond it only single axes are tried


def other_sums(program: Program, index: int) -> Iterator[Edit]:
    """Sum, mean, maximum and first entry in place of one another; another axis."""
    step = program.steps[index]
    if len(step.outs) != 1:
        return
    (out,), x = step.outs, step.ins[0] if step.ins else -1
    if step.name in ("reduce_sum", "reduce_max", "reduce_min", "reduce_prod"):
        axes = tuple(step.eqn.params["axes"])
        for other, f, kind in (
            ("sum", np.sum, "sum"),
            ("mean", np.mean, "ratio"),
            ("max", np.max, "sum"),
            ("prod", np.prod, "sum"),
        ):
            if f"reduce_{other}" != step.name:
                what = instead(other, step.name.removeprefix("reduce_"))
                yield Edit(out, lambda v, f=f: f(v[x], axis=axes), what, kind, 1.3)
        rank = len(step.eqn.invars[0].aval.shape)
        for others in _other_axes(axes, rank):
            axis = ", ".join(map(str, others))
            what = say("other axis", axis=axis, old=axes[0])
            yield Edit(
                out, lambda v, o=others: _sum_like(v[x], o, v[out]), what, "sum", 1.4
            )
    if step.name in ("squeeze", "slice", "dynamic_slice", "gather", "reshape"):
        what = instead("sum", "an entry")
        yield Edit(out, lambda v: _shrunk(v[x], v[out]), what, "sum", 1.4)


def _sum_like(x, axes, out):
    total = np.sum(x, axis=axes)
    return total.reshape(np.shape(out))


def _other_axes(axes, rank) -> Iterator[tuple[int, ...]]:
    for first in range(rank - len(axes) + 1):
        other = tuple(range(first, first + len(axes)))
        if other != axes:
            yield other


def _shrunk(x, out):
    """x summed to the shape of out: over axes of length one there, or leading ones."""
    x, shape = np.asarray(x), np.shape(out)
    if x.ndim == len(shape):
        axes = tuple(i for i, n in enumerate(shape) if n == 1 != x.shape[i])
        total = x.sum(axes, keepdims=True)
    else:
        kept = list(shape)
        axes = []
        for i in reversed(range(x.ndim)):
            if kept and kept[-1] == x.shape[i]:
                kept.pop()
            else:
                axes.append(i)
        total = x.sum(tuple(axes))
    if total.shape != shape or total.size == x.size:
        raise ValueError("no axis to sum over")
    return total


def over_other_axes(program: Program, index: int) -> Iterator[Edit]:
    """The step that meets the sum, with a sum over other axes of another size."""
    step = program.steps[index]
    if step.name not in REDUCTIONS:
        return
    shape, used = step.eqn.invars[0].aval.shape, tuple(step.eqn.params["axes"])
    word, f = REDUCTIONS[step.name]
    met = _met(program, step.outs[0])
    if met is None:
        return
    meeting, slot, is_mean = met
    if is_mean:
        word, f = "mean", np.mean
    for axes in _others(shape, used):
        given, old = _listed(axes, shape), _listed(used, shape)
        what = say("other axes", what=word, axes=given, old=old)
        make = _with_operand(meeting, slot, step.ins[0], f, axes)
        yield Edit(meeting.outs[0], make, what, "sum", 1.4)


def one_for_all(program: Program, index: int, name: Callable) -> Iterator[Edit]:
    """One entry along an axis, or their mean, in the place of each of them."""
    for out, axis, n in axes_of(program.steps[index], LAID_OUT):
        for word, f in ENTRIES.items() if n > 1 else ():

            def make(v, out=out, axis=axis, f=f):
                x = np.asarray(v[out])
                return np.broadcast_to(f(x, axis), x.shape)

            what = say("one for all", what=word, of=name(out), axis=axis)
            yield Edit(out, make, what, "index", 1.8)


ENTRIES: dict[str, Callable] = {
    "the first entry": lambda x, a: np.take(x, [0], a),
    "the last entry": lambda x, a: np.take(x, [-1], a),
    "the mean": lambda x, a: x.mean(a, keepdims=True),
}


def per_group(problem: Problem, index: int, name: Callable) -> Iterator[Edit]:
    """The step that meets a sum over all, with sums over entries of equal index."""
    program = problem.program
    assert program is not None
    step = program.steps[index]
    met = _met(program, step.outs[0]) if step.name == "reduce_sum" else None
    if met is None or met[2] or len(step.eqn.params["axes"]) != 1:
        return
    (meeting, slot, _), (axis,) = met, step.eqn.params["axes"]
    for ids in program.inputs:
        value = problem.values[ids]
        fits = np.shape(value) == (step.eqn.invars[0].aval.shape[axis],)
        if fits and np.asarray(value).dtype.kind == "i":

            def make(values, ids=ids):
                total = _grouped_sum(values[step.ins[0]], values[ids], axis)
                ins = [total if s == slot else values[s] for s in meeting.ins]
                return run(meeting.eqn, ins)[0]

            what = say("per group", what="sum", by=name(ids))
            yield Edit(meeting.outs[0], make, what, "sum", 1.5)


def _grouped_sum(x, ids, axis: int) -> np.ndarray:
    """Each entry of x replaced by the sum over the entries of its group."""
    same = np.equal(ids[:, None], ids).astype(np.result_type(x))
    return np.moveaxis(np.tensordot(same, x, (1, axis)), 0, axis)


def _met(program: Program, slot: int):
    """(step, operand, is a mean): where the result is combined with another array."""
    is_mean = False
    while len(readers := program.readers.get(slot, [])) == 1:
        step = program.steps[readers[0]]
        by_count = step.name == "div" and step.ins[1] in program.constants
        bounded = step.name == "max" and any(map(program.is_infinite, step.ins))
        if step.name in MEETING and not (by_count or bounded):
            return step, slot, is_mean
        if step.name not in LAID_OUT and not (by_count or bounded):
            return None
        is_mean |= by_count
        slot = step.outs[0]
    return None


def _others(shape: tuple[int, ...], used: tuple[int, ...]):
    """Sets of axes that leave another shape than the used ones do."""
    rank = len(shape)
    counts = range(1, rank + 1) if rank <= RANK else (1,)
    left = [n for i, n in enumerate(shape) if i not in used]
    for count in counts:
        for axes in itertools.combinations(range(rank), count):
            if [n for i, n in enumerate(shape) if i not in axes] != left:
                yield axes


def _listed(axes: tuple[int, ...], shape) -> str:
    if len(axes) == len(shape) > 1:
        return "all axes"
    return f"ax{'i' if len(axes) == 1 else 'e'}s {', '.join(map(str, axes))}"


def _with_operand(step, slot: int, x: int, f: Callable, axes) -> Callable:
    def make(values):
        total = f(values[x], axis=axes, keepdims=True)
        return run(step.eqn, [total if s == slot else values[s] for s in step.ins])[0]

    return make


def regrouped(program: Program, index: int) -> Iterator[Edit]:
    """Axes merged, or split, in the other order: heads and groups exchanged."""
    step = program.steps[index]
    if step.name != "reshape":
        return
    (out,), x = step.outs, step.ins[0]
    old, new = step.eqn.invars[0].aval.shape, step.eqn.outvars[0].aval.shape
    what = say("regrouped")
    for axis in range(min(len(old), len(new)) + 1):
        if len(old) == len(new) + 1 and merges(old, new, axis):

            def merged(v, axis=axis):
                return np.swapaxes(v[x], axis, axis + 1).reshape(new)

            yield Edit(out, merged, what, "index", 1.2)
        if len(new) == len(old) + 1 and merges(new, old, axis):
            turned = list(new)
            turned[axis : axis + 2] = turned[axis : axis + 2][::-1]

            def split(v, axis=axis, turned=tuple(turned)):
                return np.swapaxes(np.reshape(v[x], turned), axis, axis + 1)

            yield Edit(out, split, what, "index", 1.2)


def merges(long: tuple, short: tuple, axis: int) -> bool:
    """Whether two axes that lie side by side are one in the shorter shape."""
    if axis + 1 >= len(long) or 1 in long[axis : axis + 2]:
        return False
    merged = long[axis] * long[axis + 1]
    return (*long[:axis], merged, *long[axis + 2 :]) == short

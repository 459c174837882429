"""Edits of how an operation runs: a running sum the other way, a system transposed, a
result moved by one place along an axis."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np

from jaxninja.check.diagnosis.code.numpy_primitives import run
from jaxninja.check.diagnosis.code.program import Program
from jaxninja.check.diagnosis.edits.single import Edit, axes_of
from jaxninja.check.hints import say

Name = Callable[[int], str]
TRANSFORMS = {"FFT": "IFFT", "IFFT": "FFT"}
STILL = ("broadcast_in_dim", "convert_element_type", "reshape")


@dataclass(frozen=True)
class Changed:
    """An equation with other parameters, to be run."""

    primitive: Any
    params: dict
    outvars: tuple
    invars: tuple


def replace_params(eqn, changed: dict) -> Changed:
    outvars, invars = tuple(eqn.outvars), tuple(eqn.invars)
    return Changed(eqn.primitive, {**eqn.params, **changed}, outvars, invars)


def running_sums(program: Program, index: int, name: Name) -> Iterator[Edit]:
    """A running sum the other way, without its own entry, along another axis."""
    step = program.steps[index]
    if step.name == "rev":
        yield from _run_back(program, step)
    if step.name not in ("cumsum", "cumprod", "cummax", "cummin", "cumlogsumexp"):
        return
    (out,), (x,), params = step.outs, step.ins[:1], step.eqn.params

    def rerun(v, **changed):
        eqn = replace_params(step.eqn, changed)
        return run(eqn, [v[x]])[0]

    yield Edit(
        out,
        lambda v: rerun(v, reverse=not params["reverse"]),
        say("other direction", what=step.name),
        "index",
        1.2,
    )
    if step.name == "cumsum":
        what = say("without own", what=step.name)
        yield Edit(out, lambda v: v[out] - v[x], what, "index", 1.2)
    for axis in range(len(step.eqn.outvars[0].aval.shape)):
        if axis != params["axis"]:
            what = say("along axis", what=step.name, axis=axis, old=params["axis"])
            yield Edit(out, lambda v, a=axis: rerun(v, axis=a), what, "sum", 1.2)


def _run_back(program: Program, last) -> Iterator[Edit]:
    """A running sum of what is turned and turned back, along another axis."""
    found = [last]
    for name in ("cumsum", "rev"):
        maker = program.maker.get(found[-1].ins[0])
        if maker is None or program.steps[maker].name != name:
            return
        found.append(program.steps[maker])
    (out,), (x,), axes = last.outs, found[-1].ins, last.eqn.params["dimensions"]
    shape = last.eqn.outvars[0].aval.shape
    for axis in range(len(shape)):
        if (axis,) != tuple(axes):

            def make(v, a=axis):
                return np.flip(np.cumsum(np.flip(v[x], a), a), a)

            what = say("along axis", what="cumsum", axis=axis, old=axes[0])
            yield Edit(out, make, what, "sum", 1.2)


def other_option(program: Program, index: int, name: Name) -> Iterator[Edit]:
    """A triangular system's matrix transposed; a Fourier transform the other way."""
    step = program.steps[index]
    if step.name == "triangular_solve":
        changed = {"transpose_a": not step.eqn.params["transpose_a"]}
        what, kind = say("transpose operand", what=name(step.ins[0])), "transpose"
    elif step.name == "fft" and step.eqn.params["fft_type"].name in TRANSFORMS:
        back = TRANSFORMS[step.eqn.params["fft_type"].name]
        changed = {"fft_type": SimpleNamespace(name=back)}  # NumPy's twin reads no more
        what, kind = say("other direction", what="fft"), "transpose"
    else:
        return
    eqn = replace_params(step.eqn, changed)
    yield Edit(
        step.outs[0], lambda v: run(eqn, [v[s] for s in step.ins])[0], what, kind, 1.2
    )


def moved_in(program: Program, index: int, name: Name) -> Iterator[Edit]:
    """The result moved along an axis by one place, zeros or its edge moved in."""
    for out, axis, n in axes_of(program.steps[index], STILL):
        for by in (-1, 1) if n > 2 else ():
            for mode in ("constant", "edge"):

                def make(v, out=out, axis=axis, by=by, mode=mode):
                    x = np.asarray(v[out])
                    width = [(0, 0)] * x.ndim
                    width[axis] = (1, 0) if by == 1 else (0, 1)
                    kept = slice(0, -1) if by == 1 else slice(1, None)
                    padded = np.pad(x, width, mode=mode)  # type: ignore[call-overload]
                    return padded[(slice(None),) * axis + (kept,)]

                filled = "zeros" if mode == "constant" else "its edge"
                what = say("move in", by=by, axis=axis, filled=filled)
                yield Edit(out, make, what, "index", 1.9)

"""Which step of a hand-derived chain is wrong? Only the first guilty one is named.

Backpropagation by hand is a chain: each gradient is computed from those before it. One
mistake makes everything after it wrong, and a list of wrong gradients does not say
where it began. So each step is run twice: on the learner's own gradients, and on the
true ones. A step that is wrong on true gradients is wrong by itself; one that is wrong
on the learner's alone has inherited its error.
"""

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.ad_checkpoint import checkpoint_name

from jaxninja.check.compare import RELATIVE, difference, wide
from jaxninja.check.errors import UserCodeError, VJPCheckError, running, user_line
from jaxninja.check.subject.subject import source_of
from jaxninja.errors import ArgumentError
from jaxninja.intermediates.gradients import retain_grads

OK, WRONG, INHERITED = "ok", "wrong", "inherited"


@dataclass(frozen=True)
class Step:
    """One line of the chain.

    Attributes:
        name: of the intermediate.
        verdict: "ok", "wrong" (by itself) or "inherited" (from an earlier step).
        maxdiff: largest error given true upstream gradients.
        chained: largest error in the learner's own chain.
        where: "file:line" of the step's function.
        note: what else is to be said.
        failure: what it did in place of giving a gradient: "raised ...".
    """

    name: str
    verdict: str
    maxdiff: float
    chained: float
    where: str | None = None
    note: str = ""
    failure: str = ""


@dataclass(frozen=True)
class Steps:
    """What `check_steps` found; `guilty` is the first step that is wrong by itself."""

    steps: tuple[Step, ...]

    @property
    def guilty(self) -> Step | None:
        """The first step that is wrong by itself, or None."""
        return next((s for s in self.steps if s.verdict == WRONG), None)

    @property
    def ok(self) -> bool:
        """Whether every step is right."""
        return bool(self.steps) and all(s.verdict == OK for s in self.steps)

    def __bool__(self) -> bool:
        return self.ok

    def table(self) -> str:
        """A line a step; an arrow marks the guilty one."""
        return "\n".join(map(self._line, self.steps))

    __str__ = table

    def _line(self, step: Step) -> str:
        text = f"{step.name:15s} | {step.verdict:9s} | maxdiff: {step.maxdiff:.3g}"
        if step is self.guilty:
            text += f"   <-- here{f', {step.where}' if step.where else ''}"
        return text + (f"   {step.note}" if step.note else "")

    def raise_if_failed(self) -> "Steps":
        """Raise VJPCheckError with the table unless all steps are right."""
        if not self.ok:
            raise VJPCheckError(self.table())
        return self


def check_steps(
    forward: Callable[..., Any],
    steps: Mapping[str, Callable[[dict, dict], Any]],
    *args: Any,
    rtol: float | None = None,
    zero: Iterable[str] = (),
) -> Steps:
    """Check a chain of hand-derived gradients, step by step.

    Args:
        forward: returns a scalar, and names its intermediates:
            `h = jax.ad_checkpoint.checkpoint_name(h, "h")`.
        steps: in the order of the backward pass, name -> `step(values, grads)`, which
            returns the gradient of that name. `values` holds the inputs and all named
            intermediates, `grads` the gradients of the steps before.
        args: of forward; a step may bear an argument's name.
        rtol: relative to the largest entry of the gradient; 1e-5 in float32.
        zero: names whose gradient is zero in theory, such as that of a mean that is
            subtracted: they hold rounding alone, and the largest entry of all
            gradients serves as their scale.

    Returns:
        `Steps`, one entry a step. The first step that is wrong by itself is `guilty`.

    Raises:
        ValueError: a name of a step, or of `zero`, is neither an intermediate nor an
            argument; or forward returns no real scalar.
    """
    values, truth = _truth(forward, args, (*steps, *zero))
    sizes = {name: _magnitude(gradient) for name, gradient in truth.items()}
    overall = max(sizes.values(), default=0.0)
    mine: dict[str, Any] = {}
    found: list[Step] = []
    for name, step in steps.items():
        true_upstream = {k: truth[k] for k in mine}
        scale = overall if name in zero else None
        judged = judge_step(
            name, step, values, true_upstream, mine, truth[name], rtol, scale
        )
        rounding = sizes[name] <= 8 * float(jnp.finfo(truth[name].dtype).eps) * overall
        if judged.verdict == WRONG and rounding and name not in zero:
            judged = replace(judged, note=f"{judged.note} {_MAY_BE_ZERO}".strip())
        found.append(judged)
    return Steps(tuple(found))


_MAY_BE_ZERO = (
    "the true gradient is of the size of a rounding: if it is zero in theory, name it "
    "in zero="
)


def _magnitude(gradient) -> float:
    return float(np.max(np.abs(wide(gradient)), initial=0.0))


def judge_step(
    name: str,
    step: Callable[[dict, dict], Any],
    values: Mapping[str, Any],
    true_upstream: dict[str, Any],
    mine: dict[str, Any],
    expected: Any,
    rtol: float | None = None,
    scale: float | None = None,
) -> Step:
    """One step, on true upstream gradients and on the learner's own, `mine`.

    The learner's result is added to `mine`; where later steps could not even run on it,
    the expected one is. `scale` is the magnitude that `rtol` is relative to, by default
    the largest expected entry; a gradient that is zero in theory needs one.
    """
    where = _where(step)
    try:
        alone, chained = (
            _call(name, step, values, grads) for grads in (true_upstream, dict(mine))
        )
    except UserCodeError as error:
        mine[name] = expected
        place, note = error.where or where, error.sentence
        return Step(name, WRONG, np.inf, np.inf, place, note, error.did)
    mine[name] = chained
    right, error, note = _agrees(alone, expected, rtol, scale)
    right_chained, chained_error, _ = _agrees(chained, expected, rtol, scale)
    if alone is not None and np.shape(wide(alone)) != np.shape(expected):
        mine[name] = expected  # later steps could not even run on it
    verdict = WRONG if not right else OK if right_chained else INHERITED
    return Step(name, verdict, error, chained_error, where, note)


class _NoGradientError(KeyError):
    """A step asks for a gradient that is not there; any other key is its own matter."""


class _Gradients(dict):
    def __missing__(self, name):
        raise _NoGradientError(name)


def _call(name: str, step, values: Mapping[str, Any], grads: dict):
    try:
        with running(f"the step of {name}"):
            return step(dict(values), _Gradients(grads))
    except UserCodeError as error:
        if isinstance(error.__cause__, _NoGradientError):
            known = ", ".join(grads) or "none"
            did = f"asks for {error.__cause__}; gradients before it: {known}"
            what, line = f"the step of {name}", user_line(error)
            text = f"{what} {did}"
            raise UserCodeError("E-RAISE", text, line, what, did) from error
        raise


def _agrees(got, expected, rtol, scale=None) -> tuple[bool, float, str]:
    if got is None:
        return False, np.inf, "the step returns None"
    if np.shape(wide(got)) != np.shape(expected):
        shapes = f"shape {np.shape(wide(got))}, expected {np.shape(expected)}"
        return False, np.inf, shapes
    rtol = RELATIVE[str(expected.dtype)] if rtol is None else rtol
    scale = scale or _magnitude(expected) or 1.0
    found = difference(got, expected, rtol * scale)
    return found.ok, found.error, ""


def _truth(forward, args, wanted: tuple[str, ...]) -> tuple[dict, dict]:
    """Named values and the gradients of all names and float arguments."""
    y = jax.eval_shape(forward, *args)
    real = jax.tree.structure(y) == jax.tree.structure(0) and not y.shape
    if not (real and jnp.issubdtype(y.dtype, jnp.floating)):
        what = y if hasattr(y, "shape") else type(y).__name__
        raise ArgumentError(
            f"check_steps: forward returns {what}, expected a real scalar, as a loss is"
        )
    parameters = list(inspect.signature(forward).parameters)[: len(args)]

    def named(*args):
        # Arguments are named like the rest, so that one retain_grads sees them all.
        given = [_tap(p, a) for p, a in zip(parameters, args, strict=True)]
        return forward(*given)

    _, grads, values = retain_grads(named, values=True)(*args)
    unknown = [name for name in wanted if name not in grads]
    if unknown:
        raise ArgumentError(
            f"check_steps: no array is named {', '.join(unknown)}; forward names "
            f"{', '.join(grads)}. Name one with h = checkpoint_name(h, 'h')"
        )
    return {**dict(zip(parameters, args, strict=True)), **values}, grads


def _tap(name: str, value):
    is_float = hasattr(value, "dtype") and jnp.issubdtype(value.dtype, jnp.inexact)
    return checkpoint_name(value, name) if is_float else value


def _where(step) -> str | None:
    source = source_of(step)
    return f"{source[0].rsplit('/', 1)[-1]}:{source[1]}" if source else None

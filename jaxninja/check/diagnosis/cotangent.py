"""What a backward does to its cotangent: ignores it, bends it, uses a part of it.

A true backward B is linear, so B(0) = 0. If it is not, or if an output's cotangent
is lost, then the gradients are those of another cotangent h(g): each usual h is put
into the reference's backward and compared at several multiples of g, one of them
negative.
"""

from collections.abc import Callable, Iterator, Sequence

import jax
import numpy as np

from jaxninja.check.diagnosis.code.problem import (
    Problem,
    alike,
    as_leaf,
    close,
    inner,
)
from jaxninja.check.diagnosis.reference import Reference
from jaxninja.check.diagnosis.regions import Found
from jaxninja.check.hints import Number, Statement, say

Cotangent = list[np.ndarray]
MULTIPLES = (1.0, -1.0, 3.0, -0.3, 1e-3)  # of a small one nothing is cut off


class Probe:
    """The user's backward on any cotangent, other inputs as in the sample."""

    def __init__(self, problem: Problem):
        self.problem = problem
        self.dy: Cotangent = [as_leaf(g) for g in jax.tree.leaves(problem.sample.dy)]

    def __call__(self, dy: Sequence) -> list[np.ndarray]:
        problem = self.problem
        if problem.program is None:
            return problem.called(jax.tree.unflatten(self.tree, list(dy)))
        program = problem.program
        first = len(jax.tree.leaves(problem.sample.residuals))
        slots = program.inputs[first : first + len(dy)]
        given = dict(zip(slots, dy, strict=True))
        return [np.asarray(a) for a in program.with_inputs(problem.values, given)]

    @property
    def tree(self):
        return jax.tree.structure(self.problem.sample.dy)

    @property
    def size(self) -> int:
        return sum(np.size(g) for g in self.dy if _is_float(g))

    def times(self, factor: float) -> Cotangent:
        return [_times(g, factor) for g in self.dy]


def _times(g, factor: float):
    return factor * g if _is_float(g) else g


def _is_float(g) -> bool:
    """Not so of an integer output, whose cotangent is of type float0."""
    return np.result_type(g).kind in "fc"


VAGUE = "nonlinear"


def probes(problem: Problem, reference: Reference | None) -> Found | None:
    """A wrong use of the cotangent, else None.

    Of kind VAGUE if all that is known is that the backward bends the cotangent.
    """
    probe = Probe(problem)
    at_zero = probe(probe.times(0.0))
    names = problem.sample.names
    for k in sorted(problem.wrong):
        finite = bool(np.all(np.isfinite(at_zero[k])))
        if finite and np.abs(at_zero[k]).max(initial=0) > _small(problem, k):
            if _ignored(probe, k):
                return "cotangent", say("ignored", leaf=names[k])
            return "affine", _constant(problem, at_zero[k], k)
    other = None if reference is None else _another(problem, probe, reference)
    if other is not None:
        return "cotangent", other
    if reference is not None and _is_adjoint(problem, probe, reference):
        leaves = problem.leaf_names(problem.wrong)
        return "conjugate", say("adjoint", leaves=leaves)
    bent = [k for k in sorted(problem.wrong) if not _homogeneous(probe, k)]
    if bent:
        return VAGUE, _bent(problem, probe, bent[0])
    return None


def _small(problem: Problem, leaf: int) -> float:
    return 1e-10 * float(np.abs(problem.expected[leaf]).max(initial=0)) + problem.floor


def _ignored(probe: Probe, leaf: int) -> bool:
    first, second = probe(probe.times(2.0))[leaf], probe(probe.times(-0.7))[leaf]
    return close(first, second, 1e-300)


def _constant(problem: Problem, extra: np.ndarray, leaf: int) -> Statement:
    """Of a gradient that is `extra` where the cotangent is zero."""
    first, largest = np.ravel(extra)[0].item(), float(np.abs(extra).max())
    alike = bool(np.all(extra == first))
    size = f"{first:.6g}" if alike else say("up to", size=f"{largest:.3g}")
    exact = close(problem.got[leaf] - extra, problem.expected[leaf], problem.floor)
    rest = say("exact without") if exact else ""
    return say("constant", leaf=problem.sample.names[leaf], size=size, rest=rest)


def _homogeneous(probe: Probe, leaf: int) -> bool:
    """Whether B(t g) = t B(g), up to a rounding to bfloat16 that B may contain."""
    base = probe(probe.dy)[leaf]
    for t in (-1.0, 3.0, 1e-3):
        scale = abs(t) * float(np.abs(base).max(initial=0)) + 1e-300
        if not np.abs(probe(probe.times(t))[leaf] - t * base).max() <= 0.02 * scale:
            return False
    return True


def _bent(problem: Problem, probe: Probe, leaf: int) -> Statement:
    base, negative = probe(probe.dy)[leaf], probe(probe.times(-1.0))[leaf]
    what = "an even function of it" if close(base, negative) else "not linear in it"
    return say("nonlinear", leaf=problem.sample.names[leaf], what=what)


def _another(problem: Problem, probe: Probe, reference: Reference) -> Statement | None:
    """The h for which the user's gradients are the true ones of h(dy)."""
    if not any(np.any(problem.expected[k]) for k in problem.wrong):
        return None  # zero is the gradient of any cotangent
    for given, h in _functions(problem, probe, reference):
        if all(_agree(problem, probe, reference, h, t) for t in MULTIPLES):
            leaves = problem.leaf_names(problem.wrong)
            return say("other cotangent", leaves=leaves, given=given)
    return None


def _agree(problem, probe, reference, h, multiple) -> bool:
    dy = probe.times(multiple)
    mine, truth = probe(dy), reference.gradients(problem, h(dy))
    return all(alike(mine[k], truth[k], problem.floor) for k in problem.wrong)


def _is_adjoint(problem, probe: Probe, reference: Reference) -> bool:
    """Whether J^H dy = conj(J^T conj(dy)) stands where JAX asks for J^T dy."""
    if not any(np.iscomplexobj(g) for g in probe.dy):
        return False
    dy = [np.conj(g) if _is_float(g) else g for g in probe.dy]
    mine, truth = probe(probe.dy), reference.gradients(problem, dy)
    return all(alike(mine[k], np.conj(truth[k]), problem.floor) for k in problem.wrong)


def _functions(
    problem: Problem, probe: Probe, reference: Reference
) -> Iterator[tuple[Statement, Callable[[Cotangent], Cotangent]]]:
    one: list[tuple[Statement, Callable]] = [
        (say("|{dy}|"), np.abs),
        (say("{dy} * {dy}"), np.square),
        (say("max({dy}, 0)"), lambda g: np.maximum(g, 0)),
        (say("min({dy}, 0)"), lambda g: np.minimum(g, 0)),
        (say("sign({dy})"), np.sign),
        (say("{dy} / max|{dy}|"), lambda g: g / (np.abs(g).max(initial=0) + 1e-30)),
        (
            say("{dy} / norm({dy})"),
            lambda g: g / (np.sqrt(np.square(g).sum()) + 1e-30),
        ),
        (say("tanh({dy})"), np.tanh),
        (say("exp({dy})"), np.exp),
    ]
    norm = _limit(problem, probe, reference, _direction)
    if norm is not None and norm > 0 and probe.size > 1:
        clipped = say("{dy} min(1, {limit} / norm({dy}))", limit=Number.of(norm))
        one.append((clipped, lambda g: g * min(1.0, norm / _norm(g))))
    limit = _limit(problem, probe, reference, np.sign)
    if limit is not None and limit > 0:
        clipped = say("clip({dy}, -{limit}, {limit})", limit=Number.of(limit))
        one.append((clipped, lambda g: np.clip(g, -limit, limit)))
    floats = [g for g in probe.dy if _is_float(g)]
    if any(g.size > 1 for g in floats):
        one += [
            (say(f"its {what} in every place"), lambda g, f=f: np.full_like(g, f(g)))
            for what, f in (
                ("first entry", lambda g: g.flat[0]),
                ("mean", np.mean),
                ("sum", np.sum),
                ("largest entry", np.max),
            )
        ]
        one += list(_layouts(floats))
    for given, f in one:
        yield given, lambda dy, f=f: [_of(f, g) if _is_float(g) else g for g in dy]
    yield from _several(probe.dy)


def _of(f: Callable, g) -> np.ndarray:
    """In g's own type: of complex numbers a size is real."""
    return np.asarray(f(g), np.result_type(g))


def _layouts(dy: Cotangent) -> Iterator[tuple[Statement, Callable]]:
    """Moves of the entries of the cotangent along its axes."""
    rank = max(np.ndim(g) for g in dy)
    if rank >= 2 and all(np.ndim(g) >= 2 and g.shape[-1] == g.shape[-2] for g in dy):
        yield say("{dy} transposed"), lambda g: np.swapaxes(g, -1, -2)
    for axis in range(rank):
        if all(np.ndim(g) > axis for g in dy):
            yield (
                say("{dy} averaged over axis {axis}", axis=axis),
                lambda g, a=axis: np.broadcast_to(g.mean(a, keepdims=True), g.shape),
            )
            flipped = say("{dy} reversed along axis {axis}", axis=axis)
            yield flipped, lambda g, a=axis: np.flip(g, a)
            for by in (1, -1):
                yield (
                    say("{dy} shifted by {by} along axis {axis}", by=by, axis=axis),
                    (lambda g, a=axis, b=by: np.roll(g, b, a)),
                )


def _several(dy: Cotangent) -> Iterator[tuple[Statement, Callable]]:
    """One output's cotangent lost, or two exchanged."""
    floats = [i for i, g in enumerate(dy) if _is_float(g)]
    for i in floats if len(dy) > 1 else ():
        yield (
            say("{dy} with output {i} ignored", i=i),
            lambda g, i=i: [np.zeros_like(a) if j == i else a for j, a in enumerate(g)],
        )
        for j in floats:
            if j > i and np.shape(dy[i]) == np.shape(dy[j]):
                yield (
                    say("{dy} with outputs {i} and {j} exchanged", i=i, j=j),
                    (lambda g, i=i, j=j: [g[_swap(k, i, j)] for k in range(len(g))]),
                )


def _swap(k: int, i: int, j: int) -> int:
    return j if k == i else i if k == j else k


def _norm(g) -> float:
    return float(np.sqrt(np.square(np.abs(g)).sum())) or 1e-300


def _direction(g):
    return g / _norm(g)


def _limit(
    problem: Problem, probe: Probe, reference: Reference, unit_of: Callable
) -> float | None:
    """c, if for large cotangents the gradients are those of c unit_of(dy)."""
    leaf = min(problem.wrong)
    far, farther = (probe(probe.times(t))[leaf] for t in (1e7, 1e8))
    if not close(far, farther) or not np.any(far):
        return None
    signs = [unit_of(g) if _is_float(g) else g for g in probe.dy]
    unit = reference.gradients(problem, signs)[leaf]
    size = inner(unit, unit)
    return inner(unit, far) / size if size else None

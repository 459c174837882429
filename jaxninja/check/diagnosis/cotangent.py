"""What a backward does to its cotangent: ignores it, bends it, uses a part of it.

A true backward B is linear, so B(0) = 0. If it is not, or if an output's cotangent
is lost, then the gradients are those of another cotangent h(g): each usual h is put
into the reference's backward and compared at several multiples of g, one of them
negative.
"""

from collections.abc import Callable, Iterator, Sequence

import jax
import numpy as np

from jaxninja.check.diagnosis.code.names import listed
from jaxninja.check.diagnosis.code.problem import Problem, as_leaf, close, inner
from jaxninja.check.diagnosis.reference import Reference

Cotangent = list[np.ndarray]
MULTIPLES = (1.0, -1.0, 3.0, -0.3)


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

    def times(self, factor: float) -> Cotangent:
        return [_times(g, factor) for g in self.dy]


def _times(g, factor: float):
    return factor * g if _is_float(g) else g


def _is_float(g) -> bool:
    """Not so of an integer output, whose cotangent is of type float0."""
    return np.result_type(g).kind in "fc"


VAGUE = "nonlinear"


def probes(problem: Problem, reference: Reference | None) -> tuple[str, str] | None:
    """(sentence, kind) of a wrong use of the cotangent, else None.

    Of kind VAGUE if all that is known is that the backward bends the cotangent.
    """
    probe = Probe(problem)
    at_zero = probe(probe.times(0.0))
    names = problem.sample.names
    for k in sorted(problem.wrong):
        finite = bool(np.all(np.isfinite(at_zero[k])))
        if finite and np.abs(at_zero[k]).max(initial=0) > _small(problem, k):
            return _constant(problem, probe, at_zero, k), (
                "cotangent" if _ignored(probe, k) else "affine"
            )
    other = None if reference is None else _another(problem, probe, reference)
    if other is not None:
        return other, "cotangent"
    bent = [names[k] for k in sorted(problem.wrong) if not _homogeneous(probe, k)]
    if bent:
        return _bent(problem, probe, bent), VAGUE
    return None


def _small(problem: Problem, leaf: int) -> float:
    return 1e-10 * float(np.abs(problem.expected[leaf]).max(initial=0)) + problem.floor


def _ignored(probe: Probe, leaf: int) -> bool:
    first, second = probe(probe.times(2.0))[leaf], probe(probe.times(-0.7))[leaf]
    return close(first, second, 1e-300)


def _constant(problem: Problem, probe: Probe, at_zero, leaf: int) -> str:
    name = problem.sample.names[leaf]
    if _ignored(probe, leaf):
        return f"d{name} does not depend on the incoming cotangent: it ignores dy."
    extra = at_zero[leaf]
    same = np.all(extra == np.ravel(extra)[0])
    size = f"{np.ravel(extra)[0]:.6g}" if same else (
        f"up to {float(np.abs(extra).max()):.3g}"
    )  # fmt: skip
    text = f"d{name} has a term independent of the cotangent: bwd(0) is {size}, not 0."
    if close(problem.got[leaf] - extra, problem.expected[leaf], problem.floor):
        text += " Without that term it is exact."
    return text


def _homogeneous(probe: Probe, leaf: int) -> bool:
    """Whether B(t g) = t B(g), up to a rounding to bfloat16 that B may contain."""
    base = probe(probe.dy)[leaf]
    for t in (-1.0, 3.0, 1e-3):
        scale = abs(t) * float(np.abs(base).max(initial=0)) + 1e-300
        if not np.abs(probe(probe.times(t))[leaf] - t * base).max() <= 0.02 * scale:
            return False
    return True


def _bent(problem: Problem, probe: Probe, names: list[str]) -> str:
    k = problem.sample.names.index(names[0])
    base, negative = probe(probe.dy)[k], probe(probe.times(-1.0))[k]
    what = "an even function of it" if close(base, negative) else "not linear in it"
    return f"d{names[0]} is wrong in how it uses the cotangent: it is {what}."


def _another(problem: Problem, probe: Probe, reference: Reference) -> str | None:
    """The h for which the user's gradients are the true ones of h(dy)."""
    for text, h in _functions(problem, probe, reference):
        if all(_agree(problem, probe, reference, h, t) for t in MULTIPLES):
            leaves = listed([f"d{problem.sample.names[k]}" for k in problem.wrong])
            return f"{leaves}: the true gradient of {text}, not of the cotangent dy."
    return None


def _agree(problem, probe, reference, h, multiple) -> bool:
    dy = probe.times(multiple)
    mine, truth = probe(dy), reference.gradients(problem, h(dy))
    return all(
        close(mine[k], np.asarray(truth[k]), problem.floor) for k in problem.wrong
    )


def _functions(
    problem: Problem, probe: Probe, reference: Reference
) -> Iterator[tuple[str, Callable[[Cotangent], Cotangent]]]:
    one: list[tuple[str, Callable]] = [
        ("|dy|", np.abs),
        ("dy * dy", np.square),
        ("max(dy, 0)", lambda g: np.maximum(g, 0)),
        ("min(dy, 0)", lambda g: np.minimum(g, 0)),
        ("sign(dy)", np.sign),
        ("dy / max|dy|", lambda g: g / (np.abs(g).max(initial=0) + 1e-30)),
        ("dy / norm(dy)", lambda g: g / (np.sqrt(np.square(g).sum()) + 1e-30)),
        ("tanh(dy)", np.tanh),
        ("exp(dy)", np.exp),
    ]
    limit = _limit(problem, probe, reference)
    if limit is not None and limit > 0:
        text = f"clip(dy, -{limit:.6g}, {limit:.6g})"
        one.append((text, lambda g: np.clip(g, -limit, limit)))
    floats = [g for g in probe.dy if _is_float(g)]
    if any(g.size > 1 for g in floats):
        one += [
            ("its first entry in every place", lambda g: np.full_like(g, g.flat[0])),
            ("its mean in every place", lambda g: np.full_like(g, g.mean())),
            ("its sum in every place", lambda g: np.full_like(g, g.sum())),
            ("its largest entry in every place", lambda g: np.full_like(g, g.max())),
        ]
        one += list(_layouts(floats))
    for text, f in one:
        yield text, lambda dy, f=f: [f(g) if _is_float(g) else g for g in dy]
    yield from _several(probe.dy)


def _layouts(dy: Cotangent) -> Iterator[tuple[str, Callable]]:
    """Moves of the entries of the cotangent along its axes."""
    rank = max(np.ndim(g) for g in dy)
    if rank >= 2 and all(np.ndim(g) >= 2 and g.shape[-1] == g.shape[-2] for g in dy):
        yield "dy transposed", lambda g: np.swapaxes(g, -1, -2)
    for axis in range(rank):
        if all(np.ndim(g) > axis for g in dy):
            yield (
                f"dy averaged over axis {axis}",
                lambda g, a=axis: np.broadcast_to(g.mean(a, keepdims=True), g.shape),
            )
            yield f"dy reversed along axis {axis}", lambda g, a=axis: np.flip(g, a)
            for by in (1, -1):
                yield (
                    f"dy shifted by {by} along axis {axis}",
                    (lambda g, a=axis, b=by: np.roll(g, b, a)),
                )


def _several(dy: Cotangent) -> Iterator[tuple[str, Callable]]:
    """One output's cotangent lost, or two exchanged."""
    floats = [i for i, g in enumerate(dy) if _is_float(g)]
    for i in floats if len(dy) > 1 else ():
        yield (
            f"dy with output {i} ignored",
            lambda g, i=i: [np.zeros_like(a) if j == i else a for j, a in enumerate(g)],
        )
        for j in floats:
            if j > i and np.shape(dy[i]) == np.shape(dy[j]):
                yield (
                    f"dy with outputs {i} and {j} exchanged",
                    (lambda g, i=i, j=j: [g[_swap(k, i, j)] for k in range(len(g))]),
                )


def _swap(k: int, i: int, j: int) -> int:
    return j if k == i else i if k == j else k


def _limit(problem: Problem, probe: Probe, reference: Reference) -> float | None:
    """c, if for large cotangents the gradients are those of c sign(dy)."""
    leaf = min(problem.wrong)
    far, farther = (probe(probe.times(t))[leaf] for t in (1e7, 1e8))
    if not close(far, farther) or not np.any(far):
        return None
    signs = [np.sign(g) if _is_float(g) else g for g in probe.dy]
    unit = reference.gradients(problem, signs)[leaf]
    size = inner(unit, unit)
    return inner(unit, far) / size if size else None

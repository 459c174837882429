"""Why a gradient is wrong: known mistakes first, then the checker's own diagnosis.

A mistake is told only if it gives the learner's numbers on every sample looked at.
"""

import ast
import re
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxninja.check.compare import difference, wide
from jaxninja.check.evidence import Evidence
from jaxninja.check.evidence import Sample as Wrong
from jaxninja.check.hints import diagnose
from jaxninja.workbook import samples, source
from jaxninja.workbook.exercises import Exercise
from jaxninja.workbook.graph import NODES, frontier
from jaxninja.workbook.mistakes import mistakes
from jaxninja.workbook.samples import Sample

Piece = Callable[[dict, dict], Any]  # values, upstream gradients -> the gradient
BUDGET = 0.5  # seconds for the checker's diagnosis


def why(exercise: Exercise, name: str, piece: Piece, mine: Any) -> list[str]:
    """Sentences on a wrong gradient, the likeliest first; empty if nothing fits.

    Args:
        exercise, name: which gradient.
        piece: the learner's lines for it.
        mine: what they gave on the sample where it was found wrong.
    """
    if narrow := _narrow(mine):
        return [narrow]
    pairs = _computed(exercise, name, piece)
    if not pairs:
        return []
    if found := _known(exercise, name, pairs):
        start = "" if found.startswith(f"d{name} ") else f"d{name}: "
        return [f"{start}{found}."]
    if found := _general(exercise, name, pairs):
        return found
    if not all(np.isfinite(mine).all() for _, mine in pairs):
        return [f"d{name} is NaN or infinite: look for 0 / 0, 1 / 0 and log(0)."]
    return _engine(exercise, name, piece)


def contexts(exercise: Exercise, name: str) -> list[Sample]:
    """Samples that tell mistakes apart: a pair, ties, every probe above the array."""
    probes = [
        p for p in exercise.probes if name in samples.before(p) and name != p
    ]  # the probes whose upstream gradient this one is computed from
    tied = [samples.sample(samples.TIED, "float64", p) for p in ("loss", *probes)]
    return [*tied, samples.sample(samples.PAIR)]


def upstream(exercise: Exercise, name: str, example: Sample) -> dict[str, Any]:
    """The true gradients that are at hand when this one's turn comes."""
    done = exercise.names[: exercise.names.index(name)]
    return {k: example.gradients[k] for k in (*exercise.given, *done)}


def _computed(exercise, name, piece) -> list[tuple[Sample, np.ndarray]]:
    pairs = []
    for example in contexts(exercise, name):
        try:
            mine = piece(dict(example.values), upstream(exercise, name, example))
            pairs.append((example, wide(mine)))
        except Exception:  # told by the check itself, if it is what stopped it
            return []
    return pairs


def _narrow(mine) -> str | None:
    dtype = str(getattr(mine, "dtype", ""))
    if dtype in ("bfloat16", "float16") or dtype.startswith(("int", "uint", "bool")):
        return f"dtype: it is {dtype}, which cannot hold the gradient: use float32."
    return None


def _known(exercise, name, pairs) -> str | None:
    """The first known mistake that gives the learner's numbers everywhere."""
    worked = source.read(exercise.solution, exercise.file)
    scope = {"jax": jax, "jnp": jnp}
    truths = [_plain(example.truth[name]) for example, _ in pairs]
    if all(map(_same, [mine for _, mine in pairs], truths)):
        return None
    for mistake in mistakes(worked, name, exercise.gradients):
        code = compile(_module(mistake.body), "mistake", "exec")
        if all(_gives(code, scope, exercise, name, *pair) for pair in pairs):
            return mistake.sentence
    return None


def _module(body) -> ast.Module:
    return ast.Module(list(body), [])


def _gives(code, scope, exercise, name, example: Sample, mine: np.ndarray) -> bool:
    """Whether the slip gives these numbers."""
    grads = {f"d{k}": a for k, a in upstream(exercise, name, example).items()}
    space = {**scope, **example.values, **grads}
    try:
        exec(code, space)
        return _same(mine, wide(space[f"d{name}"]))
    except Exception:  # a slip whose shapes do not fit here
        return False


def _plain(array) -> np.ndarray:
    return np.asarray(wide(array))


def _same(mine: np.ndarray, other: np.ndarray) -> bool:
    if mine.shape != other.shape:
        return False
    if not (np.isfinite(mine).all() and np.isfinite(other).all()):
        return np.array_equal(mine, other, equal_nan=True)
    size = float(np.abs(other).max(initial=0.0)) or 1e-12
    return difference(mine, other, 1e-6 * size).ok


def _general(exercise, name, pairs) -> list[str]:
    """What can be said without knowing the slip."""
    by_loss = [(example, mine) for example, mine in pairs if example.probe == "loss"]
    if not all(_right(example, name, mine) for example, mine in by_loss):
        return []
    names = ", ".join(f"d{k}" for k in sorted(_sources(exercise, name)))
    return [
        f"d{name} is right for the lecture's loss, but it does not follow from {names}:"
        " with another upstream gradient it is wrong. Apply the chain rule to this step"
        " alone (exercises 2 and 3 are for short cuts)."
    ]


def _right(example: Sample, name: str, mine: np.ndarray) -> bool:
    truth = wide(example.truth[name])
    same = mine.shape == truth.shape
    return same and difference(mine, truth, 1e-9 * example.scale(name)).ok


def _sources(exercise, name) -> set[str]:
    known = frozenset((*exercise.given, *exercise.names))
    return frontier(name, known)[0]


class _Subject:
    """A gradient of the learner as the checker's diagnosis takes it: one argument."""

    static = ()
    source = None

    def __init__(self, exercise: Exercise, name: str, piece: Piece, sizes):
        self.exercise, self.name, self.piece, self.sizes = exercise, name, piece, sizes
        self.argument_names = (name,)
        known = frozenset((*exercise.given, *exercise.names))
        self.found, self.between = frontier(name, known)

    def plain(self, *args):
        """The arrays whose gradients are at hand, as functions of this one."""
        (array,) = args
        space = {**samples.sample(self.sizes).values, self.name: array, "jnp": jnp}
        outputs = {}
        for node in NODES:
            if node.name in self.between:
                space[node.name] = eval(node.formula, space)
            elif node.name in self.found:
                outputs[node.name] = eval(node.formula, space)
        return outputs

    def fwd(self, args):
        values = dict(samples.sample(self.sizes).values)
        del values["n"]
        return self.plain(*args), values

    def bwd(self, residuals, dy):
        return (self.piece({**residuals, "n": self.sizes.n}, dy),)


def _engine(exercise: Exercise, name: str, piece: Piece) -> list[str]:
    """The checker's hints: factors, missing terms, swaps, what mends the line."""
    subject = _Subject(exercise, name, piece, samples.TIED)
    try:
        evidence = Evidence(subject, (_drawn(subject, 1),), partial(_drawn, subject))
        hints = diagnose(evidence, BUDGET)
    except Exception:  # a diagnosis is a courtesy: without one the verdict stands
        return []
    sentences = [_in_our_names(hint.sentence, subject.found) for hint in hints[:1]]
    verified = [hint.verified for hint in hints[:1]]
    return [
        text if sure else f"It looks like this: {text}"
        for text, sure in zip(sentences, verified, strict=True)
    ]


def _drawn(subject: _Subject, seed: int) -> Wrong:
    """The step under a random upstream gradient."""
    args = (np.asarray(samples.sample(subject.sizes).values[subject.name]),)
    y, residuals = subject.fwd(args)
    rng = np.random.default_rng(seed)
    dy = {k: jnp.asarray(rng.standard_normal(a.shape)) for k, a in y.items()}
    _, pull = jax.vjp(subject.plain, jnp.asarray(args[0]))
    got, expected = subject.bwd(residuals, dy), pull(dy)
    mine, truth = (tuple(map(np.asarray, pair)) for pair in (got, expected))
    return Wrong(args, dy, residuals, mine, truth, (subject.name,))


def _in_our_names(sentence: str, upstream: set[str]) -> str:
    """The checker speaks of res['h'] and of dy; the lecture of h and of dhpreact."""
    sentence = re.sub(r"(?:res|dy)\['(\w+)'\]", _named, sentence)
    if len(upstream) == 1:
        sentence = re.sub(r"\bdy\b", f"d{min(upstream)}", sentence)
    return sentence


def _named(found: re.Match) -> str:
    return ("d" if found[0].startswith("dy") else "") + found[1]

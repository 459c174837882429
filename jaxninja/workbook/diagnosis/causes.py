"""Why a gradient is wrong: known mistakes first, then the checker's own diagnosis.

A mistake is named only if it gives the learner's numbers on every sample looked at.
"""

from contextlib import suppress

import numpy as np

from jaxninja.check.compare import difference, wide
from jaxninja.workbook import samples
from jaxninja.workbook.code.parse import Source
from jaxninja.workbook.code.snippets import Piece
from jaxninja.workbook.diagnosis import shapes, written
from jaxninja.workbook.diagnosis.extra_terms import extra_term
from jaxninja.workbook.diagnosis.factors import factor
from jaxninja.workbook.diagnosis.hard_coded_sizes import hard_coded, written_out
from jaxninja.workbook.diagnosis.infinities import not_finite
from jaxninja.workbook.diagnosis.mistakes.matching import known, left_out, same
from jaxninja.workbook.diagnosis.places import landed
from jaxninja.workbook.diagnosis.precedence import in_brackets
from jaxninja.workbook.diagnosis.via_checker import ask
from jaxninja.workbook.exercise import Exercise
from jaxninja.workbook.gradient import Judged, fitted, upstream
from jaxninja.workbook.hints import Hint, say
from jaxninja.workbook.samples import Sample

# What is missing there has the shape: nothing has to be copied.
WITHOUT_COPY = {"one branch", "no branch", "overwritten", "lands"}


def why(exercise: Exercise, name: str, piece: Piece, judged: Judged) -> list[Hint]:
    """What is wrong with a gradient, the likeliest first; empty if nothing fits.

    Args:
        exercise, name: which gradient.
        piece: the learner's lines for it.
        judged: what they gave.
    """
    learner = piece.source
    if found := written.ineffective(learner):
        return found[:1]
    if found := _of_sizes(exercise, name, learner, judged):
        return [found]
    if judged.result is None:
        return written.why_it_raised(exercise, name, piece, judged)
    if found := _narrow(judged.result):
        return [found]
    if found := _by_numbers(exercise, name, piece):
        return found
    for changed, hint in written_out(exercise, name, learner):
        if others := _by_numbers(exercise, name, changed):
            return [*others, hint]
    return _by_lines(exercise, name, piece)


def _by_numbers(exercise: Exercise, name: str, piece: Piece) -> list[Hint]:
    """What the numbers say."""
    pairs = _computed(exercise, name, piece)
    if not pairs:
        return []
    if copied := shapes.spread(name, pairs):
        return _of_copied(exercise, name, piece, pairs, *copied)
    return _explained(exercise, name, piece, pairs)


def _by_lines(exercise: Exercise, name: str, piece: Piece) -> list[Hint]:
    """What the lines say where the numbers do not."""
    pairs = _computed(exercise, name, piece)
    if not pairs:
        return written.where_it_raises(exercise, name, piece, contexts(exercise, name))
    if shapes.spread(name, pairs):
        return []
    found = ask(exercise, name, piece)
    other = None if found else shapes.other_places(name, pairs)
    return [other] if other else found


def _of_copied(exercise, name, piece, pairs, copied, hint: Hint) -> list[Hint]:
    """Of a gradient that would have to be copied: what else is wrong, and that."""
    whole, _ = known(exercise, name, piece, pairs)
    if whole and "ones_like" not in str(whole):  # that factor is what copies
        return [whole]
    if all(_right(example, name, mine) for example, mine in copied):
        return [hint]
    found = _explained(exercise, name, piece, copied)
    codes = {one.code for one in found}
    if not found or "same rows" in codes:  # as what is copied always is
        return []
    more = pairs[0][1].ndim and not codes & WITHOUT_COPY
    return [*found, hint] if more else found


def _explained(exercise: Exercise, name: str, piece: Piece, pairs) -> list[Hint]:
    """What the numbers say: the first that explains them all."""
    sure, by_chance = known(exercise, name, piece, pairs)
    explanations = (
        lambda: _vanishes(name, pairs),
        lambda: _branches(sure, piece.source, name),
        lambda: shapes.other(name, pairs),
        lambda: factor(name, pairs),
        lambda: landed(exercise, name, pairs),
        lambda: by_chance,
        lambda: in_brackets(exercise, name, piece, pairs),
        lambda: not_finite(exercise, name, piece, pairs),
        lambda: left_out(exercise, name, piece, pairs),
        lambda: extra_term(exercise, name, piece, pairs),
        lambda: _tiny(name, pairs),
        lambda: _by_loss_only(exercise, name, piece, pairs),
    )
    found = next(filter(None, (explain() for explain in explanations)), [])
    return found if isinstance(found, list) else [found]


def _vanishes(name: str, pairs) -> Hint | None:
    """Zero but for the rounding of a sum that cancels."""
    sizes = [(np.abs(mine).max(initial=0.0), e.scale(name)) for e, mine in pairs]
    zero = all(size <= 1e-12 * scale for size, scale in sizes)
    return say("zero", name=name) if zero else None


def _of_sizes(exercise, name: str, learner: Source, judged: Judged) -> Hint | None:
    """Of lines that are right on the exercise's sizes: which number is one of them."""
    at_home = judged.first is not None and not judged.sample.is_home
    return hard_coded(exercise, name, learner) if at_home else None


def contexts(exercise: Exercise, name: str) -> list[Sample]:
    """Samples that tell mistakes apart: a pair, ties, every probe above the array."""
    network = exercise.network
    probes = [
        p for p in exercise.probes if name in network.before(p) and name != p
    ]  # the probes whose upstream gradient this one is computed from
    tied = [samples.sample(network, network.tied, "float64", p) for p in ("", *probes)]
    return [*tied, samples.sample(network, network.pair)]


def _computed(exercise, name, piece) -> list[tuple[Sample, np.ndarray]]:
    pairs = []
    for example in contexts(exercise, name):
        try:
            mine = piece(dict(example.values), upstream(exercise, name, example))
            pairs.append((example, wide(fitted(mine, example.truth[name]))))
        except Exception:  # the check itself reports it, if it is what stopped it
            return []
    return pairs


def _narrow(mine) -> Hint | None:
    dtype = str(getattr(mine, "dtype", ""))
    kinds = ("int", "uint", "bool", "bfloat16", "float16")
    narrow = np.ndim(mine) and dtype.startswith(kinds)
    return say("narrow", dtype=dtype) if narrow else None


def _branches(hint: Hint | None, learner: Source, name: str) -> Hint | None:
    """A branch that the learner never wrote was not overwritten: it is missing."""
    if hint and hint.code == "overwritten" and len(learner.assigning(f"d{name}")) < 2:
        one, other = hint.facts["one"], hint.facts["other"]
        return Hint("one branch", {**hint.facts, "one": other, "other": one})
    return hint


def _by_loss_only(exercise, name, piece: Piece, pairs) -> Hint | None:
    """What can be said of a gradient that is right for the lecture's loss only."""
    by_loss = [pair for pair in pairs if not pair[0].is_probed]
    probed = [pair for pair in pairs if pair[0].is_probed]
    if not probed or not all(_right(e, name, mine) for e, mine in by_loss):
        return None
    example, mine = max(probed, key=lambda pair: _error(pair[0], pair[1], name))
    sources, _ = exercise.sources(name)
    facts = {"name": name, "above": exercise.network.upstream}
    grads = upstream(exercise, name, example)
    other = {k: g * 2 if k in sources else g for k, g in grads.items()}
    with suppress(Exception):
        if same(mine, wide(piece(dict(example.values), other))):
            return say("does not follow", sources=_listed(sources), **facts)
    error = f"{_error(example, mine, name):.1g}"
    return say("loss only", sources=_listed({example.probe}), error=error, **facts)


def _listed(names: set[str]) -> str:
    return ", ".join(f"d{k}" for k in sorted(names))


def _error(example: Sample, mine: np.ndarray, name: str) -> float:
    return difference(mine, example.truth[name], 0.0).error / example.scale(name)


def _tiny(name: str, pairs) -> Hint | None:
    """An error that float32 would not show."""
    errors = [_error(example, mine, name) for example, mine in pairs]
    if not all(np.isfinite(mine).all() for _, mine in pairs):
        return None
    if not 0.0 < max(errors) < 1e-5:
        return None
    return say("tiny", name=name, error=f"{max(errors):.0e}")


def _right(example: Sample, name: str, mine: np.ndarray) -> bool:
    truth = wide(example.truth[name])
    same = mine.shape == truth.shape
    return same and difference(mine, truth, 1e-9 * example.scale(name)).ok

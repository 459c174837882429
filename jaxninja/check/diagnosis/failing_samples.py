"""From failing samples to hints: the bridge to the hint engine."""

from collections.abc import Callable
from dataclasses import replace

import jax
import numpy as np

from jaxninja.check.budget import SECONDS, Budget
from jaxninja.check.diagnosis.code.problem import is_inexact
from jaxninja.check.diagnosis.rounding import is_lost
from jaxninja.check.evidence import Evidence, Sample
from jaxninja.check.hints import Hint
from jaxninja.check.inputs.kinds import NEARER, nearer
from jaxninja.check.inputs.setting import DRAWS
from jaxninja.check.oracle.kinks import is_subgradient
from jaxninja.check.oracle.trial import Evaluation, Setup, prove
from jaxninja.check.oracle.truth import reference_of
from jaxninja.check.results import Checked, Session
from jaxninja.check.subject.pytrees import cotangent, float_leaves, unit

MOST = 4  # failing samples to show


def hints_for(session: Session) -> tuple[Hint, ...]:
    """Explanations of the wrong leaves; none if there are none or the search fails."""
    failing = session.failing or session.rounding
    if not failing or not session.options.hints:
        return ()
    setup, _ = failing[0]
    ours = [one for other, one in failing if other is setup]
    sizes = _at_sizes(session, setup)
    finite = [_sample(session, setup, one) for one in ours if _finite(one)]
    lost = [_lost(session, setup, one) for one in ours if not _finite(one)]
    lost = [s for s in lost if any(map(is_lost, s.got, s.expected))]
    if finite and not session.failing:  # rounding alone: the casts show in float64
        finite = [_resample(session, setup, seed) for seed in range(2)]

    def evidence(samples: list[Sample]) -> Evidence:
        drawn = tuple(samples[:MOST])
        return Evidence(
            setup.subject,
            drawn,
            lambda seed: _resample(session, setup, seed),
            setup.coarse if session.failing else unit("float64"),
            lambda: tuple(_checked(session, setup)),
            sizes,
            _declared(setup),
            *_only_with(session),
            misled=session.misled,
            alike=lambda sample, seed: _resample(session, setup, seed, sample.args),
            settings=lambda: _at_settings(session, setup),
        )

    try:
        from jaxninja.check.diagnosis.explainers import blowup, diagnose

        budget = Budget.of(SECONDS)
        named = diagnose(evidence(finite), budget) if finite else []
        if budget.unsearched and not any(hint.verified for hint in named):
            cut = ", ".join(budget.unsearched)
            session.skip(f"hints: not searched to the end in {SECONDS:g} s: {cut}")
        telling = [s for s in lost if named or not _is_no_cause(session, s)]
        arising = blowup(evidence(telling)) if telling else None
        return (*named, arising) if arising else tuple(named)
    except Exception as error:
        session.skip(f"hints: the search for one raised {type(error).__name__}")
        return ()


def _checked(session: Session, setup: Setup) -> list[Sample]:
    """All samples of a setting, right or wrong."""
    kept = [c for c in session.checked if c.setup is setup]
    if not kept:
        return []
    like = _sample(session, setup, kept[0].evaluation).dy
    return [
        replace(
            _of(session, setup, c.evaluation, cotangent(like, c.evaluation.dy)),
            label=c.evaluation.trials[0].sample,
            edge=c.edge,
            allowed=tuple(t.tolerance for t in c.evaluation.trials),
            judged=c.judged,
            valid=_conventions(session, c) if c.edge else None,
        )
        for c in kept
    ]


def _conventions(session: Session, checked: Checked) -> Callable | None:
    """Whether another gradient is right at a kink, as the verdict allows it."""
    setup, one = checked.setup, checked.evaluation
    if session.options.kink == "jax" or setup.differences:
        return None

    def valid(index: int, got: np.ndarray) -> bool:
        trials = list(one.trials)
        trials[index] = replace(trials[index], got=got)
        ignored = session.not_shared(one)
        return is_subgradient(setup, replace(one, trials=trials), index, ignored)

    return valid


def _at_sizes(session: Session, setup: Setup) -> tuple:
    """(subject, sample) of each other size at which the rule is wrong."""
    found: dict[str, tuple] = {}
    for other, one in session.failing:
        setting = session.settings.get(other.label)
        sized = setting is not None and not setting.option
        if other is not setup and sized and other.label not in found and _finite(one):
            sample = replace(_sample(session, other, one), label=other.label)
            found[other.label] = (other.subject, sample)
    return tuple(found.values())


def _at_settings(session: Session, setup: Setup) -> tuple:
    """(subject, sample) of each other setting that was checked, right or wrong."""
    found: dict[str, tuple] = {}
    for other, one, judged, _ in session.checked:
        if other is not setup and other.label not in found and _finite(one):
            sample = replace(
                _sample(session, other, one), label=other.label, judged=judged
            )
            found[other.label] = (other.subject, sample)
    return tuple(found.values())


def _only_with(session: Session) -> tuple:
    """The sizes and options at which alone the rule is wrong, and the rule as given if
    its options are others."""
    label, first = next(iter(session.settings.items()))
    as_given = first.draw(0)[0]
    wrong = {setup.label: setup.subject for setup, _ in session.failing}
    if label in wrong:
        return (), None
    options = all(subject.static != as_given.static for subject in wrong.values())
    return tuple(wrong), as_given if options else None


def _declared(setup: Setup) -> Callable | None:
    """The gradients that the user declared in place of the forward's."""
    if setup.surrogate is None:
        return None
    truth = reference_of(setup.subject.plain, setup.surrogate)
    return lambda args, dy: truth(args, float_leaves(dy))[1]


def _sample(session: Session, setup: Setup, one: Evaluation) -> Sample:
    with jax.enable_x64(True):
        plain = setup.subject.plain
        no_jax = setup.differences
        y = plain(*one.args) if no_jax else jax.eval_shape(plain, *one.args)
    return _of(session, setup, one, cotangent(y, one.dy))


def _of(session: Session, setup: Setup, one: Evaluation, dy) -> Sample:
    return Sample(
        one.args,
        dy,
        one.outcome.residuals,
        tuple(np.asarray(t.got) for t in one.trials),
        tuple(np.asarray(t.expected) for t in one.trials),
        setup.leaf_names,
        judged=tuple(n for n in setup.leaf_names if not session.ignores(n)),
    )


def _lost(session: Session, setup: Setup, one: Evaluation) -> Sample:
    """A sample that is not finite, and what kind of inputs it is of."""
    edge = any(c.edge for c in session.checked if c.evaluation is one)
    label = one.trials[0].sample
    return replace(_sample(session, setup, one), edge=edge, label=label)


def _is_no_cause(session: Session, sample: Sample) -> bool:
    """Whether what is not finite at an edge is wrong at ordinary inputs as well, for a
    reason that this is not."""
    pairs = zip(sample.names, sample.got, sample.expected, strict=True)
    lost = {name for name, got, expected in pairs if is_lost(got, expected)}
    return sample.edge and lost <= session.plainly_wrong


def _finite(one: Evaluation) -> bool:
    return all(np.isfinite(t.got).all() for t in one.trials)


def _normal(rng: np.random.Generator, like: np.ndarray) -> np.ndarray:
    real = rng.standard_normal(like.shape)
    is_complex = np.iscomplexobj(like)
    return real + 1j * rng.standard_normal(like.shape) if is_complex else real


def _resample(session: Session, setup: Setup, seed: int, like=None) -> Sample:
    """A fresh sample; with `like`, one that has the integers of those arguments.

    Where the forward is not finite there, a part of the way from the first inputs.
    """
    setting = session.settings[setup.label]
    failing = session.failing or session.rounding
    first = session.options.seed * DRAWS
    args = setting.draw(first + 500 + seed % 400)[1]
    if like is not None:
        args = jax.tree.map(lambda a, b: b if is_inexact(b) else a, like, args)
    rng = np.random.default_rng([session.options.seed, seed, 0xF5])
    dy = [_normal(rng, g) for g in failing[0][1].dy]
    start = setting.draw(first)[1]
    for inputs in (args, *(nearer(start, args, part) for part in NEARER)):
        one = prove(setup, inputs, dy, "fresh")
        if one is not None:
            return _sample(session, setup, one)
    raise ValueError("the forward is not finite at a fresh sample")

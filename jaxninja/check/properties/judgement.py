"""Is a rule that is off at a sample wrong, or does the sample allow for it?

Only where it is off is more asked: how far roundings on the way move the reference at
this very sample, and whether the point lies on a kink with several right gradients.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import jax
import numpy as np

from jaxninja.check.errors import UserCodeError
from jaxninja.check.inputs.setting import DRAWS
from jaxninja.check.oracle.holes import is_limit
from jaxninja.check.oracle.kinks import is_subgradient
from jaxninja.check.oracle.roundings.widening import widened
from jaxninja.check.oracle.settling import unrest_at
from jaxninja.check.oracle.tolerances import WORSE, Trial, has_power, worse_by
from jaxninja.check.oracle.trial import (
    Evaluation,
    Setup,
    compare_rounding,
    is_off,
    is_off_anywhere,
)
from jaxninja.check.properties.no_measure import (
    NARROW,
    astray,
    by_chance,
    misread,
    undefined,
)
from jaxninja.check.properties.singular import solves_a_singular_system
from jaxninja.check.results import Session

LAG = 1e3  # how many times further a derivative is from settled than its iteration
LATEST = 1e-3  # of the largest gradient
SAMPLED = 30  # times what a few draws of roundings show: what others may do


@contextmanager
def unless_endless(session: Session, what: str) -> Iterator[None]:
    """Leave out what a loop that does not end stands in the way of."""
    try:
        yield
    except UserCodeError as error:
        if error.code != "N-ENDLESS":
            raise
        session.skip(f"{what}: {error.sentence}")


def judge(
    session: Session, setup: Setup, evaluation: Evaluation, edge: bool = False
) -> bool:
    """Record what is right and wrong at a sample; whether it could be judged."""
    if evaluation.leaves_range:
        trial = (*evaluation.trials, *evaluation.forward)[0]
        text = f"{trial.sample} in {trial.dtype} ({setup.label}): the reference's own "
        session.skip(f"{text}forward leaves the range of its dtype")
        return False
    loose = _as_settled(session, setup, with_condition(session, setup, evaluation))
    if loose is None or misread(session, setup, loose):
        return False
    if by_chance(session, setup, loose):
        return False
    if (undefined if edge else astray)(session, setup, loose):
        return False
    tried = edge or session.settings[setup.label].guessed
    if tried and solves_a_singular_system(setup, loose):
        sample = f"{loose.trials[0].sample} ({setup.label})"
        session.skip(f"{sample}: a system that the rule solves is singular there")
        return False
    judged, excused = [], []
    for index, (before, trial) in enumerate(
        zip(evaluation.trials, loose.trials, strict=True)
    ):
        silent = is_off(before) and not is_off(trial) and not has_power(trial)
        if edge and is_off(trial) and _is_blind(trial):
            _says_nothing(session, setup, trial)
            continue
        at_kink = is_off(trial) and _allowed(session, setup, loose, index, edge)
        (excused if at_kink else judged).append(trial)
        if silent and has_power(before):
            _says_nothing(session, setup, trial)
    for trial in excused:
        text = f"at a kink ({trial.sample}) d{trial.name} is another subgradient than "
        session.find("W-KINK", f"{text}JAX's: valid, of another convention", None)
    session.record(setup, loose, judged, edge)
    return True


def _is_blind(trial: Trial) -> bool:
    """Whether roundings move the reference by more than it is at an edge in a narrow
    dtype, and the rule is off by no more than a few times that: they are sampled. In
    float64 the same edge tells."""
    if trial.dtype == "float64" or has_power(trial):
        return False
    gap = np.abs(trial.got - trial.expected)
    return bool((gap <= SAMPLED * trial.tolerance).all())


def with_condition(
    session: Session, setup: Setup, evaluation: Evaluation
) -> Evaluation:
    """The evaluation, with the condition measured where the verdict hangs on it."""
    trials = [t for t in evaluation.trials if session.is_open(t)]
    lost = any(is_off(t) or worse_by(t) > WORSE for t in trials)
    forward = "E-FWD" not in {f.code for f in session.findings.values()}
    lost |= forward and any(map(is_off, evaluation.forward))
    return widened(setup, evaluation) if lost else evaluation


def _as_settled(session: Session, setup: Setup, evaluation: Evaluation):
    """The evaluation, looser by what an iteration of the reference is off here; None
    where it ends too early to say anything, and not where the user said that it works.
    """
    trials = (*evaluation.trials, *evaluation.forward)
    if setup.subject.is_numpy or not is_off_anywhere(evaluation):
        return evaluation
    first = next(iter(session.settings.values()))
    subject, example = first.draw(session.options.seed * DRAWS)
    here = setup.subject.plain, evaluation.args
    unrest = unrest_at((subject.plain, example), here)
    if unrest < np.inf:
        return _looser(setup, evaluation, unrest)
    text = f"{trials[0].sample} ({setup.label}): an iteration of the reference does not"
    session.skip(f"{text} settle there; {NARROW}")
    return None


def _looser(setup: Setup, evaluation: Evaluation, unrest: float) -> Evaluation:
    """The same trials, where the last step of an iteration has changed it by so much
    that the reference's derivative is not yet that of the solution."""
    part = min(LAG * unrest, LATEST)

    def slacker(trial: Trial, ordinary: float = 0.0) -> Trial:
        expected = np.where(np.isfinite(trial.expected), trial.expected, 0)
        slack = part * max(float(np.max(np.abs(expected), initial=0)), ordinary)
        return replace(trial, tolerance=trial.tolerance + slack)

    flow = max(float(np.max(np.abs(g), initial=0)) for g in evaluation.dy)
    sizes = [size * flow for size in setup.ordinary]
    trials = list(map(slacker, evaluation.trials, sizes))
    forward = list(map(slacker, evaluation.forward))
    return replace(evaluation, trials=trials, forward=forward)


def as_used(session: Session, setup: Setup, evaluation: Evaluation) -> Evaluation:
    """The evaluation, where float64 alone tells a gradient from the truth without it.

    Forward or backward may be an approximation, by a series or a quadrature, to the
    digits that are used at inputs as they are given; these are further away.
    """
    dtype = session.options.dtypes[0]
    off = [t for t in evaluation.trials if session.is_open(t) and is_off(t)]
    if dtype == "float64" or not off or off[0].dtype != "float64":
        return evaluation
    inputs, dy, sample = evaluation.args, evaluation.dy, off[0].sample
    try:
        near = compare_rounding(setup, inputs, dy, sample, dtype)
    except UserCodeError:  # a factorisation, say, has no bfloat16
        return evaluation
    if near is None:
        return evaluation
    shown = {t.name for t in near.trials if is_off(t) or not _known(t)}
    close = {t.name for t in off} - shown
    for name in sorted(close):
        text = f"in float64; in {dtype} the rule is as right as it can be"
        session.skip(f"d{name} at {sample}: {text}")

    def loose(trial: Trial) -> Trial:
        endless = np.full_like(trial.tolerance, np.inf)
        return replace(trial, tolerance=endless) if trial.name in close else trial

    return replace(evaluation, trials=list(map(loose, evaluation.trials)))


def _known(trial: Trial) -> bool:
    """Whether the truth is, and autodiff in this dtype reaches it."""
    return bool(np.isfinite(trial.expected).all())


def _allowed(
    session: Session, setup: Setup, evaluation, index: int, edge: bool
) -> bool:
    trial = evaluation.trials[index]
    if session.options.kink == "jax" or setup.differences:
        return False
    if session.declares_zero(trial.name):  # a remainder of it is no jump
        return False
    if not session.is_open(trial):
        return False
    if is_subgradient(setup, evaluation, index, session.not_shared(evaluation)):
        return True
    if not edge or trial.dtype != "float64" or setup.surrogate:
        return False
    here, args, dy = evaluation.truth, evaluation.args, evaluation.dy
    with jax.enable_x64(True):
        return is_limit(
            trial, index, here, args, lambda near: setup.truth(near, dy)[0], setup.kinds
        )


def _says_nothing(session: Session, setup: Setup, trial: Trial) -> None:
    text = f"d{trial.name} at {trial.sample} in {trial.dtype} ({setup.label}): one "
    text += "rounding of inputs and steps moves the reference by as much as it is"
    session.skip(text)

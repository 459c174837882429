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
from jaxninja.check.inputs.boundaries import same
from jaxninja.check.inputs.kinds import integers_between, kind_of
from jaxninja.check.inputs.order import Order
from jaxninja.check.inputs.setting import DRAWS
from jaxninja.check.oracle.by_rounding import (
    decided_by_rounding,
    value_decided_by_rounding,
)
from jaxninja.check.oracle.holes import is_isolated, is_limit
from jaxninja.check.oracle.reading import reads_alike, reads_beyond, writes_twice
from jaxninja.check.oracle.settling import unrest_at
from jaxninja.check.oracle.slope import range_of_products
from jaxninja.check.oracle.tolerances import WORSE, Trial, has_power, worse_by
from jaxninja.check.oracle.trial import (
    Evaluation,
    Setup,
    compare_rounding,
    is_off,
    prove,
    widened,
)
from jaxninja.check.oracle.truth import value_of
from jaxninja.check.properties.kinks import is_subgradient
from jaxninja.check.properties.singular import solves_a_singular_system
from jaxninja.check.results import Session
from jaxninja.check.subject.pytrees import cast, float_leaves, is_wide, largest

LAG = 1e3  # how many times further a derivative is from settled than its iteration
LATEST = 1e-3  # of the largest gradient
ASTRAY = 1e3  # times the largest value of the example
SAMPLED = 10  # times what a few draws of roundings show: what others may do
FAR = 20  # times the largest argument of the example
NARROW = "edges=False keeps to inputs like those that were given"


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
    if loose is None or _misread(session, setup, loose):
        return False
    if _by_chance(session, setup, loose):
        return False
    if (_undefined if edge else _astray)(session, setup, loose):
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
    trials = [t for t in evaluation.trials if _open(session, t)]
    lost = any(is_off(t) or worse_by(t) > WORSE for t in trials)
    forward = "E-FWD" not in {f.code for f in session.findings.values()}
    lost |= forward and any(map(is_off, evaluation.forward))
    return widened(setup, evaluation) if lost else evaluation


def _as_settled(session: Session, setup: Setup, evaluation: Evaluation):
    """The evaluation, looser by what an iteration of the reference is off here; None
    where it ends too early to say anything, and not where the user said that it works.
    """
    trials = (*evaluation.trials, *evaluation.forward)
    if setup.subject.is_numpy or not _is_off(evaluation):
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


def _misread(session: Session, setup: Setup, evaluation: Evaluation) -> bool:
    """Whether these sizes were guessed, or these integers, and the forward is not
    written for them."""
    if setup.differences or not _is_off(evaluation):
        return False
    here, number = session.settings[setup.label], session.options.seed * DRAWS
    example = next(iter(session.settings.values())).draw(number)
    sample = f"{evaluation.trials[0].sample} ({setup.label})"
    (least, most), given = map(integers_between, (evaluation.args, example[1]))
    at = setup.subject, evaluation.args
    if any(given) and writes_twice(example, at):
        session.skip(f"{sample}: the forward writes to an entry twice, in no order")
        return True
    odd = (any(given) or here.option) and reads_beyond(example, at)
    if not odd and not (least < given[0] or most > given[1]):
        if not here.guessed:
            return False
        odd = not reads_alike(example, here.draw(number))
    if not odd and not _right_within(setup, evaluation, example[1]):
        return False
    text = (
        f"{setup.label if here.guessed else sample}: there the forward leaves a part "
    )
    session.skip(f"{text}of its arguments unread, or reads beyond them; give inputs=")
    return True


def _right_within(setup: Setup, evaluation: Evaluation, given: tuple) -> bool:
    """Whether a rule that is off is right once no integer lies beyond a size that all
    were below as given: an index that is compared with positions reads nothing there,
    and looks like none; and labels that happen to ascend look like bounds."""
    most, here = (integers_between(args)[1] for args in (given, evaluation.args))
    pairs = zip(jax.tree.leaves(given), jax.tree.leaves(evaluation.args), strict=True)
    axes = (axis for a, b in pairs for axis in zip(np.shape(a), np.shape(b)))  # noqa: B905
    small = [new for old, new in axes if most < old and new <= here]
    if not small:
        return False

    def inside(leaf):
        fits = kind_of(leaf) != "int"
        return leaf if fits else np.minimum(leaf, leaf.dtype.type(min(small) - 1))

    args = jax.tree.map(inside, evaluation.args)
    loose = replace(setup, order=Order())  # which would put them where they were
    again = prove(loose, args, evaluation.dy, evaluation.trials[0].sample)
    return again is not None and not _is_off(again)


def _is_off(evaluation: Evaluation) -> bool:
    return any(map(is_off, (*evaluation.trials, *evaluation.forward)))


def _by_chance(session: Session, setup: Setup, evaluation: Evaluation) -> bool:
    """Whether the reference's gradient overflows there; or a last bit decides what the
    rule says or the forward does, at any inputs but those that were given."""
    trials = *evaluation.trials, *evaluation.forward
    if setup.differences or not _is_off(evaluation):
        return False
    where = f"{trials[0].sample} in {trials[0].dtype} ({setup.label})"
    off = [t for t in evaluation.trials if _open(session, t) and is_off(t)]
    reach = range_of_products(setup, evaluation)
    if off and reach.overflows:
        session.skip(f"{where}: JAX's gradient of the reference overflows on its way")
        return True
    if not off and reach.loses:
        session.skip(f"{where}: the reference itself overflows on its way")
        return True
    label, first = next(iter(session.settings.items()))
    given = setup.hold(first.draw(session.options.seed * DRAWS)[1])
    if setup.label == label and same(given, evaluation.args):
        return False
    if reach.ends and not all(_finite(t.got) for t in evaluation.trials):
        session.skip(f"{where}: products of the reference are at the end of the range")
        return True
    if value_decided_by_rounding(setup, evaluation):
        session.skip(f"{where}: a rounding decides what the forward is there")
        return True
    if not off or not decided_by_rounding(setup, evaluation):
        return False
    session.skip(f"{where}: a rounding decides a comparison of the rule there")
    return True


def _astray(session: Session, setup: Setup, evaluation: Evaluation) -> bool:
    """Whether a reference has left the function: its value is far from all that it is
    at the example, and that of the function is what fwd says.

    Inputs are drawn without knowing the domain, and beyond it a last step of a solver,
    which divides by a slope, leads anywhere.
    """
    if not _as_the_function(setup, evaluation):
        return False
    subject, first = setup.subject, next(iter(session.settings.values()))
    known, example = first.draw(session.options.seed * DRAWS)
    with jax.enable_x64(True):
        usual = value_of(known)(*cast(setup.hold(example), "float64"))
    least, here = map(_largest, (float_leaves(usual), evaluation.truth.y))
    if not 0 < least < here / ASTRAY:
        return False
    sample = f"{evaluation.forward[0].sample} ({setup.label})"
    text = f"the reference is {here / least:.0e} times as large as at the example"
    session.skip(f"{sample}: {text}, and {subject.name} is not; {NARROW}")
    return True


def _undefined(session: Session, setup: Setup, evaluation: Evaluation) -> bool:
    """Whether the function itself is not finite at an edge where a reference is: the
    iteration divides by a norm of zero, say. What overflows is another matter. Or
    whether value and gradient are infinite far away, where a probability rounds to 1;
    nearer, outside of a support, a gradient is asked for."""
    if all(map(_finite, evaluation.outcome.y)):
        return False
    example = session.settings[setup.label].draw(session.options.seed * DRAWS)[1]
    here, given = map(_largest, map(float_leaves, (evaluation.args, example)))
    text = f"{evaluation.forward[0].sample} ({setup.label}): {setup.subject.name}"
    lost = [t for t in evaluation.trials if not np.isfinite(t.got).all()]
    if here > FAR * given and lost and not all(map(_finite, evaluation.truth.y)):
        session.skip(f"{text} is infinite so far away")
        return True
    if _jumps(setup, evaluation):
        session.skip(f"{text} is not finite there, and the reference jumps")
        return True
    if here > given or not _as_the_function(setup, evaluation):
        return False
    session.skip(f"{text} itself is not finite there, and the reference is")
    return True


def _jumps(setup: Setup, evaluation: Evaluation) -> bool:
    """Whether the forward's value at this very point is another than all around it."""
    here, args, dy = evaluation.truth, evaluation.args, evaluation.dy
    if not all(map(_finite, here.y)):
        return False
    with jax.enable_x64(True):
        args, dy = cast(args, "float64"), cast(dy, "float64")
        return is_isolated(here, args, lambda near: setup.truth(near, dy)[0])


def _finite(a) -> bool:
    return bool(np.isfinite(a).all())


def _as_the_function(setup: Setup, evaluation: Evaluation) -> bool:
    """Whether fwd's value is off the reference's and that of the function under test,
    which is then another program than the reference."""
    if setup.subject.is_numpy or not any(map(is_off, evaluation.forward)):
        return False
    with jax.enable_x64(is_wide(evaluation.forward[0].dtype)):
        own = float_leaves(jax.jit(setup.subject.op)(*evaluation.args))
    pairs = zip(own, evaluation.outcome.y, strict=True)
    return all(np.allclose(a, b, rtol=1e-3, equal_nan=True) for a, b in pairs)


def _largest(arrays: list) -> float:
    return max(map(largest, arrays), default=0.0)


def as_used(session: Session, setup: Setup, evaluation: Evaluation) -> Evaluation:
    """The evaluation, where float64 alone tells a gradient from the truth without it.

    Forward or backward may be an approximation, by a series or a quadrature, to the
    digits that are used at inputs as they are given; these are further away.
    """
    dtype = session.options.dtypes[0]
    off = [t for t in evaluation.trials if _open(session, t) and is_off(t)]
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


def _open(session: Session, trial: Trial) -> bool:
    """Whether anything about this leaf is still to be decided."""
    tally = session.tallies.get(trial.name)
    return not session.ignores(trial.name) and (tally is None or tally.worst is None)


def _allowed(
    session: Session, setup: Setup, evaluation, index: int, edge: bool
) -> bool:
    trial = evaluation.trials[index]
    if session.options.kink == "jax" or setup.differences or setup.surrogate:
        return False
    if session.declares_zero(trial.name):  # a remainder of it is no jump
        return False
    if not _open(session, trial):
        return False
    if is_subgradient(setup, evaluation, index):
        return True
    if not edge or trial.dtype != "float64":
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

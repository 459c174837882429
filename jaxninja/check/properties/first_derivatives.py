"""First order: gradients at varied inputs and cotangents, in all dtypes."""

from collections.abc import Iterator
from functools import partial

import jax
import numpy as np

from jaxninja.check.errors import UserCodeError
from jaxninja.check.inputs import cotangents
from jaxninja.check.inputs.kinds import NEARER, nearer, scaled
from jaxninja.check.inputs.setting import DRAWS, Setting
from jaxninja.check.oracle.slope import misleads
from jaxninja.check.oracle.trial import Setup, compare_rounding, is_off, prove
from jaxninja.check.oracle.truth import autodiff_of
from jaxninja.check.properties.fading import fades
from jaxninja.check.properties.judgement import (
    NARROW,
    as_used,
    judge,
    unless_endless,
    with_condition,
)
from jaxninja.check.properties.setup import MISLED, small_enough
from jaxninja.check.results import Session
from jaxninja.check.subject.pytrees import cast, float_leaves
from jaxninja.check.subject.structure_traced import (
    accepted_by_jax,
    shapes_of_output,
    structure,
)

SCALES = (("small inputs", 1e-3), ("large inputs", 30.0))
NO_DTYPE = "Unsupported dtype", "does not accept dtype"  # of LU, say: nobody's mistake


def generator(session: Session, *parts: int) -> np.random.Generator:
    """Random numbers of this check; never RandomState(0), which tests like to use."""
    return np.random.default_rng([session.options.seed, 0x6E696E, *parts])


def first_order(session: Session, setup: Setup, setting: Setting, index: int) -> None:
    """All samples of one setting; the first setting gets the most of them."""
    level, first = session.options.level, session.options.seed * DRAWS
    rng = generator(session, index)
    args = setting.draw(first)[1]
    y = outputs(setup, args)
    dy = sized(session, cotangents.ordinary(y, rng))
    if index == 0:
        _by_values_if_misled(session, setup, args, dy)
    prove_at = partial(_prove, session, setup, exact=not setting.guessed)
    prove_at(args, dy, "random inputs", watch=True)
    for label, other in _variety(session, y, rng, everything=index == 0):
        prove_at(args, other, label)
    if level != "quick":
        count = 2 if index == 0 and not setup.stops else 1
        scales = SCALES[:count] if session.options.edges else ()
        for sample, others in _inputs(setting, args, first, scales):
            dy = sized(session, cotangents.ordinary(y, rng))
            any(
                prove_at(a, dy, s, watch=True, exact=False)
                for s, a in _named(sample, others)
            )
    if index < (1 if level == "quick" else 2) or level == "full":
        _round(session, setup, setting, dy, level != "quick")


def _by_values_if_misled(session: Session, setup: Setup, args, dy) -> None:
    """Where a rule is off, JAX's gradient of the forward may be what is wrong."""
    known = setup.opaque or setup.surrogate or setup.subject.is_numpy
    evaluation = None if known else prove(setup, args, dy, "random inputs")
    if evaluation is None or not any(map(is_off, evaluation.trials)):
        return
    with jax.enable_x64(True):
        given = evaluation.args, evaluation.dy
        if not misleads(setup.subject, *given, evaluation.truth):
            return
    small_enough(session, setup.subject, args, MISLED)
    session.misled = setup.differences = setup.opaque = True
    setup.ordinary.clear()


def outputs(setup: Setup, args: tuple) -> list:
    """Shapes and dtypes of the float outputs, in float64."""
    if setup.subject.is_numpy and setup.differences:
        return [np.asarray(a, float) for a in float_leaves(setup.subject.plain(*args))]
    with jax.enable_x64(True):
        return shapes_of_output(setup.subject, cast(args, "float64"))


def sized(session: Session, dy: list) -> list:
    """A rule that is not linear in dy on purpose is judged where it is: at small dy."""
    factor = 1.0 if session.options.linear else cotangents.SMALL
    return [factor * g for g in dy]


def _variety(session: Session, y, rng, everything: bool) -> list[tuple[str, list]]:
    if not session.options.linear:
        return []
    found = cotangents.variety(y, rng)
    return found if everything else [found[i] for i in (0, 2, *range(6, len(found)))]


def _inputs(setting: Setting, args, first: int, scales) -> Iterator[tuple[str, list]]:
    """(label, inputs and ones to take in their place where they say nothing)."""
    other = setting.draw(first + 1)[1]
    closer = [nearer(args, other, part) for part in NEARER]
    yield "random inputs, second draw", [other, *closer]
    for label, factor in scales:
        yield label, [jax.tree.map(lambda a, f=factor: scaled(a, f), other)]


def _named(sample: str, others: list) -> list[tuple[str, tuple]]:
    far, *closer = others
    return [(sample, far), *((f"{sample}, nearer to the first", a) for a in closer)]


def _prove(
    session, setup, args, dy, sample: str, watch: bool = False, exact: bool = True
) -> bool:
    """Whether the sample could be judged; inputs that nobody gave are held to the
    digits that are used."""
    judged = False
    with unless_endless(session, f"{sample} ({setup.label})"):
        evaluation = prove(setup, args, dy, sample)
        if evaluation is None:
            text = "the forward is not finite there"
            session.skip(f"{sample} ({setup.label}): {text}; {NARROW}")
            return False
        far = sample in dict(SCALES)
        used = evaluation if exact else as_used(session, setup, evaluation)
        if far and _fades(session, setup, used, dict(SCALES)[sample]):
            return False
        if judged := judge(session, setup, used, far):
            session.watch(setup, evaluation, not far) if watch else None
    return judged


def _fades(session: Session, setup: Setup, evaluation, factor: float) -> bool:
    """Whether the forward itself is no longer what it approximates."""
    if found := fades(setup, with_condition(session, setup, evaluation), factor):
        trial = evaluation.trials[0]
        text = f"{trial.sample} in {trial.dtype} ({setup.label}): forward and rule part"
        session.skip(f"{text} by and by, as approximations do; {NARROW}")
        session.fades = True
    return found


def _round(session: Session, setup: Setup, setting: Setting, dy, wide: bool) -> None:
    """The run dtypes, at ordinary and at larger inputs."""
    args = setting.draw(session.options.seed * DRAWS)[1]
    given = next(iter(session.settings.values())).dtypes
    for dtype in session.options.dtypes:
        if not plain_takes(session, setup, args, dy, dtype):
            continue
        if len({*given}) < 2:  # else nobody has all of them in one dtype
            _structure_in(session, setup, args, dtype)
        samples = [("random inputs", 1.0)]
        if wide and session.options.edges and not setup.stops:
            samples.append(("inputs x 10", 10.0))
        for sample, factor in samples:
            inputs = jax.tree.map(lambda a, f=factor: scaled(a, f), args)
            with unless_endless(session, dtype):
                evaluation = compare_rounding(setup, inputs, dy, sample, dtype)
                if evaluation is not None and not _fades(
                    session, setup, evaluation, factor
                ):
                    judge(session, setup, evaluation)
                    session.dtypes.append(dtype)


def plain_takes(session: Session, setup: Setup, args, dy, dtype: str) -> bool:
    """Whether JAX itself can differentiate the plain forward in this dtype."""
    if dtype != "float32" and not setup.differences:
        try:
            autodiff_of(setup.subject, cast(args, dtype), cast(dy, dtype))
        except UserCodeError as error:
            session.skip(f"{dtype}: {error.sentence}")
            return False
    return True


def _structure_in(session: Session, setup: Setup, args, dtype: str) -> None:
    """As a rule may return float32 whatever it is given; that of float32 is known, and
    nobody has complex numbers beside narrow ones."""
    mixed = any(map(np.iscomplexobj, float_leaves(args)))
    if dtype == "float32" or setup.subject.is_numpy or mixed:
        return
    low = cast(args, dtype)
    accepted_by_jax(setup.subject, low)
    for finding in structure(setup.subject, low)[0]:
        session.find(finding.code, f"in {dtype}, {finding.sentence}", finding.where)


def low_precision(session: Session, setup: Setup, setting: Setting) -> None:
    """bfloat16, where the rule takes it."""
    args = setting.draw(session.options.seed * DRAWS)[1]
    dy = sized(session, cotangents.ordinary(outputs(setup, args), generator(session)))
    if setup.subject.is_numpy or "bfloat16" in session.options.dtypes:
        return
    if not plain_takes(session, setup, args, dy, "bfloat16"):
        return
    try:
        _structure_in(session, setup, args, "bfloat16")
        evaluation = compare_rounding(setup, args, dy, "random inputs", "bfloat16")
    except UserCodeError as error:
        refused = any(text in error.sentence for text in NO_DTYPE)
        if not refused and error.code != "N-ENDLESS":
            raise
        session.skip(f"bfloat16: {error.sentence}")
        return
    if evaluation is not None:
        judge(session, setup, evaluation)
        session.dtypes.append("bfloat16")

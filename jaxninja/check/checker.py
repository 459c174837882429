"""`check_vjp`: the order of the checks, from the cheapest to the dearest.

Structure comes first and stops the rest; then the value, the gradients in float64 and
in the run dtype, the algebra of the cotangent, the edges, and what the level adds. At
the end every leaf must show that it could have failed.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import jax
import numpy as np

from jaxninja.check.diagnosis.failing_samples import hints_for
from jaxninja.check.errors import UserCodeError
from jaxninja.check.inputs import cotangents
from jaxninja.check.inputs.setting import DRAWS, Setting
from jaxninja.check.inputs.shapes import divisible, settings_of
from jaxninja.check.options import options_of
from jaxninja.check.oracle.trial import Setup
from jaxninja.check.properties.devices import on_devices
from jaxninja.check.properties.edges import at_edges
from jaxninja.check.properties.first_derivatives import (
    first_order,
    generator,
    low_precision,
    outputs,
    sized,
)
from jaxninja.check.properties.forward import forward_mode
from jaxninja.check.properties.given_dtypes import as_given, in_bfloat16
from jaxninja.check.properties.large_arrays import as_large_as_given
from jaxninja.check.properties.linearity import algebra, lints, repeats, roles
from jaxninja.check.properties.second_derivatives import second_order, suspected
from jaxninja.check.properties.setup import Stop, setup_of, unfit, within_reach
from jaxninja.check.properties.transforms import transformations
from jaxninja.check.report import Report
from jaxninja.check.results import Options, Session
from jaxninja.check.subject.adapters import Normalised
from jaxninja.check.subject.pytrees import cast, on_device
from jaxninja.check.subject.residuals import residuals_of
from jaxninja.rule import Rule
from jaxninja.rules.both_modes import BothModes

FILTERING = "jax_traceback_filtering"


def check_vjp(
    f: Any,
    *args: Any,
    reference: Callable | None = None,
    level: str = "standard",
    seed: int = 0,
    dtypes: Iterable[str] | None = None,
    inputs: Callable | None = None,
    surrogate: Callable | None = None,
    nondiff: Iterable[str] = (),
    zero: Iterable[str] = (),
    linear: bool = True,
    kink: str = "any-subgradient",
    edges: bool = True,
    higher_order: bool = True,
    hints: bool = True,
) -> Report:
    """Is this backward pass the vector-Jacobian product of its forward?

        bwd(fwd(x)[1], dy) = J(x)^T dy,   J the Jacobian of the plain forward

    elementwise, against `jax.vjp` of the plain forward in float64; and in the dtype it
    runs in, as exact as autodiff up to the condition of the problem.

    Args:
        f: a `jax.custom_vjp` function, a `Rule`, or a pair (forward, backward) of
            plain callables, NumPy functions included: `forward(*args) -> (y,
            residuals)`, `backward(residuals, dy) -> tuple`. Of a function made by
            `jaxninja.both` forward mode is checked too.
        args: example arguments, static ones included. A Rule brings its own.
        reference: plain forward to differentiate; by default the one under `f`. A
            NumPy pair without it is held against finite differences.
        level: "quick", "standard" or "full".
        seed: the same seed repeats the same check.
        dtypes: run dtypes to compare with autodiff in, besides the proof in float64;
            by default float32 and those of `args` that are narrower.
        inputs: `inputs(key, **dims) -> args`, to vary shapes and values. Its
            parameters after the key are sizes.
        surrogate: declares that the gradient is another one on purpose:
            `surrogate(args, dy) -> tuple`, the gradients of the arrays among all
            arguments, is then the truth.
        nondiff: names of arguments that have no gradient on purpose.
        zero: names of arguments whose true gradient is exactly zero.
        linear: False for a rule that is not linear in its cotangent on purpose
            (clipping); it is then judged at small cotangents.
        kink: "any-subgradient" accepts other conventions than JAX's at kinks and ties,
            with a warning; "jax" does not.
        edges: False for a function of a narrow domain, an iteration that converges
            only there say: inputs are then drawn, and neither scaled nor put to ties,
            zeros and large numbers.
        higher_order: False where second derivatives are not meant to work.
        hints: False leaves the explanation out.

    Returns:
        A `Report`. Its verdict is "ok" only if every gradient was tested and is right.

    Raises:
        TypeError, ValueError: the call itself makes no sense: `f` is none of these, a
            name is unknown, an option has no such value. What is no rule (a function
            that JAX differentiates by itself) is no error: its report says N-NORULE.
    """
    modes = f if isinstance(f, BothModes) else None
    f = f.rule if isinstance(f, BothModes) else f
    options = options_of(
        args,
        f.zero if isinstance(f, Rule) else (),
        level=level,
        seed=seed,
        dtypes=dtypes,
        surrogate=surrogate,
        nondiff=nondiff,
        zero=zero,
        linear=linear,
        kink=kink,
        edges=edges,
        higher_order=higher_order,
        hints=hints,
    )
    with _settings():
        session = _session(options, f, args, reference, inputs, modes)
        if session.stands_at("N-CAST") and (longer := _of_64_bits(args)):
            again = _session(options, f, longer, reference, inputs, modes)
            session = session if again.stands_at("N-CAST") else again
        _blame_none(session)
        found = hints_for(session)
        session.locate(found)
        return session.report(found)


def _session(options: Options, f, args, reference, inputs, modes) -> Session:
    """All checks, as far as they come."""
    session = Session(options, _name(f))
    try:
        _run(session, f, args, reference, inputs)
        if modes is not None:
            forward_mode(session, modes, next(iter(session.settings.values())))
    except UserCodeError as error:
        session.stopped_by(error)
    except Stop:
        pass
    session.at = ""
    return session


def _of_64_bits(args: tuple) -> tuple | None:
    """The arguments with their integers as float64 has them beside it: a start (i, 0),
    of an int32 and a number of Python, is of one dtype in float32 only. None where
    there are none."""
    leaves, tree = jax.tree.flatten(args)
    longer = [
        np.asarray(a, np.int64) if getattr(a, "dtype", None) == np.int32 else a
        for a in leaves
    ]
    changed = any(a is not b for a, b in zip(leaves, longer, strict=True))
    return jax.tree.unflatten(tree, longer) if changed else None


@contextmanager
def _settings() -> Iterator[None]:
    """Products in full, jit as it is meant, transfers as they come, promotion as the
    program at large has it: rules are to pass where it is forbidden. To filter the
    traceback of a size that the forward refuses would take longer than to trace it."""
    filtering = getattr(jax.config, FILTERING)
    jax.config.update(FILTERING, "off")
    try:
        with (
            jax.default_matmul_precision("highest"),
            jax.disable_jit(False),
            jax.transfer_guard("allow"),
        ):
            yield
    finally:
        jax.config.update(FILTERING, filtering)


def assert_vjp(f: Any, *args: Any, **options: Any) -> None:
    """Raise VJPCheckError, with the report as its text, unless `check_vjp` says ok."""
    check_vjp(f, *args, **options).raise_if_failed()


def _name(f) -> str:
    """Until more is known of it: of the function, or of the forward of a pair."""
    f = f[0] if isinstance(f, tuple) and f else f
    return getattr(f, "name", None) or getattr(f, "__name__", type(f).__name__)


def _run(session: Session, f, args, reference, inputs) -> None:
    level = session.options.level
    normal = Normalised(f, reference)
    settings, missing = settings_of(normal, args, inputs, level)
    for text in missing:
        session.skip(text)
    for index, setting in enumerate(within_reach(session, settings)):
        if refused := unfit(session, setting):
            session.skip(f"{setting.label}: {refused}")
            continue
        session.at = _place(setting) if index or setting.guessed else ""
        setup = setup_of(session, setting)
        session.settings[setup.label] = setting
        if setting.large:
            as_large_as_given(session, setup, setting)
            continue
        first_order(session, setup, setting, index)
        if index == 0:
            _in_depth(session, setup, setting)
    session.at = ""
    if level == "full":
        _over_devices(session, divisible(normal, args, inputs))
    _explain_roles(session)


def _place(setting: Setting) -> str:
    """What a finding says of sizes and options that are not the first ones."""
    asked = ", tried as the forward takes them; inputs= gives others"
    return f"at {setting.label}{asked if setting.guessed or setting.option else ''}"


def _over_devices(session: Session, setting: Setting | None) -> None:
    """Where there are several, and sizes that can be split over them."""
    if jax.device_count() == 1:
        session.skip("several devices: only one is present")
    elif setting is None:
        session.skip("several devices: no size of the first argument can be split")
    else:
        on_devices(session, setup_of(session, setting), setting)


def _in_depth(session: Session, setup: Setup, setting: Setting) -> None:
    """What is checked at one setting only, as much of it as the level asks for."""
    args = setting.draw(session.options.seed * DRAWS)[1]
    y = outputs(setup, args)
    if session.options.linear:
        algebra(session, setup, args, y)
    if session.options.level == "quick":
        session.skip("edges, repeatability, residuals, other options: level quick")
        return
    at_edges(session, setup, setting)
    repeats(session, setup, args, y)
    as_given(session, setup, setting)
    if setup.subject.is_numpy:
        session.skip("transformations, residual bytes, lints: NumPy code has no jaxpr")
        return
    lints(session, setup, args)
    if not setup.opaque:
        session.residuals = residuals_of(setup.subject, args)
    if session.options.level == "full":
        transformations(session, setup, setting)
        _second_derivatives(session, setup, args, y)
        low_precision(session, setup, setting)
    else:
        in_bfloat16(session, setup, args)
        session.transformations.append("jit")
        session.skip("transformations beyond jit, bfloat16: level full has them")
        if not setup.opaque and suspected(setup.subject, args):
            _second_derivatives(session, setup, args, y)


def _second_derivatives(session: Session, setup: Setup, args, y) -> None:
    """Always at level full; else where a residual carries no derivative."""
    rng = generator(session, 2)
    with jax.enable_x64(True):
        wide = on_device(cast(args, "float64"))
        second_order(session, setup, wide, sized(session, cotangents.ordinary(y, rng)))


def _explain_roles(session: Session) -> None:
    if session.failing:
        setup, evaluation = session.failing[0]
        ordinary = session.settings[setup.label].draw(session.options.seed * DRAWS)[1]
        roles(session, setup, ordinary, evaluation.truth.y)


def _blame_none(session: Session) -> None:
    """Of None in place of a gradient: fine where the gradient is zero, else wrong."""
    worst = {n.split("[")[0] for n, tally in session.tallies.items() if tally.worst}
    if wrong := tuple(name for name in session.nones if name in worst):
        text = (
            f"bwd returns None for {' and '.join(wrong)}, which JAX takes for zeros, "
            "but the gradient there is not zero; if that is on purpose, say nondiff="
        )
        session.find("E-ZERO", f"{text}{wrong}", session.where)

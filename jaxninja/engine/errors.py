"""What can go wrong in a trace and in a walk, said so that it can be fixed."""

import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import jax

from jaxninja.engine.computation import Step
from jaxninja.errors import ArgumentTypeError, is_users

NEEDS_NUMBERS = {  # what was raised, the first that fits: what was done, what to do
    jax.errors.TracerBoolConversionError: (
        "asks whether a traced value is true, as `if` does",
        "use jnp.where or jax.lax.cond",
    ),
    jax.errors.NonConcreteBooleanIndexError: (
        "picks entries by a traced mask, as x[x > 0] does",
        "use jnp.where",
    ),
    jax.errors.TracerArrayConversionError: (
        "gives a traced value to NumPy, as np.sin does",
        "use jnp, as in jnp.sin",
    ),
    (
        jax.errors.ConcretizationTypeError,
        jax.errors.TracerIntegerConversionError,
    ): (
        "makes a Python number of a traced value, as float(x) and math.sin do",
        "use jnp, as in jnp.sin",
    ),
}


@contextmanager
def tracing(name: str) -> Iterator[None]:
    """Tell of a function that needs numbers while there are none: where, and of what
    to do."""
    try:
        yield
    except Exception as error:
        fits = (k for k in NEEDS_NUMBERS if isinstance(error, k))
        if (kind := next(fits, None)) is None:
            raise
        did, instead = NEEDS_NUMBERS[kind]
        raise ArgumentTypeError(
            f"{_users_line(error) or name} {did}; the engine traces a function as "
            f"jax.jit does, before there are numbers: {instead}"
        ) from error


def _users_line(error: Exception) -> str:
    """ "f at file.py:3": the innermost frame that is not of the engine or a library."""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        file = Path(frame.filename)
        if is_users(frame.filename) and Path(__file__).parent not in file.parents:
            return f"{frame.name} at {file.name}:{frame.lineno}"
    return ""


class NoRule(NotImplementedError):
    """A gradient has come to an operation without a rule."""


def no_rule(step: Step, part: str = "") -> NoRule:
    name = step.eqn.primitive.name
    return NoRule(
        f"the engine has no rule for the primitive {name!r}{part}, used at "
        f"{step.where}. Write rule(dz, z, *operands, **params) -> a cotangent for each "
        "operand (or None), and give it: value_and_grad(f, "
        "rules={**PRIMITIVES, primitive: rule})"
    )


def check_cotangents(step: Step, operands, terms: Sequence, active) -> None:
    """Every cotangent must have its operand's shape and dtype.

    Broadcasting hides many a wrong gradient: a sum that was forgotten, a keepdims.
    NotImplemented stands for a derivative that the rule does not know.
    """
    if not isinstance(terms, tuple | list) or len(terms) != len(operands):
        given = len(terms) if isinstance(terms, tuple | list) else type(terms).__name__
        raise ArgumentTypeError(
            f"the rule of {step.eqn.primitive.name!r} (used at {step.where}) returned "
            f"{given}, expected a tuple of {len(operands)}: one cotangent an operand"
        )
    for k, (x, ct, wanted) in enumerate(zip(operands, terms, active, strict=True)):
        if wanted and ct is NotImplemented:
            raise no_rule(step, f" for its operand {k}")
        if wanted and ct is not None and (ct.shape, ct.dtype) != (x.shape, x.dtype):
            raise ArgumentTypeError(
                f"the rule of {step.eqn.primitive.name!r} (used at {step.where}) "
                f"returned {_kind(ct)} for operand {k}, expected {_kind(x)}, as it is"
            )


def _kind(x) -> str:
    return f"{x.dtype}{list(x.shape)}"

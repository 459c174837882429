"""What can go wrong in a walk, said so that it can be mended."""

from collections.abc import Sequence

from jaxninja.engine.computation import Step
from jaxninja.errors import ArgumentTypeError


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

"""One set of shapes and static options, and whether the forward runs at it."""

from collections.abc import Callable
from dataclasses import dataclass

import jax

from jaxninja.check.errors import UserCodeError, is_raised
from jaxninja.check.subject.structure_traced import (
    STOPPING,
    accepted_by_jax,
    structure,
)
from jaxninja.check.subject.subject import Subject

DRAWS = 1000  # draws of one seed; draw k of seed s has number s * DRAWS + k


@dataclass(frozen=True)
class Setting:
    """One set of shapes and static options.

    Attributes:
        label: for the report: "N=7,D=5".
        draw: `draw(seed) -> (subject, arrays)`, NumPy arrays of at most float32.
        guessed: nobody asked for these sizes; the plain forward takes them.
        option: a static option was changed to a value that nobody asked for.
    """

    label: str
    draw: Callable[[int], tuple[Subject, tuple]]
    guessed: bool = False
    option: bool = False


def traces(setting: Setting) -> bool:
    """Whether the plain forward runs at these shapes; the rule is judged later."""
    try:
        subject, arrays = setting.draw(1)
        if subject.is_numpy:
            subject.plain(*arrays)
        else:
            jax.eval_shape(subject.plain, *arrays)
    except Exception:
        return False
    return True


def refused_by_rule(
    subject: Subject, args: tuple, on_purpose: bool = False
) -> str | None:
    """Why the rule does not run at sizes or options that were guessed; None if it does,
    or if it only breaks there, where no `raise` of the user's own is asked for.

    Args:
        args: arrays, or their shapes and dtypes.
    """
    try:
        found = [f for f in structure(subject, args)[0] if f.code in STOPPING]
        if not found:
            accepted_by_jax(subject, args)
    except UserCodeError as error:
        return error.sentence if not on_purpose or is_raised(error) else None
    return found[0].sentence if found and not on_purpose else None

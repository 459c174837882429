"""One set of shapes and static options, and whether the forward runs at it."""

from collections.abc import Callable
from dataclasses import dataclass

import jax

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
        ambiguous: guessed, and a size was changed in several axes of one array, which
            may have different parts to play: channels and a kernel's width.
    """

    label: str
    draw: Callable[[int], tuple[Subject, tuple]]
    guessed: bool = False
    ambiguous: bool = False
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

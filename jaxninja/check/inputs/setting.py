"""One set of shapes and static options, and whether the forward runs at it."""

from collections.abc import Callable
from dataclasses import dataclass

import jax

from jaxninja.check.errors import UserCodeError
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
        dtypes: of the float leaves as given; empty where all are float32 or wider.
        large: it has millions of entries, and smaller settings stand for it.
        option: a static option was changed to a value that nobody asked for.
        lent: name of an argument that is an array here and None as given.
    """

    label: str
    draw: Callable[[int], tuple[Subject, tuple]]
    guessed: bool = False
    option: bool = False
    large: bool = False
    dtypes: tuple[str, ...] = ()
    lent: str = ""


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


def refused_by_rule(subject: Subject, args: tuple) -> str | None:
    """Why the rule does not run at sizes or options that were guessed; None if it does.

    Args:
        args: arrays, or their shapes and dtypes.
    """
    try:
        found = [f for f in structure(subject, args)[0] if f.code in STOPPING]
        if not found:
            accepted_by_jax(subject, args)
    except UserCodeError as error:
        return error.sentence
    return found[0].sentence if found else None

"""The static options a rule is checked at, beside those that it was given with."""

from functools import partial

import jax

from jaxninja.check.inputs.setting import Setting, traces
from jaxninja.check.subject.static_options import guesses, others
from jaxninja.check.subject.subject import Subject


def of_options(setting: Setting, seen: list[tuple]) -> tuple[list[Setting], list[str]]:
    """The setting at the other values of each static option, one at a time; numbers at
    their neighbours, which nobody asked for."""
    subject, arrays = setting.draw(1)
    settings, missing = [], []
    for label, static in others(subject, seen):
        other = Setting(label, partial(_with_options, setting.draw, static))
        if traces(other):
            settings.append(other)
        else:
            missing.append(f"{label}: the forward does not run with it")
    if seen:
        return settings, missing
    found, fixed = guesses(subject, arrays, partial(_text, subject, arrays))
    for label, static in found:
        draw = partial(_with_options, setting.draw, static)
        settings.append(Setting(label, draw, option=True))
    if fixed:
        missing.append(
            f"other values of the static options {', '.join(fixed)}: none found that "
            "the forward takes; give inputs="
        )
    return settings, missing


def _text(subject: Subject, arrays: tuple, static: tuple) -> str | None:
    """What the forward does with these options; None where it does not run."""
    plain = subject.with_static(static).plain
    try:
        if subject.is_numpy:
            return str(plain(*arrays))
        return str(jax.make_jaxpr(lambda *args: plain(*args))(*arrays))  # none cached
    except Exception:
        return None


def _with_options(draw, static: tuple, seed: int):
    subject, arrays = draw(seed)
    return subject.with_static(static), arrays

"""The static options a rule is checked at, beside those that it was given with; and
without the arrays that may be None."""

from functools import partial

import jax
import numpy as np

from jaxninja.check.inputs.setting import Setting, refused_by_rule, traces
from jaxninja.check.subject.option_values import asks_for_none
from jaxninja.check.subject.pytrees import float_leaves
from jaxninja.check.subject.static_options import axes_elsewhere, guesses, others
from jaxninja.check.subject.structure_traced import forth_and_back
from jaxninja.check.subject.subject import Subject


def of_options(
    setting: Setting, seen: list[tuple], shapes: list[Setting]
) -> tuple[list[Setting], list[str]]:
    """The setting at the other values of each static option, one at a time; numbers at
    their neighbours, which nobody asked for; axes at other sizes, if need be."""
    subject, given = setting.draw(0)  # with all of its integers
    settings, missing = [], []
    run = partial(_text, subject, given)
    rule = partial(_text_of_rule, subject, given)
    found, fixed = ([], []) if seen else guesses(subject, given, run, rule)
    for label, static in others(subject, seen):
        other = Setting(label, partial(_with_options, setting.draw, static))
        if traces(other):
            settings.append(_with_numbers(setting, other, found))
        else:
            missing.append(f"{label}: the forward does not run with it")
    if seen:
        return settings, missing
    for label, static in found:
        draw = partial(_with_options, setting.draw, static)
        settings.append(Setting(label, draw, option=True))
    settings += [*_along(setting, shapes), *_without(setting, subject, given)]
    if fixed:
        missing.append(
            f"other values of the static options {', '.join(fixed)}: none found that "
            "the forward takes; give inputs="
        )
    return settings, missing


def _along(setting: Setting, shapes: list[Setting]) -> list[Setting]:
    """Another axis at the sizes of which most are equal, where it takes these: a vector
    along one axis of a matrix fits both of a square one."""
    subject, given = setting.draw(0)
    if not any(isinstance(value, int) for value in subject.static) or not shapes:
        return []
    square = min(shapes, key=lambda s: len({*sum(_shapes(s), ())}))
    run = partial(_text, subject, given)
    run_there = partial(_text, subject, square.draw(0)[1])
    return [
        Setting(
            f"{label}, {square.label}",
            partial(_with_options, square.draw, static),
            option=True,
        )
        for label, static in axes_elsewhere(subject, given, run, run_there)
    ]


def _shapes(setting: Setting) -> list[tuple[int, ...]]:
    return [np.shape(a) for a in jax.tree.leaves(setting.draw(0)[1])]


def _without(setting: Setting, subject: Subject, given: tuple) -> list[Setting]:
    """None for each array that the forward does without, where its code asks for it."""
    if subject.is_numpy or not asks_for_none(subject.plain_function):
        return []
    found = []
    for i, name in enumerate(subject.argument_names):
        rest = _none_at(i, given)
        if given[i] is None or not float_leaves(rest):
            continue
        if _text(subject, rest, subject.static) is not None:
            draw = partial(_drawn_without, setting.draw, i)
            found.append(Setting(f"{name}=None", draw, option=True))
    return found


def _none_at(i: int, args: tuple) -> tuple:
    return (*args[:i], None, *args[i + 1 :])


def _drawn_without(draw, i: int, seed: int):
    subject, arrays = draw(seed)
    return subject, _none_at(i, arrays)


def _with_numbers(given: Setting, other: Setting, found: list) -> Setting:
    """A listed value and the first guess of numbers, if both go together: what is wrong
    with one value may be right where a number is 1."""
    (before, arrays), (subject, _) = given.draw(0), other.draw(0)
    changed = [
        (label, guess)
        for label, guess in found
        if all(
            a == b or isinstance(b, int | float)
            for a, b in zip(before.static, guess, strict=True)
        )
    ]
    if not changed:
        return other
    label, guess = changed[0]
    rows = zip(before.static, guess, subject.static, strict=True)
    static = tuple(new if new != old else listed for old, new, listed in rows)
    both = before.with_static(static)
    if _text(both, arrays, static) is None or refused_by_rule(both, arrays):
        return other
    draw = partial(_with_options, given.draw, static)
    return Setting(f"{other.label}, {label}", draw, option=True)


def _text(subject: Subject, arrays: tuple, static: tuple) -> str | None:
    """What the forward does with these options; None where it does not run."""
    plain = subject.with_static(static).plain
    try:
        if subject.is_numpy:
            return str(plain(*arrays))
        return str(jax.make_jaxpr(lambda *args: plain(*args))(*arrays))  # none cached
    except Exception:
        return None


def _text_of_rule(subject: Subject, arrays: tuple, static: tuple) -> str | None:
    """What the rule does with these options; None where it does not run."""
    rule = forth_and_back(subject.with_static(static))
    try:
        return str(jax.make_jaxpr(rule)(*arrays))
    except Exception:
        return None


def _with_options(draw, static: tuple, seed: int):
    subject, arrays = draw(seed)
    return subject.with_static(static), arrays

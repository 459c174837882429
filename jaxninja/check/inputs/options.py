"""The static options a rule is checked at, beside those that it was given with; and
without the arrays that may be None, or with one for None."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from jaxninja.check.inputs.kinds import kind_of
from jaxninja.check.inputs.setting import Setting, refused_by_rule, traces
from jaxninja.check.subject.option_values import asks_for_none
from jaxninja.check.subject.pytrees import float_leaves
from jaxninja.check.subject.static_options import axes_elsewhere, guesses, others
from jaxninja.check.subject.structure_traced import forth_and_back, structure
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
    square = min(shapes, key=lambda s: len({*sum(_drawn_shapes(s), ())}))
    run, rule = partial(_text, subject, given), partial(_text_of_rule, subject, given)
    run_there = partial(_text, subject, square.draw(0)[1])
    return [
        Setting(
            f"{label}, {square.label}",
            partial(_with_options, square.draw, static),
            option=True,
        )
        for label, static in axes_elsewhere(subject, given, run, rule, run_there)
    ]


def _drawn_shapes(setting: Setting) -> list[tuple[int, ...]]:
    return [np.shape(a) for a in jax.tree.leaves(setting.draw(0)[1])]


def _without(setting: Setting, subject: Subject, given: tuple) -> list[Setting]:
    """None for each array that the forward does without, where its code asks for it;
    and an array for each None that it takes one for. In a container, if the rule has
    an answer of that structure."""
    if subject.is_numpy or not asks_for_none(subject.plain_function):
        return []
    found = []
    places, _ = jax.tree_util.tree_flatten_with_path(given, is_leaf=_is_none)
    for i, (path, leaf) in enumerate(places):
        name = subject.argument_names[path[0].idx] + jax.tree_util.keystr(path[1:])
        if leaf is None:
            found += _with_array(setting, subject, given, i, name)
            continue
        rest = _replaced(i, given, None)
        runs = float_leaves(rest) and _text(subject, rest, subject.static) is not None
        if runs and (len(path) == 1 or _is_answered(subject, rest)):
            draw = partial(_drawn_with, setting.draw, i, lambda rng: None)
            found.append(Setting(f"{name}=None", draw, option=True))
    return found


def _is_answered(subject: Subject, args: tuple) -> bool:
    return not refused_by_rule(subject, args) and not structure(subject, args)[0]


def _with_array(setting, subject: Subject, given: tuple, i: int, name: str) -> list:
    """Positive numbers for leaf i, which is None: weights say, of the first shape that
    forward and rule take, a single one before all others.

    Nobody gave such an argument: its own gradient is let alone, and so is a rule that
    has none for it.
    """
    before = _text(subject, given, subject.static)
    for shape in _shapes(given):
        values = partial(_positive, shape)
        args = _replaced(i, given, values(np.random.default_rng(0)))
        if _text(subject, args, subject.static) in (None, before):
            continue
        if refused_by_rule(subject, args):
            continue
        findings, missing = structure(subject, args)
        if findings:
            continue
        if name in missing:
            return []
        draw = partial(_drawn_with, setting.draw, i, values)
        label = f"{name} of shape {shape}"
        return [Setting(label, draw, option=True, lent=name)]
    return []


def _shapes(given: tuple) -> list[tuple]:
    """(), then the ends of each array's shape, the last axes first."""
    shapes = [np.shape(a) for a in float_leaves(given)]
    found = [(), *(s[-1:] for s in shapes), *(s[:1] for s in shapes), *shapes]
    return list(dict.fromkeys(found))


def _positive(shape: tuple, rng: np.random.Generator) -> np.ndarray:
    return rng.uniform(0.5, 2.0, shape).astype(np.float32)


def _replaced(i: int, args: tuple, value) -> tuple:
    """With `value` for leaf i, of which None is one."""
    leaves, tree = jax.tree.flatten(args, is_leaf=_is_none)
    return jax.tree.unflatten(tree, [*leaves[:i], value, *leaves[i + 1 :]])


def _is_none(leaf) -> bool:
    return leaf is None


def _drawn_with(draw, i: int, value, seed: int):
    """With `value(rng)` for leaf i."""
    subject, arrays = draw(seed)
    return subject, _replaced(i, arrays, value(np.random.default_rng([seed, 0x0A])))


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
        traced = jax.make_jaxpr(lambda *args: plain(*args))  # none cached
        return _shown(traced(*arrays))
    except Exception:
        return None


def _text_of_rule(subject: Subject, arrays: tuple, static: tuple) -> str | None:
    """What the rule does with these options; None where it does not run."""
    rule = forth_and_back(subject.with_static(static))
    try:
        return _shown(jax.make_jaxpr(rule)(*arrays))
    except Exception:
        return None


def _shown(closed) -> str:
    """A program as a text, with the numbers that NumPy made before it was traced."""
    made = [a for a in closed.consts if isinstance(a, np.ndarray | jax.Array)]
    plain = (a for a in made if jnp.issubdtype(a.dtype, np.number))
    known = (np.asarray(a) for a in plain if not isinstance(a, Tracer))
    return f"{closed} {[hash(a.tobytes()) for a in known]}"


def _with_options(draw, static: tuple, seed: int):
    subject, arrays = draw(seed)
    moved = [
        (old, new)
        for old, new in zip(subject.static, static, strict=True)
        if type(old) is type(new) is int and old < 0 and old != new
    ]
    return subject.with_static(static), _relabelled(arrays, moved)


def _relabelled(arrays: tuple, moved: list[tuple[int, int]]) -> tuple:
    """A label that an option sets apart, -100 say, moves with the option: it is no
    other label's number, and of no class."""

    def move(leaf):
        if kind_of(leaf) != "int":
            return leaf
        for old, new in moved:
            leaf = np.where(leaf == old, leaf.dtype.type(new), leaf)
        return leaf

    return jax.tree.map(move, arrays) if moved else arrays

"""Other values of the static options: listed ones, and neighbours of the others.

A rule may be right for mean=False and wrong for mean=True. An option whose values can
be listed (a boolean, an enumeration, a `Literal`) is tried at each of them, the others
staying as they were given; a number at its neighbours.
"""

import inspect
import types
import typing
from collections.abc import Callable, Iterator
from enum import Enum
from typing import Any, Literal

import jax
import numpy as np

from jaxninja.check.subject.option_values import (
    FEW,
    after_all,
    asks_for_none,
    axes,
    compared,
    is_axis,
    neighbours,
    strings_of,
)
from jaxninja.check.subject.subject import Subject

STRINGS = 4  # values of a string that are tried

Runs = Callable[[tuple], "str | None"]


def others(subject: Subject, seen: list[tuple]) -> Iterator[tuple[str, tuple]]:
    """(label, static options) for each value of an option that was not seen.

    Args:
        subject: its static options are the ones to depart from.
        seen: tuples of static options that are checked anyway.
    """
    annotations = _annotations(subject)
    for i, name in enumerate(subject.static_names):
        known = [static[i] for static in (subject.static, *seen)]
        for value in _values(subject.static[i], annotations.get(name)):
            if not any(type(value) is type(k) and value == k for k in known):
                static = (*subject.static[:i], value, *subject.static[i + 1 :])
                yield f"{name}={_text(value)}", static


def guesses(
    subject: Subject, arrays: tuple, runs: Runs, rule_runs: Runs
) -> tuple[list[tuple[str, tuple]], list[str]]:
    """(label, static options) for the options that list no values, and the names of
    those for which none was found.

    Each string is tried by itself, and None where the forward's code asks for it, or
    that of the rule for a string's: a backend of its own choice.
    Numbers are changed all at once, to their first neighbours and then to their second
    ones; one at a time where the forward does not run with all of them, and where it
    has more cases: an exponent of 2, of 0, of infinity.

    Args:
        subject: its static options are the ones to depart from.
        arrays: its arguments.
        runs: the jaxpr of the forward with static options as a text; None where the
            forward does not run.
        rule_runs: the same of fwd and bwd.
    """
    alone, rows, fixed = [], ([], []), []
    names = unlisted(subject)
    asks = asks_for_none(subject.plain_function)
    rule_asks = asks_for_none(subject.bwd_function)
    for i, name in enumerate(subject.static_names):
        if name not in names:
            continue
        found = _neighbours(subject, i, arrays, runs, rule_runs)
        asked = asks or defaults(subject).get(name, ...) is None
        asked |= rule_asks and isinstance(subject.static[i], str)
        asked &= subject.static[i] is not None
        none = asked and runs(_changed(subject, {i: None})) is not None
        alone += [{i: None}] if none else []
        if not found:
            fixed += [] if none else [name]
        elif isinstance(subject.static[i], str):
            alone += [{i: value} for value in found]
        else:
            for row, value in zip(rows, found, strict=False):
                row.append({i: value})
            alone += [{i: value} for value in found[len(rows) :]]
    merged = [change for row in rows for change in _merged(subject, row, runs)]
    apart = [c for change in merged[:1] for c in _apart(subject, change, runs)]
    changes = [*merged, *apart, *alone]
    return [(_label(subject, c), _changed(subject, c)) for c in changes], fixed


def axes_elsewhere(
    subject: Subject, arrays: tuple, runs: Runs, rule_runs: Runs, run_there: Runs
) -> list[tuple[str, tuple]]:
    """(label, static options) with another axis, where none makes the forward another
    one at the sizes given, as it runs along the axis that fits, or none that the rule
    takes.

    Args:
        subject, arrays, runs, rule_runs: as `guesses` has them.
        run_there: as `runs`, at other sizes.
    """
    found = []
    rank = max((np.ndim(a) for a in jax.tree.leaves(arrays)), default=0)
    for i, value in enumerate(subject.static):
        whole = isinstance(value, int) and not isinstance(value, bool)
        if not whole or not -rank <= value < rank:
            continue
        changes = [{i: v} for v in axes(value, rank)]
        here = [c for c in changes if _another(subject, c, runs)]
        if is_axis(subject.static_names[i]):  # and no stride, say
            here = [c for c in here if rule_runs(_changed(subject, c))]
        if not here:
            there = [c for c in changes if _another(subject, c, run_there)]
            found += [(_label(subject, c), _changed(subject, c)) for c in there[:1]]
    return found


def _another(subject: Subject, change: dict[int, Any], runs: Runs) -> bool:
    """Whether the forward runs with a change, and is another one."""
    return runs(_changed(subject, change)) not in (None, runs(subject.static))


def _neighbours(
    subject: Subject, i: int, arrays: tuple, runs: Runs, rule_runs: Runs
) -> list:
    """The first few other values of option i with which the forward runs.

    Integers apart, only those that make it another one: a fraction that the backward
    alone reads clips its gradient or scales it, on purpose. Where bwd has a case for
    some strings, only those of the rule's own code: a library knows more of them.
    """
    name, value = subject.static_names[i], subject.static[i]

    def run(other):
        return runs(_changed(subject, {i: other}))

    def rule(other):
        return rule_runs(_changed(subject, {i: other}))

    of_string = isinstance(value, str)
    strings = _strings(subject) if of_string else ()
    cases = {*strings_of(subject.bwd_function)} if of_string else set()
    own = not cases.isdisjoint(compared(run, value)) if cases else False
    default = defaults(subject).get(name, inspect.Parameter.empty)
    several = value is None or (isinstance(value, int) and value < FEW)
    own_cases = len(compared(run, value)) if type(value) is float else 0
    most = min(STRINGS, 1 + several + own_cases)
    found, texts = [], [runs(subject.static)]
    for other in neighbours(name, value, default, arrays, run, strings):
        if other is None or (own and other not in strings):
            continue  # None has a turn of its own
        text = run(other)
        if text is None or (not _counts(value) and text in texts):
            continue
        found.append(other)
        texts.append(text)
        if len(found) == (STRINGS if of_string else most):
            break
    if of_string and not found:
        found = [v for v in after_all(run, rule) if run(v) not in (None, *texts)]
    return found


def _counts(value) -> bool:
    """Whether it may be the size of a block, which changes nothing."""
    return isinstance(value, int | tuple) and not isinstance(value, bool)


def _strings(subject: Subject) -> list[str]:
    functions = subject.plain_function, subject.fwd_function, subject.bwd_function
    return list(dict.fromkeys(s for f in functions for s in strings_of(f)))


def _merged(subject: Subject, row: list[dict], runs) -> list[dict]:
    """All changes of a row at once if the forward takes that, else each of them."""
    at_once = {i: value for change in row for i, value in change.items()}
    if len(row) > 1 and runs(_changed(subject, at_once)) is not None:
        return [at_once]
    return row


def _apart(subject: Subject, change: dict[int, Any], runs) -> list[dict]:
    """One alone of numbers that are equal, as given and after a change: what is kept in
    blocks of one size may be read in blocks of another. Of fractions that a change
    leaves in proportion the first alone and the last: a bound on their quotient is
    crossed by one of the two."""
    numbers = {i: v for i, v in change.items() if type(v) in (int, float)}
    alike = {i: _alike(subject.static[i], v) for i, v in numbers.items()}
    several = [i for i, pair in alike.items() if list(alike.values()).count(pair) > 1]
    whole = [i for i in several if type(change[i]) is int]
    parts = [i for i in several if type(change[i]) is float]
    alone = [
        {i: change[i]} for i in dict.fromkeys((*whole[-1:], *parts[:1], *parts[-1:]))
    ]
    return [one for one in alone if runs(_changed(subject, one)) is not None]


def _alike(given, other) -> tuple:
    """The same for numbers that are changed alike."""
    if type(other) is float and given:
        return (round(other / given, 2),)
    return given, other


def _changed(subject: Subject, change: dict[int, Any]) -> tuple:
    return tuple(change.get(i, value) for i, value in enumerate(subject.static))


def _label(subject: Subject, change: dict[int, Any]) -> str:
    names = subject.static_names
    return ", ".join(f"{names[i]}={_text(value)}" for i, value in change.items())


def defaults(subject: Subject) -> dict[str, Any]:
    """Of all parameters; `inspect.Parameter.empty` of those without."""
    try:
        named = inspect.signature(inspect.unwrap(subject.op_function)).parameters
    except (TypeError, ValueError):
        return {}
    return {name: parameter.default for name, parameter in named.items()}


def unlisted(subject: Subject) -> list[str]:
    """Names of the options whose values cannot be listed: numbers, functions."""
    annotations = _annotations(subject)
    pairs = zip(subject.static_names, subject.static, strict=True)
    return [name for name, v in pairs if not _values(v, annotations.get(name))]


def _values(value, annotation) -> tuple:
    if isinstance(value, bool):
        return (False, True)
    if isinstance(value, Enum):
        return tuple(type(value))
    return _listed(annotation)


def _listed(annotation) -> tuple:
    """The values that an annotation lists, None among them; () if it lists none."""
    kind = typing.get_origin(annotation)
    if kind is Literal:
        return typing.get_args(annotation)
    if kind in (typing.Union, types.UnionType):
        parts = [_listed(part) for part in typing.get_args(annotation)]
        return tuple(v for part in parts for v in part) if any(parts) else ()
    if annotation is bool:
        return (False, True)
    if annotation is type(None):
        return (None,)
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return tuple(annotation.__members__.values())
    return ()


def _annotations(subject: Subject) -> dict[str, Any]:
    """Of the arguments of the function under the rule, strings among them resolved."""
    function = inspect.unwrap(subject.op_function)
    try:
        return typing.get_type_hints(function)
    except Exception:  # one of them names what is not there
        return dict(getattr(function, "__annotations__", {}))


def _text(value) -> str:
    return str(value) if isinstance(value, Enum) else repr(value)

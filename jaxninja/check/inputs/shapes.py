"""The sizes and static options a rule is checked at, and the inputs drawn for them.

A rule of the catalogue brings its cases. A bare function keeps the shapes it was given
and is tried at others (`sizes`).
"""

import inspect
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from jaxninja.check.errors import running
from jaxninja.check.inputs import sizes
from jaxninja.check.inputs.axes import Shapes
from jaxninja.check.inputs.axes import label as change
from jaxninja.check.inputs.examples import drawn
from jaxninja.check.inputs.kinds import like
from jaxninja.check.inputs.options import of_options
from jaxninja.check.inputs.setting import DRAWS, Setting, refused_by_rule, traces
from jaxninja.check.subject.adapters import Normalised
from jaxninja.check.subject.pytrees import (
    all_names,
    cast,
    float_leaves,
    refuse_what_holds_no_numbers,
)
from jaxninja.check.subject.subject import Subject
from jaxninja.rule import Rule

PRIMES: tuple[int, ...] = (5, 7, 3, 11, 13, 17, 19)
MILLIONS = 1 << 20  # entries of the arguments, from which on they are large
LIMITS = {"quick": 1, "standard": 6, "full": 12}


def settings_of(normal: Normalised, args, inputs, level: str):
    """Settings to check at, and in words what could not be varied.

    Args:
        normal: the function that is checked.
        args, inputs, level: as given to `check_vjp`.
    """
    f = normal.f
    cases = isinstance(f, Rule) and inputs is None and not args
    if cases:
        found, missing = _of_rule(normal)
    elif inputs is not None:
        found, missing = _of_inputs(normal, inputs)
    else:
        found, missing = _of_arguments(normal, args, level)
    shapes = found[: LIMITS[level]]
    left = [setting.label for setting in found[len(shapes) :]]
    if level != "quick":
        seen = [case.static for case in f.cases[: len(shapes)]] if cases else []
        options, refused = of_options(found[0], seen, shapes[1:])
        shapes += options[: LIMITS[level]]
        left += [setting.label for setting in options[LIMITS[level] :]]
        missing += refused
    if left:
        missing.append(f"more than level {level} takes: {'; '.join(left)}")
    return shapes, missing


def _of_rule(normal: Normalised):
    rule = normal.f
    cases = [(str(case), dict(case.dims), case.static) for case in rule.cases]
    settings = [
        Setting(label, partial(_drawn, normal, rule.example, dims, static))
        for label, dims, static in cases
    ]
    missing = []
    for label, dims in _wanted([dims for _, dims, _ in cases]):
        draw = partial(_drawn, normal, rule.example, dims, cases[0][2])
        setting = Setting(",".join(f"{k}={v}" for k, v in dims.items()), draw)
        if traces(setting):
            settings.append(setting)
        else:
            missing.append(f"{label} shapes: no case has them, {dims} is refused")
    return settings, missing


def _wanted(given: list[dict[str, int]]) -> list[tuple[str, dict[str, int]]]:
    """Sizes of kinds that no case has: distinct, all equal, the first one 1."""
    if not given or not given[0]:
        return []
    names = list(given[0])
    distinct = dict(zip(names, PRIMES, strict=False))
    tests: list[tuple[str, dict[str, int], Callable[[list[int]], bool]]] = [
        ("prime", distinct, lambda sizes: len(set(sizes)) == len(sizes)),
        ("square", dict.fromkeys(names, 4), lambda s: len(set(s)) == 1 and s[0] > 1),
        ("batch-1", {**distinct, names[0]: 1}, lambda sizes: sizes[0] == 1),
    ]
    if len(names) == 1:
        tests = tests[:1]
    return [
        (label, dims)
        for label, dims, has in tests
        if not any(has(list(case.values())) for case in given)
    ]


def _drawn(normal, example, dims, static, seed: int) -> tuple[Subject, tuple]:
    with running("the example's function"):
        arrays = drawn(example, seed, dims)
    if not isinstance(arrays, tuple | list):
        arrays = (arrays,)
    rule = normal.f if isinstance(normal.f, Rule) else None
    args = rule.arranged(tuple(arrays), static) if rule else (*arrays, *static)
    subject, arrays = normal(args)
    return subject, host(arrays)


def host(arrays: tuple) -> tuple:
    """Arrays on the host, floats in float32: so all dtypes share their random bits."""

    def convert(leaf):
        is_key = hasattr(leaf, "dtype") and jnp.issubdtype(
            leaf.dtype, jax.dtypes.prng_key
        )
        return leaf if is_key else np.asarray(leaf)

    return cast(jax.tree.map(convert, tuple(arrays)), "float32")


def _of_inputs(normal: Normalised, inputs):
    named = list(inspect.signature(inputs).parameters.values())[1:]
    names = [p.name for p in named if p.kind is not p.VAR_KEYWORD]
    sets = [dict(zip(names, PRIMES, strict=False))]
    sets += [dims for _, dims in _wanted(sets)]
    settings = [
        Setting(
            ",".join(f"{k}={v}" for k, v in dims.items()) or "as drawn",
            partial(_drawn, normal, inputs, dims, ()),
        )
        for dims in sets
    ]
    kept = [settings[0], *filter(traces, settings[1:])]
    return kept, [] if names else ["other shapes: `inputs` takes no sizes"]


def _of_arguments(normal: Normalised, args, level: str):
    subject, arrays = normal(args)
    refuse_what_holds_no_numbers(arrays, subject.argument_names)
    dtypes = _narrow(arrays)
    arrays = host(arrays)
    given = Setting(
        "as given", lambda seed: (subject, _varied(arrays, seed)), dtypes=dtypes
    )
    if subject.is_numpy:
        return [given], [
            "other shapes: give inputs=, a NumPy function cannot be traced"
        ]
    if level == "quick":
        return [given], ["other shapes: level quick"]
    found, missing = sizes.other_sizes(subject, arrays)
    shapes = tuple(np.shape(a) for a in jax.tree.leaves(arrays))
    named = all_names(arrays, subject.argument_names)
    settings = [given]
    for other in found:
        draw = partial(_redraw, subject, arrays, other)
        settings.append(Setting(change(shapes, other, named), draw, guessed=True))
    return _smaller_first(settings, _entries(arrays)), missing


def _smaller_first(settings: list[Setting], entries: int) -> list[Setting]:
    """Where millions of entries are given, smaller sizes go first, if the rule runs at
    them."""
    if entries < MILLIONS or len(settings) == 1:
        return settings
    given, first, *rest = settings
    subject, arrays = first.draw(0)
    if _entries(arrays) >= MILLIONS or refused_by_rule(subject, arrays):
        return settings
    return [first, replace(given, large=True), *rest]


def _entries(arrays: tuple) -> int:
    return sum(np.size(a) for a in jax.tree.leaves(arrays))


def _narrow(arrays: tuple) -> tuple[str, ...]:
    """The dtypes of the float leaves, where one has fewer bits than float32."""
    found = [str(jax.dtypes.result_type(a)) for a in float_leaves(arrays)]
    found = ["float32" if d == "float64" else d for d in found]
    return tuple(found) if any(jnp.dtype(d).itemsize < 4 for d in found) else ()


def divisible(normal: Normalised, args, inputs) -> Setting | None:
    """A setting whose first argument's leading axis all devices can share, if any."""
    f, count = normal.f, jax.device_count()
    if isinstance(f, Rule) and inputs is None and not args:
        names, static = list(f.cases[0].dims), f.cases[0].static
        dims = dict(zip(names, (2 * count, *PRIMES), strict=False))
        draw = partial(_drawn, normal, f.example, dims, static)
    elif inputs is not None:
        names = list(inspect.signature(inputs).parameters)[1:]
        dims = dict(zip(names, (2 * count, *PRIMES), strict=False))
        draw = partial(_drawn, normal, inputs, dims, ())
    else:
        subject, arrays = normal(args)
        arrays = host(arrays)
        firsts = {np.shape(a)[0] for a in jax.tree.leaves(arrays[:1]) if np.ndim(a)}
        shapes = tuple(
            tuple(2 * count if n in firsts else n for n in np.shape(a))
            for a in jax.tree.leaves(arrays)
        )
        draw = partial(_redraw, subject, arrays, shapes)
    setting = Setting(f"split over {count} devices", draw)
    if not traces(setting):
        return None
    subject, arrays = setting.draw(1)
    shapes = [np.shape(a) for a in jax.tree.leaves(arrays[0])]
    even = all(shape and shape[0] % count == 0 for shape in shapes)
    return setting if even and shapes and not subject.is_numpy else None


def _redraw(subject, arrays, shapes: Shapes, seed: int):
    return subject, _varied(arrays, seed, shapes)


def _varied(arrays, seed: int, shapes: Shapes | None = None):
    """The first draw keeps the values that were given; others draw like them."""
    if seed % DRAWS == 0 and shapes is None:
        return arrays
    rng = np.random.default_rng([seed, 0x6A6E])
    leaves, tree = jax.tree.flatten(arrays)
    shapes = tuple(map(np.shape, leaves)) if shapes is None else shapes
    drawn = [like(a, rng, shape) for a, shape in zip(leaves, shapes, strict=True)]
    return jax.tree.unflatten(tree, drawn)

"""One axis more for the arguments of a bare function, where its forward takes that.

A rule for [N, D] that is given [B, T, D] may count rows that are no more all of them.
"""

from collections.abc import Iterator
from functools import lru_cache

import jax
import jax.numpy as jnp

from jaxninja.check.inputs.axes import Shapes, label
from jaxninja.check.inputs.kinds import kind_of
from jaxninja.check.inputs.setting import refused_by_rule
from jaxninja.check.inputs.sizes import Search, search_of
from jaxninja.check.subject.subject import Subject

GIVE = "give inputs="


def other_ranks(
    subject: Subject, arrays: tuple, base: Shapes
) -> tuple[list[Shapes], list[str]]:
    """Shapes with a leading axis at which forward and rule run, and in words what was
    not found.

    Args:
        base: shapes of distinct sizes, where such are known.
    """
    if not base or not base[0]:
        return [], []
    keys = tuple(kind_of(a) == "key" for a in jax.tree.leaves(arrays))
    return _found(search_of(subject, arrays), base, keys, jnp.result_type(float))


@lru_cache(maxsize=256)
def _found(search: Search, base: Shapes, keys: tuple, wide) -> tuple[list, list]:
    del wide  # part of the key: shapes are traced in it
    before, refusals = search.outputs(base), []
    for shapes, size in _batched(base, keys):
        if not _follows(before, search.outputs(shapes), size):
            continue
        refused = refused_by_rule(search.subject, search.arguments(shapes))
        if refused is None:
            return [shapes], []
        where = label(base, shapes, search.names)
        refusals.append(f"{where}: {refused}; {GIVE} to vary ranks")
    none = f"other ranks: none found that the forward takes; {GIVE}"
    return [], refusals[:1] or [none]


def _batched(base: Shapes, keys: tuple) -> Iterator[tuple[Shapes, int]]:
    """A new leading axis for what shares its rows with the first array, for the first
    array alone, for all."""
    used = {n for shape in base for n in shape}
    size = next(n for n in (2, 3, 4, 5) if n not in used or n == 5)
    first = base[0][0]
    choices = [
        [bool(shape) and shape[0] == first for shape in base],
        [i == 0 for i in range(len(base))],
        [True] * len(base),
    ]
    for chosen in dict.fromkeys(map(tuple, choices)):
        rows = zip(base, chosen, keys, strict=True)
        yield tuple((size, *s) if new and not key else s for s, new, key in rows), size


def _follows(before: list | None, after: list | None, size: int) -> bool:
    """Whether each output is a number still, or has the new axis, too."""
    if before is None or after is None:
        return False
    return not (before or after) or after.count(size) > before.count(size)

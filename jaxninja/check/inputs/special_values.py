"""Values at which an argument is special, one argument at a time.

All arguments at zero at once have gradients of zero, which hide what is wrong; so each
is put to what its kind calls for while the others stay as they are: weights to their
usual first values (0 and 1), a row to zeros, shares to one choice, a matrix to the
identity, a symmetric one to another, rows to norm 1, two arguments to each other.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import pairwise

import jax
import numpy as np

from jaxninja.check.inputs.kinds import kind_of

LOPSIDED = "not symmetric"
MASKS = "bool", "mask"
SIGNS, MISSING = frozenset(("sign", "abs")), frozenset(("isnan",))
SCALES = (
    *("scale", "sigma", "std", "stddev", "stdev", "temperature", "bandwidth"),
    *("lengthscale", "width"),
)
MOST = 6  # arguments that are put to special values by themselves

Change = Callable[[np.ndarray], np.ndarray]


def at_special_values(
    args: tuple,
    names: Sequence[str],
    masks_alone: bool = False,
    asked: frozenset[str] = frozenset(),
) -> Iterator[tuple[str, tuple]]:
    """(label, args) for each special value of each argument; those that end in LOPSIDED
    may be none of the function's domain.

    Args:
        args: generic inputs.
        names: of all their leaves.
        masks_alone: leave numbers as they are.
        asked: the operations of the forward. Where it asks for signs, positive numbers
            may have the other one; where it asks for NaN, some are missing.
    """
    leaves, tree = jax.tree.flatten(args)
    chosen = [
        i
        for i, leaf in enumerate(leaves)
        if _is_varied(leaf) and (not masks_alone or kind_of(leaf) in MASKS)
    ]
    for i in chosen[:MOST]:
        signs = frozenset() if _is_scale(names[i], leaves[i]) else asked
        for label, change in (*_changes(leaves[i]), *_asked_for(leaves[i], signs)):
            value = np.asarray(change(leaves[i])).astype(leaves[i].dtype)
            if not np.array_equal(value, leaves[i]):
                yield f"{names[i]} {label}", _replaced(tree, leaves, i, value)
    for i, j in pairwise(chosen[:MOST]):
        alike = kind_of(leaves[i]) == kind_of(leaves[j]) in ("real", "positive")
        if alike and leaves[i].shape == leaves[j].shape:
            value = leaves[i].astype(leaves[j].dtype)
            label = f"{names[j]} equal to {names[i]}"
            yield label, _replaced(tree, leaves, j, value)


def _is_scale(name: str, leaf) -> bool:
    """Whether it is positive, and named so that it has no other sign."""
    words = re.findall("[a-z]+", name.lower())
    return kind_of(leaf) == "positive" and bool(words) and words[-1] in SCALES


def kept_symmetric(args: tuple, names: Sequence[str]) -> list[str]:
    """Names of the matrices that stay symmetric: covariances and the like."""
    pairs = zip(names, jax.tree.leaves(args), strict=True)
    return [
        name
        for name, leaf in pairs
        if np.size(leaf) and kind_of(leaf) == "definite" and _is_definite(leaf)
    ]


def _is_definite(leaf) -> bool:
    return bool((np.linalg.eigvalsh(np.asarray(leaf, np.float64)) > 0).all())


def untried(args: tuple, names: Sequence[str]) -> list[str]:
    """Names of the arguments that `at_special_values` leaves out."""
    pairs = zip(names, jax.tree.leaves(args), strict=True)
    return [name for name, leaf in pairs if _is_varied(leaf)][MOST:]


def _is_varied(leaf) -> bool:
    return bool(np.size(leaf)) and not (
        kind_of(leaf) in ("key", "int") or np.iscomplexobj(leaf)
    )


def _replaced(tree, leaves: list, i: int, value) -> tuple:
    return jax.tree.unflatten(tree, [*leaves[:i], value, *leaves[i + 1 :]])


def _changes(leaf) -> Sequence[tuple[str, Change]]:
    kind, rank = kind_of(leaf), np.ndim(leaf)
    if kind in MASKS:
        off = [("off in one row", _row(0)), ("on at one entry only", _first_alone)]
        return off if rank and np.isfinite(leaf).all() else []
    if kind == "probability":
        return [("all on one choice", _one_choice)]
    if kind == "choice":
        return [("all of the first kind", _all_first)]
    identity = [("at the identity", _identity)] if _is_square(leaf) else []
    if kind == "definite" and not _is_definite(leaf):
        return [(LOPSIDED, _lopsided), *identity]
    if kind == "triangular":
        return [("with a row of the other sign", _turned_row), *identity]
    if kind == "definite":
        return identity
    found: list[tuple[str, Change]] = [
        ("at 0", np.zeros_like),
        ("at 1", np.ones_like),
        ("at 0 in every other entry", _every_other),
    ]
    rows = [("at 0 in one row", _row(0)), ("at 0 in one column", _column)]
    if kind == "real" and np.shape(leaf)[-1:] > (1,):
        found.append(("with rows of norm 1", _unit_rows))
    return [*found, *(rows if rank > 1 else []), *identity]


def _asked_for(leaf, asked: frozenset[str]) -> Sequence[tuple[str, Change]]:
    kind = kind_of(leaf)
    found: list[tuple[str, Change]] = []
    if kind == "positive" and asked & SIGNS:
        found.append(("of the other sign", np.negative))
    if kind in ("real", "positive") and asked & MISSING:
        found.append(("NaN in every other entry", partial(_every_other, value=np.nan)))
        found += [("NaN in one row", _row(np.nan))] if np.ndim(leaf) > 1 else []
    return found


def _is_square(leaf) -> bool:
    shape = np.shape(leaf)
    return len(shape) > 1 and shape[-1] == shape[-2] > 1


def _row(value) -> Change:
    def change(x):
        x = np.array(x)
        x[0] = value
        return x

    return change


def _turned_row(x):
    """A diagonal of both signs, if the forward takes one."""
    x = np.array(x)
    x[..., 0, :] *= -1
    return x


def _unit_rows(x):
    norm = np.linalg.norm(np.asarray(x, np.float64), axis=-1, keepdims=True)
    return x / np.where(norm == 0, 1, norm)


def _column(x):
    x = np.array(x)
    x[..., 0] = 0
    return x


def _first_alone(x):
    x = np.zeros_like(x)
    x.flat[0] = 1
    return x


def _every_other(x, value=0):
    flat = np.array(x).ravel()
    flat[::2] = value
    return flat.reshape(np.shape(x))


def _one_choice(x):
    return np.eye(x.shape[-1])[np.argmax(x, -1)]


def _all_first(x):
    return np.broadcast_to(np.eye(x.shape[-1])[0], x.shape)


def _lopsided(x):
    return x + 0.3 * np.abs(x).mean() * np.triu(np.ones(x.shape), 1)


def _identity(x):
    return np.broadcast_to(np.eye(x.shape[-1]), x.shape)

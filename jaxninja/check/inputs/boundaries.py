"""Inputs at the edges of a function, found from the operations of its forward.

Where the forward compares, takes a maximum, sorts or rounds, ties and zeros are edges;
where it exponentiates, numbers near and beyond the overflow of the dtype are; where it
gathers, repeated and extreme indices; masks may be all on or all off, integers all
distinct or, where they are sorted, of uneven steps.
"""

from collections.abc import Callable, Iterator
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import Literal, jaxprs_in_params

from jaxninja.check.inputs.kinds import holds_tuples, is_sorted, kind_of, scaled
from jaxninja.check.subject.pytrees import float_leaves, is_float, with_floats
from jaxninja.jaxpr import JITTED, RULES, equations

# fmt: off
_KINKED = frozenset((
    "max", "min", "gt", "ge", "lt", "le", "eq", "ne", "abs", "sign", "reduce_max",
    "reduce_min", "argmax", "argmin", "sort", "top_k", "cummax", "cummin", "clamp",
    "select_n", "floor", "ceil", "round",
))
_SINGULAR = frozenset((
    "log", "log1p", "sqrt", "rsqrt", "cbrt", "div", "pow", "integer_pow", "atan2",
))
_EXPONENTIAL = frozenset((
    "exp", "exp2", "expm1", "logistic", "tanh", "sinh", "cosh", "erf", "log1p",
))
COPIES = frozenset(("convert_element_type", "broadcast_in_dim", "reshape"))
_INDEXED = frozenset((
    "gather", "scatter", "scatter-add", "dynamic_slice",
))
# fmt: on


def operations(jaxpr) -> frozenset[str]:
    """Names of primitives; "isnan" where an argument is compared with itself. A number
    on the way is within `logaddexp` and `searchsorted`, and that asks for nothing."""
    compared = (e for e in equations(jaxpr) if not _with_itself(e))
    asks = {"isnan"} if _asks_for_missing(jaxpr, set(jaxpr.invars)) else set()
    return frozenset(e.primitive.name for e in compared) | asks


def _with_itself(eqn) -> bool:
    return eqn.primitive.name == "ne" and eqn.invars[0] is eqn.invars[1]


def _asks_for_missing(jaxpr, arguments: set) -> bool:
    """Whether it compares one of these of its variables, or a copy, with itself."""
    for eqn in jaxpr.eqns:
        given = [type(v) is not Literal and v in arguments for v in eqn.invars]
        if _with_itself(eqn) and given[0]:
            return True
        if eqn.primitive.name in COPIES and given[0]:
            arguments = arguments | set(eqn.outvars)
        if eqn.primitive in JITTED | RULES and any(given):
            for inner in jaxprs_in_params(eqn.params):
                pairs = zip(inner.invars, given, strict=False)
                if _asks_for_missing(inner, {v for v, g in pairs if g}):
                    return True
    return False


def edges(
    args: tuple, found: frozenset[str], dtype: str, rules: frozenset[str] = frozenset()
) -> Iterator[tuple[str, tuple]]:
    """(label, args) for each kind of edge that the operations of the forward call for.

    Args:
        args: generic inputs, of `dtype` already.
        found: primitives of the forward, from `operations`.
        dtype: whose overflow the magnitudes follow.
        rules: primitives of the rule: an exponential there that the forward does not
            have is in a ratio, say, which is finite where its parts are not.
    """
    if found & (_KINKED | _SINGULAR):
        yield "ties", _changed(args, ("real", "positive"), _tied)
        yield "equal entries", _changed(args, ("real", "positive"), _levelled)
    # a rule may divide by x, whatever the forward does
    yield "zeros", _changed(args, ("real",), np.zeros_like)
    yield "half zeros", _changed(args, ("real",), _half_zero)
    if (found | rules) & _EXPONENTIAL:
        overflow = float(np.log(float(jnp.finfo(dtype).max)))
        kinds = ("real",) if found & _EXPONENTIAL else ("real", "positive")
        for part in (0.95, 1.2):
            size = part * overflow
            yield f"entries of +-{size:.3g}", _changed(args, kinds, _signs(size))
    for label, change in (
        ("integers all at their least", _all(np.min)),
        ("integers all at their most", _all(np.max)),
        ("every other integer 0", _some_zero),
        ("distinct integers", _distinct),
    ):
        yield label, _changed(args, ("int",), partial(_but_tuples, change))
    yield "uneven steps of sorted integers", _changed(args, ("int",), _uneven)
    if found & _INDEXED:
        yield "repeated indices", _changed(args, ("int",), _repeated)
    for value in (0, 1):
        label = f"all masks {'on' if value else 'off'}"
        yield label, _changed(args, ("bool", "mask"), _all_masks(value))


def offsets(args: tuple) -> list[dict[int, int]]:
    """Powers of ten to be added to all real arrays, then to each alone: 1e3, less where
    entries are below 1, as those of weights are.

    It is an edge only where nothing else changes by it, as scores of a softmax: else
    it is a large input to a function that was not asked about it.
    """
    powers = {
        i: _power(a) for i, a in enumerate(float_leaves(args)) if kind_of(a) == "real"
    }
    alone = [{i: power} for i, power in powers.items()] if len(powers) > 1 else []
    return list(filter(None, (powers, *alone)))


def _power(leaf) -> int:
    """3, or as much less as the size of its entries is below 1."""
    size = float(np.sqrt(np.mean(np.square(np.abs(leaf), dtype=float))))
    return 3 + min(0, int(np.ceil(np.log10(size)))) if size else 3


def shifted(
    args: tuple, names: tuple[str, ...], powers: dict[int, int]
) -> tuple[str, tuple]:
    """("x, y + 1e3, w + 1e2", args); less in 16 bits, which would keep nothing else."""
    leaves = float_leaves(args)
    by = {i: p - 2 * (leaves[i].dtype.itemsize == 2) for i, p in powers.items()}
    parts = []
    for power in sorted(set(by.values()), reverse=True):
        alike = (names[i] for i in by if by[i] == power)
        parts.append(f"{', '.join(alike)} + 1e{power}")
    moved = [
        a + a.dtype.type(10.0 ** by[i] if i in by else 0) for i, a in enumerate(leaves)
    ]
    return ", ".join(parts), with_floats(args, moved)


def extremes(
    args: tuple, found: frozenset[str], dtype: str
) -> Iterator[tuple[str, tuple]]:
    """(label, args) at the ends of the range: times 1e20 and 1e-20, or as far as the
    dtype goes; logits of 1e4, beyond the overflow of any exponential in float64."""
    limits = jnp.finfo(dtype)
    most = max([float(np.max(np.abs(a), initial=1.0)) for a in _floats(args)] + [1.0])
    high = min(1e20, 0.5 * float(limits.max) / most)
    low = max(1e-20, 1e3 * float(limits.tiny))
    for factor in (high, low):
        label = f"inputs x {factor:.0e}"
        yield label, jax.tree.map(lambda a, f=factor: scaled(a, f), args)
    if found & _EXPONENTIAL:
        yield "entries of +-1e+04", _changed(args, ("real",), _signs(1e4))


def _floats(args: tuple) -> list[np.ndarray]:
    finite = (np.asarray(a, np.complex128) for a in float_leaves(args))
    return [a[np.isfinite(a)] for a in finite]


def _changed(args: tuple, kinds: tuple[str, ...], change: Callable) -> tuple:
    def convert(leaf):
        if kind_of(leaf) not in kinds or not np.size(leaf):
            return leaf
        if is_float(leaf) and np.iscomplexobj(leaf):
            return leaf
        changed = np.asarray(change(leaf)).astype(leaf.dtype)
        return np.sort(changed) if kinds == ("int",) and is_sorted(leaf) else changed

    return jax.tree.map(convert, args)


def same(a: tuple, b: tuple) -> bool:
    """Whether an edge changed nothing, and so need not be run."""
    pairs = zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    return all(x is y or np.array_equal(x, y) for x, y in pairs)


def _tied(x):
    """Numbers at will rounded; of positive ones each second by size like the first."""
    if kind_of(x) == "real":
        return np.round(x)
    flat = np.array(x).ravel()
    order = np.argsort(flat)
    flat[order[1::2]] = flat[order[: flat.size // 2 * 2 : 2]]
    return flat.reshape(x.shape)


def _levelled(x):
    return np.broadcast_to(x[..., :1] if x.ndim else x, x.shape)


def _half_zero(x):
    flat = np.array(x).ravel()
    flat[::2] = 0
    return flat.reshape(x.shape)


def _signs(size: float) -> Callable:
    return lambda x: size * np.where(np.asarray(x, np.float64) < 0, -1.0, 1.0)


def _all(choose: Callable) -> Callable:
    return lambda x: np.full_like(x, choose(x))


def _some_zero(x):
    """Of lengths and counts, none of which is 0 as given: an empty row, and others."""
    return _half_zero(x) if int(np.min(x)) >= 1 else x


def _distinct(x):
    """A permutation of as many, where no index is larger than those given."""
    least, most = int(np.min(x)), int(np.max(x))
    repeated = np.unique(x).size < x.size <= most + 1
    if not repeated or least < 0:
        return x
    return np.roll(np.arange(most + 1), 1)[: x.size].reshape(x.shape)


def _uneven(x):
    """Segments and offsets of growing lengths, both ends as they were given."""
    if x.ndim != 1 or x.size < 3 or (np.diff(x) < 0).any():
        return x
    part = np.linspace(0, 1, x.size) ** 2
    return np.round(x[0] + (x[-1] - x[0]) * part)


def _but_tuples(change: Callable, x):
    return x if holds_tuples(x) else change(x)


def _repeated(x):
    if holds_tuples(x):  # each within its row is another
        return np.broadcast_to(x[:1], x.shape)
    flat = np.array(x).ravel()
    flat[1::2] = flat[: flat.size // 2 * 2 : 2] if flat.size > 1 else flat[1::2]
    return flat.reshape(x.shape)


def _all_masks(value: int) -> Callable:
    return lambda x: np.full_like(x, value) if np.isfinite(x).all() else x

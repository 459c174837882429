"""Baselines without a network: counting which symbol follows which.

An n-gram model predicts from the n - 1 symbols before. With c the count of a context in
the training set, and c(y) how often y followed it there, of V symbols:

    additive       (c(y) + s) / (c + s V), s a smoothing
    Witten-Bell    (c(y) + t p(y)) / (c + t), t the number of different symbols that
                   followed, p the same model of n - 1, and of order 0 uniform

(Witten, Bell 1991.) The second asks shorter contexts in so far as the longer one has
been seen with much variety and seldom.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np

from jaxninja.data.text import DataError, Examples

Losses = dict[str, float]  # part of the data -> mean nats a symbol


class Baseline(NamedTuple):
    """A model that counts, and how well it predicts."""

    name: str
    order: int  # n: symbols of the context and the predicted one
    losses: Losses  # NaN for a part without examples


class Counts(NamedTuple):
    """What the training set says about each example: [N] in each field."""

    seen: np.ndarray  # how often the label followed the context
    total: np.ndarray  # how often the context occurred
    kinds: np.ndarray  # how many different symbols followed it


def baselines(parts: dict[str, Examples], V: int, most: int = 5) -> list[Baseline]:
    """Additive smoothing (1 up to bigrams, 0.1 above) and Witten-Bell, up to an order.

    Args:
        parts: windows of `most` - 1 symbols or more, by the names of the parts; what is
            counted is `train`.
        V: symbols, the boundary included.
        most: the highest order, 1 or more.

    Raises:
        DataError: the order is below 1, or the windows are too short for it.
    """
    context = parts["train"].x.shape[1]
    if not 1 <= most <= context + 1:
        raise DataError(
            f"order is {most}, expected 1 to {context + 1} for {context} symbols before"
        )
    counts = list(_counts(parts, V, most))
    return [
        *(_additive(n, counts[n - 1], parts, V) for n in range(1, most + 1)),
        *_witten_bell(counts, parts, V),
    ]


def _additive(n: int, counts: Counts, parts: dict[str, Examples], V: int) -> Baseline:
    smoothing = 1.0 if n <= 2 else 0.1
    p = (counts.seen + smoothing) / (counts.total + smoothing * V)
    return Baseline(f"{n}-gram +{smoothing:g}", n, _means(p, parts))


def _witten_bell(
    counts: Iterable[Counts], parts: dict[str, Examples], V: int
) -> Iterator[Baseline]:
    """The interpolated models of order 2 and more."""
    p: np.ndarray | float = 1 / V
    for n, (seen, total, kinds) in enumerate(counts, 1):
        p = np.where(total > 0, (seen + kinds * p) / np.maximum(total + kinds, 1), p)
        if n > 1:
            yield Baseline(f"{n}-gram Witten-Bell", n, _means(p, parts))


def _counts(parts: dict[str, Examples], V: int, most: int) -> Iterator[Counts]:
    """For orders 1 to `most`, of the examples of all parts, one part after another."""
    x = np.concatenate([part.x for part in parts.values()])
    y = np.concatenate([part.y for part in parts.values()]).astype(np.int64)
    train = _places(parts)["train"]
    context = np.zeros(len(y), np.int64)
    for n in range(1, most + 1):
        if n > 1:  # contexts are numbered anew, so that the numbers stay small
            longer = context * V + x[:, -(n - 1)]
            context = np.unique(longer, return_inverse=True)[1]
        yield _counted(context, y, V, train)


def _counted(context: np.ndarray, y: np.ndarray, V: int, train: slice) -> Counts:
    pairs, which = np.unique(context * V + y, return_inverse=True)
    seen = np.bincount(which[train], minlength=len(pairs))
    size = int(context.max()) + 1
    total = np.bincount(context[train], minlength=size)
    kinds = np.bincount(pairs[seen > 0] // V, minlength=size)
    return Counts(seen[which], total[context], kinds[context])


def _places(parts: dict[str, Examples]) -> dict[str, slice]:
    """Where the examples of each part are among all."""
    ends = np.cumsum([0, *(len(part.y) for part in parts.values())]).tolist()
    return dict(zip(parts, map(slice, ends, ends[1:]), strict=False))


def _means(p: np.ndarray, parts: dict[str, Examples]) -> Losses:
    nats = -np.log(p)
    means = {name: nats[place] for name, place in _places(parts).items()}
    return {k: float(a.mean()) if len(a) else float("nan") for k, a in means.items()}

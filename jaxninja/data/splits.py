"""Which items are trained on, which are validated on, and which are left for the test.

`lecture` has three parts. `makemore`, the split of makemore.py, has two: the 1,000
items that it tests on are also what it chooses its best model by, so that val and test
are the same here. Both are shuffled with a fixed seed, which no option moves.
"""

import random
from collections.abc import Iterable, Sequence

import numpy as np

from jaxninja.data.text import DataError

TESTED, SEED = 1_000, 3407  # makemore.py's: items of the test, and the seed

Parts = tuple[list[str], list[str], list[str]]  # train, val, test


def split_items(items: Sequence[str], split: str = "lecture") -> Parts:
    """Train, val and test, by the name of the split.

    Raises:
        DataError: so few items that a part would be empty.
    """
    parts = {"lecture": _lecture, "makemore": _makemore}[split](items)
    if not all(parts):
        counts = "/".join(str(len(part)) for part in parts)
        raise DataError(
            f"{len(items)} items split into {counts} for train/val/test, expected at "
            "least one in each; 10 items are enough"
        )
    return parts


def _lecture(items: Sequence[str]) -> Parts:
    """Shuffled with Python's seed 42, then 80, 10 and 10 per cent."""
    shuffled = list(items)
    random.Random(42).shuffle(shuffled)
    n1, n2 = int(0.8 * len(items)), int(0.9 * len(items))
    return shuffled[:n1], shuffled[n1:n2], shuffled[n2:]


def _makemore(items: Sequence[str]) -> Parts:
    """The last 1,000 of a permutation, or 10 per cent if those are fewer, are tested.

    Nothing is drawn between `torch.manual_seed` and the permutation.
    """
    order = torch_permutation(len(items), SEED)
    last = len(items) - min(TESTED, int(len(items) * 0.1))
    test = [items[i] for i in order[last:]]
    return [items[i] for i in order[:last]], test, test


def torch_permutation(n: int, seed: int) -> list[int]:
    """`torch.randperm(n)` on the CPU after `torch.manual_seed(seed)`, without PyTorch.

    Each place in turn changes with one of itself and those after it: 32 bits of the
    Mersenne twister, modulo what is left. So it is for n below 2e8.
    """
    twister = np.random.RandomState(seed)
    drawn = twister.randint(0, 2**32, size=max(n - 1, 0), dtype=np.uint32).tolist()
    order = list(range(n))
    for i, bits in enumerate(drawn):
        j = i + bits % (n - i)
        order[i], order[j] = order[j], order[i]
    return order


def clean_items(val: Iterable[str], train: Iterable[str]) -> list[str]:
    """The items of val that do not occur in train."""
    known = set(train)
    return [item for item in val if item not in known]

"""What a check has not reached, in words."""

from collections.abc import Iterable, Mapping

import numpy as np


def gaps(
    predicates: Mapping[str | int, np.ndarray], entries: Iterable[tuple[str, int, int]]
) -> list[str]:
    """Comparisons that went one way only, and entries that were never but zero.

    Args:
        predicates: whether each was ever true, ever false: by its line, or its number
            among those of the forward, where no line of the user's holds it.
        entries: of each gradient its name, how many were reached, and how many it has.
    """
    one_way = {key: seen for key, seen in predicates.items() if not seen.all()}
    lines = [key for key in one_way if isinstance(key, str)]
    found = [f"comparison at {k} was only ever {bool(one_way[k][0])}" for k in lines]
    if inside := len(one_way) - len(lines):
        total = sum(isinstance(key, int) for key in predicates)
        text = "comparisons inside of what the forward calls"
        found.append(f"{inside} of {total} {text} went one way only")
    for name, seen, total in entries:
        if 0 < seen < total:
            text = f"entries of d{name} were zero in every sample"
            found.append(f"{total - seen} of {total} {text}")
    return found

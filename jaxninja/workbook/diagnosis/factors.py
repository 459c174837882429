"""The true gradient times a number: which number?

One batch does not tell. 5/4 is n / (n - 1) for n = 5, or it is 1.25: so a factor is
named only if its name gives the number on another batch size too.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import permutations

import numpy as np

from jaxninja.workbook.hints import Hint, say
from jaxninja.workbook.network import Network, Sizes
from jaxninja.workbook.samples import Sample
from jaxninja.workbook.texts.languages import sentence

EXACT = 1e-7  # relative
ONE = 1e-5  # nearer to 1 a factor is none: something small is added, perhaps
NAMES = (
    "{}",
    "1 / {}",
    "{0} / ({0} - 1)",
    "({0} - 1) / {0}",
    "({} - 1)",
    "({} - 1)**2",
)
NAMES += ("1 / ({} - 1)", "{}**2", "1 / {}**2", "{}**0.5", "{}**-0.5")


def factor(name: str, pairs: Sequence[tuple[Sample, np.ndarray]]) -> Hint | None:
    """A hint, if on every sample a gradient is a multiple of the true one.

    Args:
        name: of the array.
        pairs: samples, and the learner's gradient there.
    """
    found: dict[Sizes, float] = {}
    for sample, mine in pairs:
        truth = np.asarray(sample.truth[name])
        if np.abs(truth).max(initial=0.0) < 1e-9 * sample.scale(name):
            continue  # zero in theory: any number of times it is zero
        ratio = _ratio(mine, truth)
        if ratio is None or not _near(ratio, found.setdefault(sample.sizes, ratio)):
            return None
    if all(abs(ratio - 1) < ONE for ratio in found.values()):
        return None
    return say("factor", name=name, factor=_named(pairs[0][0].network, found))


def _ratio(mine: np.ndarray, truth: np.ndarray) -> float | None:
    """c, if mine = c truth; any two numbers have one, so more than one is asked for."""
    if mine.shape != truth.shape or mine.size < 2 or not np.isfinite(mine).all():
        return None
    c = float(np.vdot(mine, truth) / np.vdot(truth, truth))
    gap = np.abs(mine - c * truth).max()
    return c if c and gap <= EXACT * np.abs(c * truth).max() else None


def _named(network: Network, found: dict[Sizes, float]) -> str:
    ratios = [*found.values()]
    if all(_near(c, ratios[0]) for c in ratios):
        return f"{ratios[0]:.6g}"
    letters = {k: text for k, text in network.letters.items() if len(k) == 1}
    times = dict(_by_one(letters, found))
    if exact := next((name for name, number in times.items() if number == "1"), None):
        return exact
    if pair := _of_two(letters, found):
        return pair
    for name, number in times.items():
        inverse = name.startswith("1 / ")
        return number + name[1:] if inverse else f"{number} * {name}"
    each = (sentence("for sizes", number=f"{c:.6g}", at=s) for s, c in found.items())
    return sentence("by sizes", each=sentence("semicolon").join(each))


def _by_one(
    letters: Mapping[str, str], found: dict[Sizes, float]
) -> Iterator[tuple[str, str]]:
    """Names with one size that are the factor but for a number, and that number."""
    for letter, text in letters.items():
        for formula in NAMES:
            parts = [c / _value(formula, at[letter]) for at, c in found.items()]
            if all(_near(part, parts[0]) for part in parts):
                yield formula.format(text), f"{parts[0]:.6g}"


def _of_two(letters: Mapping[str, str], found: dict[Sizes, float]) -> str | None:
    """A size divided by another, or one by the product of two."""
    for a, b in permutations(letters, 2):
        for formula in ("{} / {}", "1 / ({} * {})"):
            values = (_value(formula, sizes[a], sizes[b]) for sizes in found)
            if all(map(_near, found.values(), values)):
                return formula.format(letters[a], letters[b])
    return None


def _value(formula: str, *sizes: int) -> float:
    return float(eval(formula.format(*sizes)))


def _near(a: float, b: float) -> bool:
    return abs(a - b) <= EXACT * abs(b)

"""What is said of a layer's activations: one sentence each, so that none contradicts.

The units that are dead are counted over the whole training set where that is known; in
a single batch a rare unit may well be flat by chance, which is told and not judged.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

from jaxninja.report.finding import ACT, GOOD, LEVELS, WATCH, Finding, todo
from jaxninja.report.gathered import Gathered
from jaxninja.training.runs.schema import Activation

FLAT = {"relu": "off", "gelu": "off", "gelu-tanh": "off"}  # else saturated


class Part(NamedTuple):
    """A part of the sentence, with what it would be judged alone."""

    level: str
    text: str
    todo: str = ""


def judge(found: Gathered) -> Iterator[Finding]:
    """A finding for each layer, as grave as the gravest of its parts."""
    last: Any = found.diagnostics[-1]["activations"] if found.diagnostics else {}
    for name in (n for n in {**last, **found.dead} if n != "logits"):
        parts = list(_parts(found, name, last.get(name)))
        grave = max(parts, key=lambda part: LEVELS.index(part.level))
        # where something is amiss, what is well is no news
        said = [p.text for p in parts if grave.level == GOOD or p.level != GOOD]
        text = f"{name}: {'; '.join(said)}."
        yield Finding("activations", grave.level, text, grave.todo)


def _parts(found: Gathered, name: str, stats: Activation | None) -> Iterator[Part]:
    if stats is not None:
        broken = _broken(found, stats)
        if broken:
            yield broken
            return
        yield from _values(found, name, stats)
    yield from _dead(found, name, stats)


def _broken(found: Gathered, stats: Activation) -> Part | None:
    """What leaves nothing else to be said."""
    bad = stats["histogram"]["nonfinite"]
    if bad:
        ways = "a smaller --lr", "--clip 1", "an --init of smaller weights"
        return Part(ACT, f"{bad:.0f} values are NaN or infinite", todo(found, *ways))
    if None in (stats["saturated"], stats["dead"], stats["std"]):
        return Part(ACT, "its statistics are not finite")
    if stats["constant"] == 1:
        text = "every unit has one value for all examples: nothing gets through"
        ways = "a smaller --lr", "smaller weights at the start"
        return Part(ACT, text, todo(found, *ways))
    return None


def _values(found: Gathered, name: str, stats: Activation) -> Iterator[Part]:
    """How the values lie: in the flat parts of the function, and how far apart."""
    kind = kind_of(found, name)
    share, std = stats["saturated"], stats["std"]
    assert share is not None  # else `_broken` has said so
    assert std is not None
    low, high = _bounds(kind)
    if kind != "residual":
        text = f"{share:.1%} of the values are {FLAT.get(kind, 'saturated')}"
        if share > high:
            ways = "a smaller --gain", "--init kaiming", "--batchnorm hidden"
            advice = todo(found, *ways)
            yield Part(ACT, f"{text}: little gradient gets through", advice)
        elif share > low:
            yield Part(WATCH, text, todo(found, "a somewhat smaller --gain"))
        else:
            yield Part(GOOD, text)
    if std < 0.05 * (0.25 if kind == "sigmoid" else 1) and share <= low:
        ways = "a larger --gain", "--batchnorm hidden"
        yield Part(ACT, f"std {std:.2g}, the signal dies out", todo(found, *ways))
    else:
        yield Part(GOOD, f"std {std:.2g}")


def _dead(found: Gathered, name: str, stats: Activation | None) -> Iterator[Part]:
    """Units that no example brings out of their flat part."""
    flat = stats["dead"] if stats is not None else None
    ways = "a smaller --lr", "--batchnorm hidden"
    if name in found.dead:
        dead, units = found.dead[name]
        text = f"{dead} of {units} units are dead for {found.dead_for}"
        if flat is not None and flat > dead / units:
            text += f" ({flat:.1%} flat in one batch, by chance)"
        advice = todo(found, *ways, first="They never learn again: ")
        yield Part(_of_dead(dead / units), text, advice) if dead else Part(GOOD, text)
    elif flat:
        text = f"{flat:.1%} of the units are flat for the whole batch (dead)"
        yield Part(_of_dead(flat), text, todo(found, *ways, "another --activation"))


def _of_dead(share: float) -> str:
    return ACT if share > 0.1 else WATCH


def kind_of(found: Gathered, name: str) -> str:
    """The activation function of a layer, or the part of the network that it is."""
    return found.kinds.get(name) or found.config.get("activation") or ""


def _bounds(kind: str) -> tuple[float, float]:
    """Up to what share of flat values all is well, and from what share it is not."""
    if kind == "relu":
        return 0.8, 0.95
    return (0.6, 0.9) if kind.startswith("gelu") else (0.1, 0.25)

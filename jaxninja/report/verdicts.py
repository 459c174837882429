"""Is it healthy, and what is to be done? Sentences made from a run's numbers.

The bounds are rules of thumb, most of them the lecture's; a finding states its number,
so that a reader can disagree.
"""

import math
import re
import statistics
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from jaxninja.report.gathered import Gathered
from jaxninja.training.options.recipes import OPTIONS, takes
from jaxninja.training.runs.schema import Activation, Diagnosis

GOOD, WATCH, ACT = "good", "watch", "act"


class Finding(NamedTuple):
    """One sentence about a run: where it belongs, how grave, and what to do."""

    topic: str  # start, loss, activations, gradients, updates, batchnorm, clipping
    level: str  # good, watch or act
    text: str
    todo: str = ""


def findings(found: Gathered) -> list[Finding]:
    """All that can be said from what a run has recorded, by topic."""
    said = list(_ending(found))
    if found.result is not None:
        said += _losses(found)
    said += _dead(found)
    if found.diagnostics:
        lines = found.diagnostics
        for judge in (
            _start,
            _activations,
            _gradients,
            _updates,
            _batchnorm,
            _clipping,
        ):
            said += judge(found, lines)
    return said


def _todo(found: Gathered, *ways: str, first: str = "") -> str:
    """Ways out that the run's model has an option for, as a sentence after `first`."""
    has = takes(found.config.get("model", "ninja"))
    missing = {f"--{name.replace('_', '-')}" for name in OPTIONS if name not in has}
    ways = tuple(w for w in ways if not missing & set(re.findall("--[a-z-]+", w)))
    said = " or ".join([*([", ".join(ways[:-1])] if ways[1:] else []), *ways[-1:]])
    text = f"{first}{said}"
    return f"{text[0].upper()}{text[1:]}." if said else ""


def _ending(found: Gathered) -> Iterator[Finding]:
    if found.failure is not None:
        text = f"The run could not go on: {found.failure}"
        todo = "A smaller --lr or --clip 1; look below for the layer that grew first."
        yield Finding("loss", ACT, text, todo)


def _losses(found: Gathered) -> Iterator[Finding]:
    assert found.result is not None
    train, val = (found.result.get(f"{part}_loss") for part in ("train", "val"))
    if train is None or val is None or not math.isfinite(train + val):
        return
    uniform = math.log(len(found.vocabulary))
    if train > 0.97 * uniform:
        text = f"Train loss {train:.3f}; guessing alone gives log V = {uniform:.3f}."
        yield Finding("loss", ACT, text, "Look at the gradients and updates below.")
        return
    gap = val - train
    text = f"Val loss {val:.4f} is {gap:+.4f} against train {train:.4f}"
    if gap > 0.1:
        todo = "More data, a smaller network, or --optimizer adamw with weight decay."
        yield Finding("loss", WATCH, f"{text}: the network overfits.", todo)
    else:
        yield Finding("loss", GOOD, f"{text}: it has hardly learned train by heart.")


def _start(found: Gathered, lines: Sequence[Diagnosis]) -> Iterator[Finding]:
    first, uniform = lines[0], math.log(len(found.vocabulary))
    if first["step"] != 0 or first["loss"] is None:
        return
    text = f"The loss starts at {first['loss']:.2f}; log V is {uniform:.2f}"
    if first["loss"] > 1.5 * uniform:
        todo = _todo(found, "shrink the output layer's weights (--init kaiming)")
        yield Finding("start", ACT, f"{text}: confidently wrong.", todo)
    else:
        yield Finding("start", GOOD, f"{text}: no confidence without a reason.")


def _activations(found: Gathered, lines: Sequence[Diagnosis]) -> Iterator[Finding]:
    for name, stats in lines[-1]["activations"].items():
        if name != "logits":
            yield from _layer(found, name, stats)


def _dead(found: Gathered) -> Iterator[Finding]:
    for name, (dead, units) in found.dead.items():
        text = f"{name}: {dead} of {units} units are dead for all training examples"
        if dead:
            ways = "a smaller --lr", "--batchnorm hidden"
            todo = _todo(found, *ways, first="They never learn again: ")
            level = ACT if dead > 0.1 * units else WATCH
            yield Finding("activations", level, f"{text}.", todo)
        else:
            yield Finding("activations", GOOD, f"{text}.")


def _layer(found: Gathered, name: str, stats: Activation) -> Iterator[Finding]:
    kind = found.kinds.get(name) or found.config.get("activation") or ""
    bad = stats["histogram"]["nonfinite"]
    if bad:
        text = f"{name}: {bad:.0f} values are NaN or infinite."
        ways = "a smaller --lr", "--clip 1", "an --init of smaller weights"
        todo = _todo(found, *ways)
        yield Finding("activations", ACT, text, todo)
        return
    share, dead, constant = stats["saturated"], stats["dead"], stats["constant"]
    std = stats["std"]
    if share is None or dead is None or std is None:
        yield Finding("activations", ACT, f"{name}: its statistics are not finite.")
        return
    if constant == 1:
        text = (
            f"{name}: every unit has one value for all examples: nothing gets through."
        )
        todo = _todo(found, "a smaller --lr", "smaller weights at the start")
        yield Finding("activations", ACT, text, todo)
    elif dead:
        text = f"{name}: {dead:.1%} of the units are flat for the whole batch (dead)."
        ways = "a smaller --lr", "--batchnorm hidden", "another --activation"
        todo = _todo(found, *ways)
        yield Finding("activations", ACT if dead > 0.1 else WATCH, text, todo)
    low, high, word = _bounds(kind)
    text = f"{name}: {share:.1%} of the values {word}"
    if share > high:
        ways = "a smaller --gain", "--init kaiming", "--batchnorm hidden"
        text = f"{text}: little gradient gets through."
        yield Finding("activations", ACT, text, _todo(found, *ways))
    elif share > low:
        todo = _todo(found, "a somewhat smaller --gain")
        yield Finding("activations", WATCH, f"{text}.", todo)
    elif std < 0.05 * (0.25 if kind == "sigmoid" else 1):
        text = f"{name}: std {std:.2g}, the signal dies out."
        todo = _todo(found, "a larger --gain", "--batchnorm hidden")
        yield Finding("activations", ACT, text, todo)
    else:
        yield Finding("activations", GOOD, f"{text}, std {std:.2f}.")


def _bounds(kind: str) -> tuple[float, float, str]:
    """Up to what share of flat values all is well, from what share not; their name."""
    if kind == "relu":
        return 0.8, 0.95, "are off"
    if kind.startswith("gelu"):
        return 0.6, 0.9, "are off"
    return 0.1, 0.25, "are saturated"


def _gradients(found: Gathered, lines: Sequence[Diagnosis]) -> Iterator[Finding]:
    last = lines[-1]
    names = [name for name in last["activations"] if name != "logits"]
    if not names:  # a table of logits has no layer
        return
    found_stds = [last["gradients"][name]["std"] for name in names]
    stds = [std for std in found_stds if std is not None]
    if len(stds) < len(names):
        text = "Some gradients are NaN or infinite."
        yield Finding("gradients", ACT, text, "A smaller --lr, or --clip 1.")
        return
    if min(stds) == 0:
        text = "The gradient of a layer is exactly zero: nothing before it learns."
        yield Finding("gradients", ACT, text, "Dead or saturated units: see above.")
        return
    ratio = stds[0] / stds[-1]
    text = f"The gradient's std is {stds[-1]:.2g} in the last hidden layer"
    if len(stds) > 1:
        text += f" and {ratio:.2g} times that in the first"
    if ratio > 10:
        ways = "a smaller --gain", "--batchnorm hidden", "--clip 1"
        todo = _todo(found, *ways, first="It explodes backwards: ")
    elif ratio < 0.1:
        ways = "a larger --gain", "--batchnorm hidden"
        todo = _todo(found, *ways, first="It vanishes backwards: ")
    else:
        yield Finding("gradients", GOOD, f"{text}: the layers learn alike.")
        return
    yield Finding("gradients", ACT, f"{text}.", todo)


def _updates(found: Gathered, lines: Sequence[Diagnosis]) -> Iterator[Finding]:
    """By the median over the time before the learning rate drops."""
    drop = found.config.get("lr_drop_at")
    drop = math.inf if drop is None else max(drop, 1)
    early = [line for line in lines if line["step"] < drop] or lines
    for name in (n for n in lines[-1]["parameters"] if n[0] == "W"):
        values = [line["parameters"][name]["update_data"] for line in early]
        values = [value for value in values if value is not None]
        if not values:
            text = f"{name} does not move at all, or its updates are not finite."
            yield Finding("updates", ACT, text, "Look at the gradients.")
            continue
        middle = statistics.median(values)
        text = f"{name}: update:data is 10^{middle:.1f} in the median"
        if middle > -1.5:
            yield Finding("updates", ACT, f"{text}, too fast.", "A smaller --lr.")
        elif middle > -2.3:
            yield Finding("updates", WATCH, f"{text}, fast.", "Perhaps a smaller --lr.")
        elif middle < -4:
            yield Finding("updates", WATCH, f"{text}, slow.", "A larger --lr.")
        else:
            yield Finding("updates", GOOD, f"{text}, near 10^-3.")


def _batchnorm(found: Gathered, lines: Sequence[Diagnosis]) -> Iterator[Finding]:
    for layer, gap in lines[-1]["batchnorm"].items():
        if gap["mean"] is None or gap["std"] is None:
            text = f"Layer {layer}: the running statistics are not finite."
            yield Finding("batchnorm", ACT, text, "Look at the activations.")
            continue
        text = (
            f"Layer {layer}: running means are {gap['mean']:.1%} of a std off, running "
            f"deviations {gap['std']:.1%}"
        )
        if max(gap["mean"], gap["std"]) > 0.25:
            todo = (
                "Evaluate with --bn calibrated, or train with a larger --bn-momentum."
            )
            yield Finding("batchnorm", WATCH, f"{text}: they lag.", todo)
        else:
            yield Finding("batchnorm", GOOD, f"{text}: they have converged.")


def _clipping(found: Gathered, lines: Sequence[Diagnosis]) -> Iterator[Finding]:
    share = lines[-1]["clipped"]
    norms = [line["grad_norm"] for line in lines if line["grad_norm"] is not None]
    if share is not None:
        text = f"Clipping acted at {share:.1%} of the steps"
        if share > 0.5:
            todo = "The limit acts as a learning rate: raise --clip, or lower --lr."
            yield Finding("clipping", WATCH, f"{text}.", todo)
        else:
            yield Finding("clipping", GOOD, f"{text}: it cuts off what sticks out.")
    elif norms and max(norms) > 10 * statistics.median(norms):
        text = f"The gradient's norm reached {max(norms):.3g}, ten times its median."
        yield Finding("clipping", WATCH, text, "--clip at a few times the median.")

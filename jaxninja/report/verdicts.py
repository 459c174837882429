"""Is it healthy, and what is to be done? Sentences made from a run's numbers.

The bounds are rules of thumb, most of them the lecture's; a finding states its number,
so that a reader can disagree.
"""

import math
import statistics
from collections.abc import Iterator, Sequence

from jaxninja.report import layers
from jaxninja.report.finding import ACT, GOOD, WATCH, Finding, todo
from jaxninja.report.gathered import Gathered
from jaxninja.report.layers import kind_of
from jaxninja.training.runs.schema import Diagnosis


def findings(found: Gathered) -> list[Finding]:
    """All that can be said from what a run has recorded, by topic."""
    said = list(_ending(found))
    if found.result is not None:
        said += _losses(found)
    said += layers.judge(found)
    if found.diagnostics:
        lines = found.diagnostics
        for judge in (_start, _gradients, _updates, _batchnorm, _clipping):
            said += judge(found, lines)
    return said


def _ending(found: Gathered) -> Iterator[Finding]:
    if found.failure is not None:
        text = f"The run could not go on: {found.failure.rstrip('.')}."
        yield Finding("loss", ACT, text, "Look below for the layer that grew first.")


def _losses(found: Gathered) -> Iterator[Finding]:
    assert found.result is not None
    train, val = found.result.get("train_loss"), found.result.get("val_loss")
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
        ways = "more data", "a smaller network"
        advice = todo(found, *ways, "--optimizer adamw with weight decay")
        yield Finding("loss", WATCH, f"{text}: the network overfits.", advice)
    else:
        yield Finding("loss", GOOD, f"{text}: it has hardly learned train by heart.")


def _start(found: Gathered, lines: Sequence[Diagnosis]) -> Iterator[Finding]:
    first, uniform = lines[0], math.log(len(found.vocabulary))
    if first["step"] != 0 or first["loss"] is None:
        return
    text = f"The loss starts at {first['loss']:.2f}; log V is {uniform:.2f}"
    if first["loss"] > 1.5 * uniform:
        advice = todo(found, "shrink the output layer's weights (--init kaiming)")
        yield Finding("start", ACT, f"{text}: confidently wrong.", advice)
    else:
        yield Finding("start", GOOD, f"{text}: no confidence without a reason.")


def _gradients(found: Gathered, lines: Sequence[Diagnosis]) -> Iterator[Finding]:
    last = lines[-1]
    names = [name for name in last["activations"] if name != "logits"]
    # of one kind: what a block computes inside has other gradients than its result
    names = [n for n in names if kind_of(found, n) == kind_of(found, names[-1])]
    if not names:  # a table of logits has no layer
        return
    found_stds = [last["gradients"][name]["std"] for name in names]
    stds = [std for std in found_stds if std is not None]
    if len(stds) < len(names):
        text = "Some gradients are NaN or infinite."
        advice = todo(found, "a smaller --lr", "--clip 1")
        yield Finding("gradients", ACT, text, advice)
        return
    if min(stds) == 0:
        text = "The gradient of a layer is exactly zero: nothing before it learns."
        yield Finding("gradients", ACT, text, "Dead or saturated units: see above.")
        return
    if len(stds) == 1:
        text = f"The gradient's std is {stds[0]:.2g} in the hidden layer."
        yield Finding("gradients", GOOD, text)
        return
    ratio = stds[0] / stds[-1]
    text = f"The gradient's std is {stds[-1]:.2g} in the last hidden layer"
    text += f" and {ratio:.2g} times that in the first"
    if ratio > 10:
        ways = "a smaller --gain", "--batchnorm hidden", "--clip 1"
        advice = todo(found, *ways, first="It explodes backwards: ")
    elif ratio < 0.1:
        ways = "a larger --gain", "--batchnorm hidden"
        advice = todo(found, *ways, first="It vanishes backwards: ")
    else:
        yield Finding("gradients", GOOD, f"{text}: the layers learn alike.")
        return
    yield Finding("gradients", ACT, f"{text}.", advice)


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
            advice = (
                "Evaluate with --bn calibrated, or train with a larger --bn-momentum."
            )
            yield Finding("batchnorm", WATCH, f"{text}: they lag.", advice)
        else:
            yield Finding("batchnorm", GOOD, f"{text}: they have converged.")


def _clipping(found: Gathered, lines: Sequence[Diagnosis]) -> Iterator[Finding]:
    share = lines[-1]["clipped"]
    norms = [line["grad_norm"] for line in lines if line["grad_norm"] is not None]
    if share is not None:
        text = f"Clipping acted at {share:.1%} of the steps"
        if share > 0.5:
            advice = "The limit acts as a learning rate: "
            raised = "" if found.failure else "raise --clip, or "  # it did not hold
            advice += f"{raised}lower --lr."
            yield Finding("clipping", WATCH, f"{text}.", advice)
        else:
            yield Finding("clipping", GOOD, f"{text}: it cuts off what sticks out.")
    elif norms and max(norms) > 10 * statistics.median(norms):
        text = f"The gradient's norm reached {max(norms):.3g}, ten times its median."
        yield Finding("clipping", WATCH, text, "--clip at a few times the median.")

"""What makes a configuration impossible: for each field what it must be, and why."""

import math
from typing import Any

from jaxninja.training.options.recipes import OPTIONS, takes

ROUTES = ("network", "rules", "autodiff")

# The lecture's network: all other values make another one.
LECTURE = {
    "layers": 1,
    "activation": "tanh",
    "batchnorm": "hidden",
    "init": "part4",
    "gain": None,
}

# What the kernel trains besides: its sizes are those of its source.
KERNEL = {
    "model": "ninja",
    "route": "network",
    "batch_size": 32,
    "context": 3,
    "embedding": 10,
    "hidden": 200,
    "optimizer": "sgd",
    "clip": None,
    "accumulate": 1,
    "dtype": "float32",
}
KERNEL_VOCABULARY = 27

INTERVALS = ("log_every", "eval_every", "checkpoint_every", "keep")
LONGEST = 10_000  # tokens to write: beyond the context each reads all of it anew
MOST = 1_000_000  # items or texts to invent at once
FLOAT32 = (1.2e-38, 3.4e38)  # a smaller number is computed with as 0
INT32 = 2**31 - 1  # the step is an integer of 32 bits, as are sizes
COUNTS = {
    "steps": (1, INT32),
    "lr_drop_at": (0, INT32),
    "batch_size": (1, INT32),
    "context": (1, INT32),
    "embedding": (1, INT32),
    "hidden": (1, INT32),
    "heads": (1, INT32),
    "multiple": (1, INT32),
    "accumulate": (1, INT32),
    "warmup": (0, INT32),
    "cosine": (0, INT32),
    "length": (1, LONGEST),
    "samples": (0, MOST),
    "layers": (1, 1_000),  # each is compiled on its own
}

Requirements = dict[str, tuple[bool, str]]  # field -> (does it hold, what is expected)


def is_lectures(config: Any) -> bool:
    """Is this the network of Part 4?"""
    same = all(getattr(config, name) == value for name, value in LECTURE.items())
    return config.model == "ninja" and same


def requirements(config: Any, choices: dict[str, tuple[str, ...]]) -> Requirements:
    """All that must hold; a field that is None has nothing to hold.

    Args:
        config: a TrainConfig of the right types.
        choices: field -> its values, of those with a few.
    """
    table = _ranges(config)
    for name, values in choices.items():
        table[name] = (getattr(config, name) in values, "one of " + ", ".join(values))
    table = {k: v for k, v in table.items() if getattr(config, k) is not None}
    return table | _of_the_model(config) | _together(config)


def _ranges(c: Any) -> Requirements:
    table = {name: (getattr(c, name) >= 1, "1 or more") for name in INTERVALS}
    for name in ("check_grads", "diagnose"):
        table[name] = (getattr(c, name) >= 0, "0 or more")
    for name, (least, most) in COUNTS.items():
        expected = f"{least} or more, at most {most:,}"
        table[name] = (_between(getattr(c, name), least, most), expected)
    for name in ("lr", "lr_drop", "eps", "gain", "clip"):
        expected = "a finite number above 0, of float32: 1.2e-38 to 3.4e38"
        table[name] = (_between(getattr(c, name), *FLOAT32), expected)
    expected = "a finite number, 0 or more"
    table["weight_decay"] = (0 <= c.weight_decay < math.inf, expected)
    table["lr_last"] = (0 <= c.lr_last <= 1, "0 or more and at most 1")
    table["beta2"] = (0 <= c.beta2 < 1, "0 or more and below 1")
    table["seed"] = (-(2**31) <= c.seed < 2**31, "an integer of 32 bits")
    table["ddof"] = (c.ddof in (0, 1), "0 (the paper) or 1 (the lecture)")
    table["running_ddof"] = (c.running_ddof in (0, 1), "0 (the paper) or 1 (unbiased)")
    table["bn_momentum"] = (_between(c.bn_momentum, 1e-300, 1), "above 0 and at most 1")
    return table


def _between(value: float | None, least: float, most: float) -> bool:
    return value is None or least <= value <= most


def _of_the_model(c: Any) -> Requirements:
    """Options that the model does not have, and sizes that do not go together."""
    has = takes(c.model)
    none = f"none: model {c.model} has only {', '.join(has)}"
    table = {
        name: (False, none)
        for name in OPTIONS
        if name not in has and getattr(c, name) is not None
    }
    if c.heads and "heads" in has and c.embedding % c.heads:
        expected = f"a divisor of embedding, which is {c.embedding}"
        table["heads"] = (False, expected)
    power = bool(c.context) and c.context >= 2 and not c.context & (c.context - 1)
    if c.model == "wavenet" and not power:
        table["context"] = (False, "a power of two, 2 or more: wavenet fuses pairs")
    return table


def _together(c: Any) -> Requirements:
    """What depends on more than one field."""
    is_file, lectures = c.route.endswith(".py"), is_lectures(c)
    expected = f"one of {', '.join(ROUTES)}, or the path of a .py file"
    table = {"route": (c.route in ROUTES or is_file, expected)}
    if c.model == "ninja" and (c.route == "network" or is_file) and not lectures:
        expected = (
            "rules or autodiff: the backward pass of a whole network by hand is "
            f"that of the lecture's, not of one with {_other_than(LECTURE, c)}"
        )
        table["route"] = (False, expected)
    elif is_file and not lectures and c.model != "transformer":
        expected = "network, rules or autodiff: a file is of ninja or transformer, not "
        expected += f"of {c.model}"
        table["route"] = (False, expected)
    if c.engine == "kernel" and (other := _other_than(KERNEL, c)):
        expected = (
            "xla: the kernel is for the lecture's network with its sizes and by sgd, "
            f"not for one with {other}"
        )
        table["engine"] = (False, expected)
    if c.dtype == "bfloat16" and c.model == "ninja" and not lectures:
        table["dtype"] = (False, "float32 for a network other than the lecture's")
    if c.cosine and c.cosine <= c.warmup:
        if c.cosine == c.steps:  # its default: it is the warmup that was given
            expected = f"fewer than {c.cosine}, the step at which the cosine ends"
            table["warmup"] = (False, expected)
        else:
            expected = f"0, or more than the {c.warmup} steps of warmup"
            table["cosine"] = (False, expected)
    if c.accumulate > 0 and c.batch_size % c.accumulate:
        expected = f"a divisor of batch_size, which is {c.batch_size}"
        table["accumulate"] = (False, expected)
    if c.normalises and c.accumulate > 1:
        expected = "1: batchnorm is over the whole batch"
        table["accumulate"] = (False, expected)
    if c.normalises and c.batch_size == 1 and 1 in (c.ddof, c.running_ddof):
        expected = "2 or more: with ddof 1 the variance of one example is 0 / 0"
        table["batch_size"] = (False, expected)
    return table


def _other_than(values: dict[str, Any], config: Any) -> str:
    """The fields that have other values than these, and which."""
    given = {name: getattr(config, name) for name in values}
    return ", ".join(f"{n} {v}" for n, v in given.items() if v != values[n])

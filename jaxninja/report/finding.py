"""A finding: one sentence about a run, how grave it is, and what to do about it."""

import re
from typing import NamedTuple

from jaxninja.report.gathered import Gathered
from jaxninja.training.options.recipes import OPTIONS, takes

GOOD, WATCH, ACT = LEVELS = "good", "watch", "act"  # from harmless to grave


class Finding(NamedTuple):
    """One sentence about a run: where it belongs, how grave, and what to do."""

    topic: str  # start, loss, activations, gradients, updates, batchnorm, clipping
    level: str  # good, watch or act
    text: str
    todo: str = ""


def todo(found: Gathered, *ways: str, first: str = "") -> str:
    """Ways out that the run's model has an option for, as a sentence after `first`."""
    has = takes(found.config.get("model", "ninja"))
    missing = {f"--{name.replace('_', '-')}" for name in OPTIONS if name not in has}
    ways = tuple(w for w in ways if not missing & set(re.findall("--[a-z-]+", w)))
    said = " or ".join([*([", ".join(ways[:-1])] if ways[1:] else []), *ways[-1:]])
    text = f"{first}{said}"
    return f"{text[0].upper()}{text[1:]}." if said else ""

"""A finding: one sentence about a run, how grave it is, and what to do about it."""

import re
from typing import Any, NamedTuple

from jaxninja.report.gathered import Gathered
from jaxninja.training.options.recipes import OPTIONS, takes
from jaxninja.training.steps import clip_helps

GOOD, WATCH, ACT = LEVELS = "good", "watch", "act"  # from harmless to grave


class Finding(NamedTuple):
    """One sentence about a run: where it belongs, how grave, and what to do."""

    topic: str  # start, loss, activations, gradients, updates, batchnorm, clipping
    level: str  # good, watch or act
    text: str
    todo: str = ""


def todo(found: Gathered, *ways: str, first: str = "") -> str:
    """Ways out that the run has not taken yet and its model has an option for, as a
    sentence after `first`."""
    has = takes(found.config.get("model", "ninja"))
    missing = {f"--{name.replace('_', '-')}" for name in OPTIONS if name not in has}
    taken = _taken(found.config)
    ways = tuple(w for w in ways if not missing & set(re.findall("--[a-z-]+", w)))
    ways = tuple(w for w in ways if not any(option in w for option in taken))
    said = " or ".join([*([", ".join(ways[:-1])] if ways[1:] else []), *ways[-1:]])
    text = f"{first}{said}"
    return f"{text[0].upper()}{text[1:]}." if said else ""


def _taken(config: dict[str, Any]) -> list[str]:
    """Options among the ways out that would change nothing of this run."""
    holds = {
        "--batchnorm hidden": config.get("batchnorm") in ("hidden", "all"),
        "--clip 1": not clip_helps(config.get("clip")),
        "--init kaiming": config.get("init") == "kaiming",
        "--optimizer adamw": config.get("optimizer") == "adamw",
    }
    return [option for option, held in holds.items() if held]

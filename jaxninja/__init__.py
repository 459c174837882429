"""Backward passes derived by hand, certified against autodiff.

Importing the package imports nothing heavy: names are looked up on first use (PEP 562).
"""

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.2.0"

# public name -> the module that defines it
_PUBLIC = {
    "RULES": "jaxninja.rules",
    "Case": "jaxninja.rule",
    "Rule": "jaxninja.rule",
    "Run": "jaxninja.training.runs.run",
    "TrainConfig": "jaxninja.training.config",
    "assert_vjp": "jaxninja.check",
    "autodiff": "jaxninja.rules",
    "both": "jaxninja.rules.both_modes",
    "check_steps": "jaxninja.check",
    "check_vjp": "jaxninja.check",
    "cmp": "jaxninja.workbook.closeness",
    "compare_grads": "jaxninja.check",
    "load": "jaxninja.training.runs.loading",
    "manual": "jaxninja.rules",
    "named_values": "jaxninja.intermediates.gradients",
    "residuals_of": "jaxninja.check.subject.kept_arrays",
    "retain_grads": "jaxninja.intermediates.gradients",
    "train": "jaxninja.training.loop",
    "watch": "jaxninja.intermediates.statistics",
}

__all__ = [*_PUBLIC, "__version__"]

if TYPE_CHECKING:
    from jaxninja.check import assert_vjp, check_steps, check_vjp, compare_grads  # noqa: F401
    from jaxninja.check.subject.kept_arrays import residuals_of  # noqa: F401
    from jaxninja.intermediates.gradients import named_values, retain_grads  # noqa: F401
    from jaxninja.intermediates.statistics import watch  # noqa: F401
    from jaxninja.rule import Case, Rule  # noqa: F401
    from jaxninja.rules import RULES, autodiff, manual  # noqa: F401
    from jaxninja.rules.both_modes import both  # noqa: F401
    from jaxninja.training.config import TrainConfig  # noqa: F401
    from jaxninja.training.loop import train  # noqa: F401
    from jaxninja.training.runs.loading import load  # noqa: F401
    from jaxninja.training.runs.run import Run  # noqa: F401
    from jaxninja.workbook.closeness import cmp  # noqa: F401


def __getattr__(name: str) -> Any:
    if name in _PUBLIC:
        return getattr(importlib.import_module(_PUBLIC[name]), name)
    raise AttributeError(f"module 'jaxninja' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)

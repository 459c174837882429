"""Is a hand-written backward pass right? Data only; the command line prints it."""

from jaxninja.check.chain import Step, Steps, check_steps
from jaxninja.check.checker import assert_vjp, check_vjp
from jaxninja.check.compare import Comparison, compare_grads
from jaxninja.check.errors import VJPCheckError
from jaxninja.check.evidence import Evidence, Sample
from jaxninja.check.hints import Hint
from jaxninja.check.records import Coverage, Finding, Leaf, Residuals
from jaxninja.check.report import Report

__all__ = [
    "Comparison",
    "Coverage",
    "Evidence",
    "Finding",
    "Hint",
    "Leaf",
    "Report",
    "Residuals",
    "Sample",
    "Step",
    "Steps",
    "VJPCheckError",
    "assert_vjp",
    "check_steps",
    "check_vjp",
    "compare_grads",
]

"""The catalogue of rules by topic, and two namespaces made from it.

`manual.batchnorm` is the op with the hand-derived backward pass, `autodiff.batchnorm`
the same plain forward left to `jax.grad`. A model takes either as its `ops` argument.
`from jaxninja.rules import batchnorm` is `manual.batchnorm`.
"""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from jaxninja.rule import Rule
from jaxninja.rules import (
    activations,
    basic,
    convolution,
    losses,
    normalisation,
    sequence,
    solvers,
)

RULES: tuple[Rule, ...] = (
    *basic.RULES,
    *normalisation.RULES,
    *activations.RULES,
    *losses.RULES,
    *convolution.RULES,
    *sequence.RULES,
    *solvers.RULES,
)

manual = SimpleNamespace(**{rule.name: rule.op for rule in RULES})
autodiff = SimpleNamespace(**{rule.name: rule.reference for rule in RULES})


def __getattr__(name: str) -> Callable[..., Any]:
    try:
        return getattr(manual, name)
    except AttributeError:
        raise AttributeError(f"jaxninja.rules has no rule {name!r}") from None


def __dir__() -> list[str]:
    return [*globals(), *vars(manual)]

"""Mutation operators on a whole rule: its forward value, its options, its dtypes.

Each takes the correct Rule and returns a wrong one, or None where it has no place.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import wraps
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxninja.rule import Rule


class RuleOperator(NamedTuple):
    name: str
    change: Callable[[Rule], Rule | None]
    truth: str


def _with_fwd(rule: Rule, after) -> Rule:
    @wraps(rule.fwd)
    def fwd(*args):
        return after(*rule.fwd(*args))

    return replace(rule, fwd=fwd)


def forward_negated(rule: Rule) -> Rule:
    return _with_fwd(rule, lambda y, res: (jax.tree.map(jnp.negative, y), res))


def forward_off(rule: Rule) -> Rule:
    """One per cent too large: nobody sees it in a loss curve."""
    return _with_fwd(rule, lambda y, res: (jax.tree.map(lambda a: 1.01 * a, y), res))


def forward_first_off(rule: Rule) -> Rule:
    def spoil(y, res):
        return jax.tree.map(lambda a: a.at[(0,) * a.ndim].multiply(1.5), y), res

    return _with_fwd(rule, spoil)


def narrow_gradients(rule: Rule) -> Rule:
    """Gradients of a lower precision than their arguments', which JAX accepts."""

    @wraps(rule.bwd)
    def bwd(*args):
        low = {jnp.dtype("float64"): jnp.float32, jnp.dtype("float32"): jnp.bfloat16}
        return jax.tree.map(
            lambda a: a.astype(low.get(a.dtype, a.dtype)), rule.bwd(*args)
        )

    return replace(rule, bwd=bwd)


def _options(rule: Rule) -> tuple[str, ...]:
    return rule.arguments[len(rule.arguments) - len(rule.cases[0].static) :]


def without_eps(rule: Rule) -> Rule | None:
    """Residuals as if eps were 0, though the value has it."""
    names = _options(rule)
    if "eps" not in names:
        return None
    place = names.index("eps") - len(names)

    @wraps(rule.fwd)
    def fwd(*args):
        bare = list(args)
        bare[place] = 0.0
        return rule.fwd(*args)[0], rule.fwd(*bare)[1]

    return replace(rule, fwd=fwd)


def option_ignored(rule: Rule) -> Rule | None:
    """The backward uses a constant in place of its first static option."""
    if not rule.cases[0].static:
        return None
    first = rule.cases[0].static[0]
    if isinstance(first, int):
        return None  # a wrong integer option changes shapes or is tried as ddof below

    @wraps(rule.bwd)
    def bwd(option, *args):
        return rule.bwd(0.7 * option, *args)

    return replace(rule, bwd=bwd)


def other_ddof(rule: Rule) -> Rule | None:
    names = _options(rule)
    if "ddof" not in names:
        return None
    place = names.index("ddof")

    @wraps(rule.bwd)
    def bwd(*args):
        changed = list(args)
        changed[place] = 1 - changed[place]
        return rule.bwd(*changed)

    return replace(rule, bwd=bwd)


RULE_OPERATORS = (
    RuleOperator("forward negated", forward_negated, "forward"),
    RuleOperator("forward one per cent off", forward_off, "forward"),
    RuleOperator("forward's first entry off", forward_first_off, "forward"),
    RuleOperator("gradients of lower precision", narrow_gradients, "dtype"),
    RuleOperator("eps dropped", without_eps, "eps"),
    RuleOperator("option ignored", option_ignored, "option"),
    RuleOperator("other ddof", other_ddof, "option"),
)

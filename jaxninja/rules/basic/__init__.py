"""Layers that every network has, and small ones of one line."""

from jaxninja.rule import Rule
from jaxninja.rules.basic import (
    cumsum,
    dropout,
    embedding,
    linear,
    straight_through_round,
    top_k_gate,
)

RULES: tuple[Rule, ...] = (
    embedding.rule,
    linear.rule,
    dropout.rule,
    cumsum.rule,
    top_k_gate.rule,
    straight_through_round.rule,
)

"""Layers along a sequence: attention and what goes with it."""

from jaxninja.rule import Rule
from jaxninja.rules.sequence import attention, attention_bias, rope

RULES: tuple[Rule, ...] = (attention.rule, attention_bias.rule, rope.rule)

"""Layers that every network has, and small ones of one line."""

from jaxninja.rule import Rule
from jaxninja.rules.basic import embedding, linear

RULES: tuple[Rule, ...] = (embedding.rule, linear.rule)

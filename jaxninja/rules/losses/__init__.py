"""What training makes small: losses, and the similarities that they are made of."""

from jaxninja.rule import Rule
from jaxninja.rules.losses import cross_entropy, linear_cross_entropy

RULES: tuple[Rule, ...] = (cross_entropy.rule, linear_cross_entropy.rule)

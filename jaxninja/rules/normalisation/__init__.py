"""Layers that give their input a standard mean, variance or length."""

from jaxninja.rule import Rule
from jaxninja.rules.normalisation import (
    batchnorm,
    groupnorm,
    l2_normalise,
    layernorm,
    rmsnorm,
)

RULES: tuple[Rule, ...] = (
    batchnorm.rule,
    layernorm.rule,
    groupnorm.rule,
    rmsnorm.rule,
    l2_normalise.rule,
)

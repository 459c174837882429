"""Layers that give their input a standard mean, variance or length."""

from jaxninja.rule import Rule
from jaxninja.rules.normalisation import batchnorm

RULES: tuple[Rule, ...] = (batchnorm.rule,)

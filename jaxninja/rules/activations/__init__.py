"""Elementwise nonlinearities, gated units, and softmax with its kin."""

from jaxninja.rule import Rule
from jaxninja.rules.activations import gelu, relu, sigmoid, tanh

RULES: tuple[Rule, ...] = (tanh.rule, relu.rule, sigmoid.rule, gelu.rule)

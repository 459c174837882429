"""Layers over neighbourhoods: convolutions and pooling, channels last."""

from jaxninja.rule import Rule
from jaxninja.rules.convolution import (
    avgpool2d,
    causal_conv1d,
    conv1d,
    conv2d,
    maxpool2d,
)

RULES: tuple[Rule, ...] = (
    conv1d.rule,
    conv2d.rule,
    causal_conv1d.rule,
    maxpool2d.rule,
    avgpool2d.rule,
)

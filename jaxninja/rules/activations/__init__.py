"""Elementwise nonlinearities, gated units, and softmax with its kin."""

from jaxninja.rule import Rule
from jaxninja.rules.activations import (
    geglu,
    gelu,
    leaky_relu,
    log_softmax,
    logsumexp,
    relu,
    sigmoid,
    silu,
    softmax,
    softplus,
    squared_relu,
    swiglu,
    tanh,
)

RULES: tuple[Rule, ...] = (
    tanh.rule,
    relu.rule,
    sigmoid.rule,
    gelu.rule,
    silu.rule,
    softplus.rule,
    leaky_relu.rule,
    squared_relu.rule,
    swiglu.rule,
    geglu.rule,
    softmax.rule,
    log_softmax.rule,
    logsumexp.rule,
)

"""The catalogue of rules, and two namespaces made from it.

`manual.batchnorm` is the op with the hand-derived backward pass, `autodiff.batchnorm`
the same plain forward left to `jax.grad`. A model takes either as its `ops` argument.
"""

from types import SimpleNamespace

from jaxninja.rule import Rule
from jaxninja.rules import (
    batchnorm,
    cross_entropy,
    embedding,
    gelu,
    linear,
    linear_cross_entropy,
    relu,
    sigmoid,
    tanh,
)

RULES: tuple[Rule, ...] = (
    embedding.rule,
    linear.rule,
    batchnorm.rule,
    tanh.rule,
    relu.rule,
    sigmoid.rule,
    gelu.rule,
    cross_entropy.rule,
    linear_cross_entropy.rule,
)

manual = SimpleNamespace(**{rule.name: rule.op for rule in RULES})
autodiff = SimpleNamespace(**{rule.name: rule.reference for rule in RULES})

"""What training makes small: losses, and the similarities that they are made of."""

from jaxninja.rule import Rule
from jaxninja.rules.losses import (
    binary_cross_entropy,
    contrastive,
    cosine_similarity,
    cross_entropy,
    hinge,
    huber,
    kl_divergence,
    linear_cross_entropy,
    mse,
)

RULES: tuple[Rule, ...] = (
    cross_entropy.rule,
    linear_cross_entropy.rule,
    mse.rule,
    huber.rule,
    binary_cross_entropy.rule,
    kl_divergence.rule,
    contrastive.rule,
    hinge.rule,
    cosine_similarity.rule,
)

"""What the models have in common: the types of their parts."""

from jaxtyping import Array

Params = dict[str, Array]
# mean and variance [H] of each batchnorm: of a batch, running, or of the training set
Statistics = dict[str, Array]


def unnamed(x: Array, name: str) -> Array:
    """What a model's `loss` does with an intermediate and its name: nothing."""
    return x

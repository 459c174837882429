"""What the models have in common: the types of their parts, and a layer in a dtype."""

from types import SimpleNamespace

from jaxtyping import Array

Params = dict[str, Array]
# mean and variance [H] of each batchnorm: of a batch, running, or of the training set
Statistics = dict[str, Array]


def unnamed(x: Array, name: str) -> Array:
    """What a model's `loss` does with an intermediate and its name: nothing."""
    return x


def in_dtype(x: Array, dtype: str) -> Array:
    """x in bfloat16, or for `dtype` float32 as it is: float64 stays what it is."""
    return x if dtype == "float32" else x.astype(dtype)


def linear(ops: SimpleNamespace, x: Array, W: Array, b: Array, dtype: str) -> Array:
    """x @ W + b with the product in `dtype`, and the result in the type of x again."""
    arrays = (in_dtype(a, dtype) for a in (x, W, b))
    return ops.linear(*arrays).astype(x.dtype)

"""makemore's bigram: a table of logits for the symbol that follows each symbol.

    ids [N, T] -> rows of the table [N, T, V] -> cross entropy

With all of a text as one batch the best table is known: the logarithm of how often each
pair occurs, and its loss the entropy of these counts. Descent gets there too.
"""

from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jaxninja.models.parts import Params, Statistics, unnamed
from jaxninja.models.parts.sequences import mean_loss
from jaxninja.rules import manual


@dataclass(frozen=True)
class Bigram:
    """Sizes; any context will do, as one symbol is all that is looked at.

    There is no matrix product in it that could be taken in another `dtype`.
    """

    vocabulary: int = 27
    context: int = 16
    dtype: str = "float32"


def init(key: Array, model: Bigram) -> Params:
    """makemore.py's: zeros, so that the loss begins at log V. The key is not used."""
    return {"W": jnp.zeros((model.vocabulary, model.vocabulary))}


def loss(
    params: Params,
    ids: Int[Array, "N T"],
    labels: Int[Array, "N T"],
    model: Bigram,
    ops: SimpleNamespace = manual,
    name: Callable[..., Any] = unnamed,
) -> tuple[Float[Array, ""], Statistics]:
    """Mean cross entropy in nats on a batch of items, and {}: it has no statistics.

    Arguments as in `parts.sequences`; labels of -1 do not count.
    """
    logits = name(ops.embedding(params["W"], ids), "logits")
    return name(mean_loss(logits, labels, ops), "loss"), {}


def apply(
    params: Params, statistics: Statistics, ids: Int[Array, "N T"], model: Bigram
) -> Float[Array, "N T V"]:
    """Logits of the symbol after each symbol."""
    return params["W"][ids]


def activations(model: Bigram) -> dict[str, str]:
    """None: a table has no activation function."""
    return {}

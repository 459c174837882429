"""What the sequence models have in common: the loss of a batch of whole items.

A sequence model reads an item from its beginning and predicts each of its symbols, and
then its end. Items of one batch differ in length, so their rows are padded:

    ids     0 a n n a 0 0 0         0 stands for the beginning, and fills the row
    labels  a n n a 0 . . .         0 stands for the end; . is IGNORED, and counts not

Each of these models has `loss(params, ids, labels, model, ops, name)`:

    params  as made by the model's `init`
    ids     [N, T], labels [N, T], as above
    model   sizes and constants
    ops     the rules to compose: `manual`, or `autodiff`, left to `jax.grad`
    name    called with each intermediate and its name, and returns it; give
            `jax.ad_checkpoint.checkpoint_name` to read their gradients

Source: Karpathy's makemore.py.
"""

from types import SimpleNamespace

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jaxninja.errors import ArgumentError
from jaxninja.rules import manual

IGNORED = -1  # label of a place behind the end of an item


def mean_loss(
    logits: Float[Array, "N T V"],
    labels: Int[Array, "N T"],
    ops: SimpleNamespace = manual,
) -> Float[Array, ""]:
    """Mean cross entropy in nats over all places of the batch that have a label.

    An item of five symbols weighs twice what one of two does: 6 places to 3. With no
    label at all it is 0.
    """
    flat = logits.reshape(-1, logits.shape[-1])
    return ops.cross_entropy(flat, labels.reshape(-1), IGNORED)


def check_length(
    model: str, ids: Int[Array, "N T"] | jax.ShapeDtypeStruct, most: int
) -> None:
    """Refuse rows that are longer than a model has places for.

    Raises:
        ValueError: T is above `most`.
    """
    if ids.shape[1] > most:
        raise ArgumentError(
            f"{model}: ids are of shape {ids.shape}, expected at most {most} symbols "
            f"a row, the model's context"
        )


def recording_attention(
    ops: SimpleNamespace,
) -> tuple[SimpleNamespace, list[Float[Array, "N H T T"]]]:
    """The same operations, and a list to which each causal attention adds its maps."""
    maps = []

    def attention(q, k, v, *options):
        scores = jnp.einsum("nthd,nshd->nhts", q, k) / q.shape[-1] ** 0.5
        seen = jnp.tril(jnp.ones(scores.shape[-2:], bool))
        maps.append(jax.nn.softmax(jnp.where(seen, scores, -jnp.inf), -1))
        return ops.attention(q, k, v, *options)

    return SimpleNamespace(**{**vars(ops), "attention": attention}), maps

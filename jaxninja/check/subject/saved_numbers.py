"""Numbers of Python that a forward keeps for its backward, `x.shape` say.

JAX hands them on as they are, under jit, vmap and scan too, so that a backward may
build a shape of them. As leaves of a pytree they would become arrays wherever the
checker traces between forward and backward; as nodes without leaves they do not.
"""

from typing import Any

import jax
import numpy as np

NUMBERS = (bool, int, float, complex, np.generic)


@jax.tree_util.register_pytree_node_class
class Fixed:
    """A number as a node without leaves; equal by its digits, so that NaN is itself."""

    def __init__(self, value: Any):
        self.value = value
        self.key = type(value), repr(value)

    def tree_flatten(self):
        return (), self

    @classmethod
    def tree_unflatten(cls, fixed: "Fixed", _):
        return fixed

    def __eq__(self, other) -> bool:
        return isinstance(other, Fixed) and self.key == other.key

    def __hash__(self) -> int:
        return hash(self.key)


def fixed(residuals):
    """Residuals with their numbers as nodes."""
    if not any(isinstance(leaf, NUMBERS) for leaf in jax.tree.leaves(residuals)):
        return residuals
    return jax.tree.map(
        lambda leaf: Fixed(leaf) if isinstance(leaf, NUMBERS) else leaf, residuals
    )


def given_back(residuals):
    """Residuals as the forward returned them."""
    leaves = jax.tree.leaves(residuals, is_leaf=_is_fixed)
    if not any(map(_is_fixed, leaves)):
        return residuals
    return jax.tree.map(
        lambda leaf: leaf.value if _is_fixed(leaf) else leaf,
        residuals,
        is_leaf=_is_fixed,
    )


def _is_fixed(leaf) -> bool:
    return isinstance(leaf, Fixed)

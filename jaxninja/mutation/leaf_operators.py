"""Mutation operators on whole arrays: the cotangent, a residual, a returned gradient.

Each takes the list of arrays and a leaf number and returns the changed list, or None
where it does not apply at these shapes.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax.numpy as jnp
from jax import lax


class LeafOperator(NamedTuple):
    name: str
    change: Callable[..., Any]  # change(leaves, leaf=number)
    truth: str


def on_leaf(f):
    """Make a function of one array one of the leaves, with a leaf number."""

    def change(leaves, leaf):
        new = f(leaves[leaf])
        return None if new is None else [*leaves[:leaf], new, *leaves[leaf + 1 :]]

    return change


def on_all(f):
    """The same function on each floating-point array: a cotangent has no favourite."""

    def change(leaves, leaf):
        del leaf
        return [f(a) for a in leaves]

    return change


def swapped(leaves, leaf):
    """Exchange with the next leaf of the same shape."""
    mine = leaves[leaf]
    for other in range(leaf + 1, len(leaves)):
        theirs = leaves[other]
        if theirs.shape == mine.shape and theirs.dtype == mine.dtype:
            changed = list(leaves)
            changed[leaf], changed[other] = theirs, mine
            return changed
    return None


def transposed(a):
    square = a.ndim >= 2 and a.shape[-1] == a.shape[-2]
    return jnp.swapaxes(a, -1, -2) if square else None


def rolled(a):
    return jnp.roll(a, 1, 0) if a.ndim and a.shape[0] > 1 else None


def without_first(a):
    return a.at[(0,) * a.ndim].set(0) if a.size > 1 else None


def without_last_row(a):
    return a.at[-1].set(0) if a.ndim and a.shape[0] > 1 else None


def averaged(a):
    """The mean over the rows in each row."""
    return jnp.broadcast_to(a.mean(0), a.shape) if a.ndim and a.shape[0] > 1 else None


def times_rows(a, power):
    return a * a.shape[0] ** power if a.ndim and a.shape[0] > 1 else None


def bessel(a):
    n = a.shape[0] if a.ndim else 1
    return a * n / (n - 1) if n > 1 else None


def first_for_all(g):
    return jnp.broadcast_to(g.ravel()[0], g.shape)


def bf16(a):
    return a.astype(jnp.bfloat16).astype(a.dtype)


def normalised(g):
    return g / (abs(g).max() + 1e-30)


OUTPUT_OPERATORS = (
    LeafOperator("gradient doubled", on_leaf(lambda a: 2 * a), "ratio"),
    LeafOperator("gradient halved", on_leaf(lambda a: a / 2), "ratio"),
    LeafOperator("gradient negated", on_leaf(jnp.negative), "sign"),
    LeafOperator("gradient times n", on_leaf(partial(times_rows, power=1)), "ratio"),
    LeafOperator("gradient over n", on_leaf(partial(times_rows, power=-1)), "ratio"),
    LeafOperator("gradient times n/(n-1)", on_leaf(bessel), "ratio"),
    LeafOperator("gradient zero", on_leaf(jnp.zeros_like), "zero"),
    LeafOperator("gradient transposed", on_leaf(transposed), "transpose"),
    LeafOperator("gradients swapped", swapped, "swap"),
    LeafOperator("gradient rolled", on_leaf(rolled), "index"),
    LeafOperator("one element zero", on_leaf(without_first), "index"),
    LeafOperator("last row zero", on_leaf(without_last_row), "index"),
    LeafOperator("rows averaged", on_leaf(averaged), "sum"),
    LeafOperator("constant added", on_leaf(lambda a: a + 0.01), "affine"),
)

RESIDUAL_OPERATORS = (
    LeafOperator("residuals swapped", swapped, "residual"),
    LeafOperator("residual rolled", on_leaf(rolled), "residual"),
    LeafOperator("residual in bfloat16", on_leaf(bf16), "precision"),
    LeafOperator("residual scaled", on_leaf(lambda a: 1.1 * a), "residual"),
)

COTANGENT_OPERATORS = (
    LeafOperator("g ignored", on_all(jnp.ones_like), "cotangent"),
    LeafOperator("g squared", on_all(lambda g: g * g), "cotangent"),
    LeafOperator("|g|", on_all(abs), "cotangent"),
    LeafOperator("relu(g)", on_all(lambda g: jnp.maximum(g, 0)), "cotangent"),
    LeafOperator("clip(g)", on_all(lambda g: jnp.clip(g, -1, 1)), "cotangent"),
    LeafOperator("sign(g)", on_all(jnp.sign), "cotangent"),
    LeafOperator("g normalised", on_all(normalised), "cotangent"),
    LeafOperator("g[0] for all", on_all(first_for_all), "cotangent"),
    LeafOperator("mean(g) for all", on_all(lambda g: jnp.full_like(g, 0) + g.mean()),
                 "cotangent"),
    LeafOperator("g in bfloat16", on_all(bf16), "precision"),
)  # fmt: skip

ONE_COTANGENT_OPERATORS = (
    LeafOperator("one output's g ignored", on_leaf(jnp.zeros_like), "cotangent"),
    LeafOperator("outputs' g swapped", swapped, "cotangent"),
)

SECOND_ORDER_OPERATORS = (
    LeafOperator("residual detached", on_leaf(lax.stop_gradient), "second order"),
)

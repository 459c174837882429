"""Gated linear units: one half of the features opens and shuts the other half.

    y = f(gate) up                                           elementwise, f a function

swiglu has f = silu, geglu f = gelu; everything else they share. Perturb both; y moves,
by the product rule, by

    dy = f'(gate) up dgate + f(gate) dup

Elementwise, so either Jacobian is diagonal and its own transpose:

    dgate = f'(gate) up dy                   dup = f(gate) dy

gate and up are kept. f and f' are computed anew: they share most of their work, and
autodiff would keep them both, and what they are made of.

Check: where f(gate) is 0 and flat (gate -> -inf) nothing passes: the gate is shut. With
f the identity this is the bilinear unit y = gate up, dgate = up dy, dup = gate dy.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxninja.rule import expect, expect_floats


class Residuals(NamedTuple):
    gate: jax.Array  # [*shape]
    up: jax.Array  # [*shape]; f(gate) is computed anew


def check_arguments(op, gate, up):
    """Both of the same shape and of one floating-point type."""
    expect_floats(op, gate=gate, up=up)
    shape = jnp.shape(gate)
    given, same = f"of shape {jnp.shape(up)}", jnp.shape(up) == shape
    expect(op, "up", given, f"{shape}, as gate is", same)


def backward(value_and_slope, res, dy):
    """Returns dgate, dup [*shape]; value_and_slope(gate) -> f(gate), f'(gate)."""
    value, slope = value_and_slope(res.gate)
    return slope * res.up * dy, value * dy


def forward_mode(value_and_slope, primals, tangents):
    """Returns y and its move dy [*shape] for moves of gate and up."""
    (gate, up), (dgate, dup) = primals, tangents
    value, slope = value_and_slope(gate)
    return value * up, slope * up * dgate + value * dup


def example(key, N, D):
    key_gate, key_up = jax.random.split(key)
    gate = 1.5 * jax.random.normal(key_gate, (N, D))
    return gate, 0.3 + jax.random.normal(key_up, (N, D))

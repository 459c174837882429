"""Attention by its definition: what its arguments must be, and all scores at once.

The plain form is what `jax.grad` differentiates to judge the rules.
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxninja.rule import expect, expect_floats, wide_type


class Options(NamedTuple):
    """The static arguments, together."""

    causal: bool
    window: int | None
    scale: float | None
    softcap: float | None


def defined(q, k, v, bias, options):
    """y [B, T, H, E] by way of the scores z [B, K, H / K, T, S]."""
    (B, T, H, D), (S, K) = q.shape, k.shape[1:3]
    q = q.reshape(B, T, K, H // K, D)
    z = jnp.einsum("btkgd,bskd->bkgts", q, k, preferred_element_type=wide_type(q))
    z *= 1 / math.sqrt(D) if options.scale is None else options.scale
    if options.softcap is not None:
        z = options.softcap * jnp.tanh(z / options.softcap)
    seen = _by_distance(T, S, options)[None, None, None]
    if bias is not None:
        b, h, t, s = bias.shape
        bias = bias.reshape((b, 1, 1, t, s) if h == 1 else (b, K, H // K, t, s))
        is_mask = bias.dtype == bool
        seen = seen & (bias if is_mask else bias > -jnp.inf)
        z = z if is_mask else z + bias.astype(z.dtype)
    some = seen.any(-1, keepdims=True)  # a softmax over nothing would be 0 / 0
    p = jax.nn.softmax(jnp.where(seen | ~some, z, -jnp.inf)).astype(v.dtype)
    y = jnp.einsum("bkgts,bske->bkgte", p, v, preferred_element_type=wide_type(q))
    y = jnp.where(some, y, 0).transpose(0, 3, 1, 2, 4)
    return y.reshape(B, T, H, -1).astype(q.dtype)


def _by_distance(T, S, options):
    """[T, S]: which key s query t sees."""
    distance = jnp.arange(T)[:, None] - jnp.arange(S)[None]
    seen = jnp.full((T, S), True)
    if options.causal:
        seen &= distance >= 0
    if options.window is not None:
        seen &= abs(distance) < options.window
    return seen


def check_arguments(op, q, k, v, options):
    """Checks the arguments of attention: ValueError, in a line, if they do not fit."""

    def shape(name, array, expected, fits):
        expect(op, name, f"of shape {array.shape}", expected, fits)

    def option(name, value, expected, fits):
        expect(op, name, repr(value), expected, fits)

    shape("q", q, "[B, T, H, D], not empty", q.ndim == 4 and q.size > 0)
    B, _, H, D = q.shape
    fits = k.ndim == 4 and k.size > 0 and (k.shape[0], k.shape[3]) == (B, D)
    shape("k", k, f"[{B}, S, K, {D}], as q is {q.shape}", fits)
    S, K = k.shape[1:3]
    divides = H % K == 0
    shape("k", k, f"a number of heads that divides {H}, as q is {q.shape}", divides)
    fits = v.ndim == 4 and v.size > 0 and v.shape[:3] == (B, S, K)
    shape("v", v, f"[{B}, {S}, {K}, E], as k is {k.shape}", fits)
    expect_floats(op, q=q, k=k, v=v)
    causal, window, scale, cap = options
    option("causal", causal, "True or False", isinstance(causal, bool))
    whole = window is None or (isinstance(window, int) and window >= 1)
    option("window", window, "None, or a whole number from 1 on", whole)
    option(
        "scale", scale, "None or a finite number", scale is None or _is_number(scale)
    )
    above = cap is None or (_is_number(cap) and cap > 0)
    option("softcap", cap, "None or a finite number above 0", above)


def check_bias(op, q, k, bias):
    """The same of a bias or mask, which must broadcast to [B, H, T, S]."""
    full = (q.shape[0], q.shape[2], q.shape[1], k.shape[1])
    last = full[4 - bias.ndim :] if bias.ndim <= 4 else ()
    pairs = zip(bias.shape, last, strict=False)
    fits = bias.ndim <= 4 and all(given in (1, n) for given, n in pairs)
    expected = f"what broadcasts to [B, H, T, S] = {list(full)}"
    expect(op, "bias", f"of shape {bias.shape}", expected, fits)
    typed = bias.dtype == bool or jnp.issubdtype(bias.dtype, jnp.floating)
    expect(op, "bias", f"of type {bias.dtype}", "a float type or booleans", typed)


def _is_number(value) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)

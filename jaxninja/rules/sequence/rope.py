"""Rotary position embedding: pairs of features, turned by an angle of the position.

    a[t, i] = positions[t] base^(-2 i / D)                          i = 0, ..., D/2 - 1
    y1 = x1 cos a - x2 sin a            y2 = x2 cos a + x1 sin a

where (x1, x2) is feature i with i + D/2, or feature 2 i with 2 i + 1 (interleaved): the
complex number x1 + i x2, times e^(i a). Perturb x and the angle:

    dy1 = dx1 cos a - dx2 sin a - y2 da         dy2 = dx2 cos a + dx1 sin a + y1 da

A rotation is orthogonal: its transpose turns back, by -a, and needs nothing of x.

    dx = the same with -a               da = y1 dy2 - y2 dy1
    dpositions[t] = sum_i base^(-2 i / D) da, over the heads too

The last counts only for positions that are floats (stretched ones, say). For them x is
kept: y1 dy2 - y2 dy1 = x1 dx2 - x2 dx1, as a cross product is the same turned or not.

Check: position 0 leaves x as it is. The scores q . k of two vectors turned by t and s
depend on t - s alone: R(t)^T R(s) = R(s - t).
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Num

from jaxninja.rule import Case, Rule, expect, expect_floats, wide


class Residuals(NamedTuple):
    positions: jax.Array  # [T] or [B, T]; cos and sin are made again
    x: jax.Array | None  # [B, T, H, D] where positions have a gradient, else None


@partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def rope(
    x: Float[Array, "B T H D"],
    positions: Num[Array, "T"] | Num[Array, "B T"],
    base: float = 10000.0,
    interleaved: bool = False,
) -> Float[Array, "B T H D"]:
    """Turn each pair of features by position base^(-2 i / D) radians; smooth.

    Args:
        x: [B, T, H, D], D even: queries or keys before attention.
        positions: [T] or [B, T], integers, or floats, which then have a gradient.
        base: of the wavelengths, which go from 2 pi to about 2 pi base positions.
        interleaved: pairs are features (2 i, 2 i + 1) as in the paper, instead of
            (i, i + D / 2) as in GPT-NeoX and Llama.

    Returns:
        [B, T, H, D] in the type of x; angles are computed in float32 or better.

    Raises:
        ValueError: shapes or types do not fit, D is odd, or base is not above 1.

    Source: Su et al. 2021, arXiv:2104.09864.
    """
    return rope_fwd(x, positions, base, interleaved)[0]


def rope_fwd(x, positions, base, interleaved):
    _check_arguments(x, positions, base, interleaved)
    angles = _angles(x, positions, base)
    y = _turned(x, jnp.cos(angles), jnp.sin(angles), interleaved)
    return y, Residuals(positions, x if _is_float(positions) else None)


def rope_bwd(base, interleaved, res, dy):
    """Returns dx [B, T, H, D] and, if positions are floats, dpositions, else None."""
    positions, x = res
    angles = _angles(dy, positions, base)  # as in the forward pass: found once by XLA
    dx = _turned(dy, jnp.cos(angles), -jnp.sin(angles), interleaved)
    if x is None:
        return dx, None
    (x1, x2), (dx1, dx2) = _pairs(x, interleaved), _pairs(dx, interleaved)
    da = (x1 * dx2 - x2 * dx1).sum(2)
    dpositions = (da * _frequencies(da, base)).sum(-1)
    dpositions = dpositions if positions.ndim == 2 else dpositions.sum(0)
    return dx, dpositions.astype(positions.dtype)


rope.defvjp(rope_fwd, rope_bwd)


def rope_jvp(base, interleaved, primals, tangents):
    """Returns y and its move dy [B, T, H, D] for moves of x and of float positions."""
    (x, positions), (dx, dpositions) = primals, tangents
    y = rope_fwd(x, positions, base, interleaved)[0]
    angles = _angles(x, positions, base)
    dy = _turned(dx, jnp.cos(angles), jnp.sin(angles), interleaved)
    if _is_float(positions):
        y1, y2 = _pairs(y, interleaved)
        da = _angles(x, dpositions, base)
        dy += _joined(-y2 * da, y1 * da, interleaved).astype(dy.dtype)
    return y, dy


def _turned(x, cos, sin, interleaved):
    x1, x2 = _pairs(x, interleaved)
    y = _joined(x1 * cos - x2 * sin, x2 * cos + x1 * sin, interleaved)
    return y.astype(x.dtype)


def _angles(x, positions, base):
    """[1 or B, T, 1, D/2]"""
    at = positions if positions.ndim == 2 else positions[None]
    frequencies = _frequencies(wide(x[..., : x.shape[-1] // 2]), base)
    return at[:, :, None, None].astype(frequencies.dtype) * frequencies[None]


def _frequencies(half, base):
    """[1, 1, D/2] for an array [..., D/2], in its type."""
    count = half.shape[-1]
    return (base ** (-jnp.arange(count, dtype=half.dtype) / count))[None, None]


def _pairs(x, interleaved):
    """x1 and x2 [B, T, H, D/2], in float32 or better."""
    x = wide(x)
    if interleaved:
        return x[..., ::2], x[..., 1::2]
    return x[..., : x.shape[-1] // 2], x[..., x.shape[-1] // 2 :]


def _joined(x1, x2, interleaved):
    if interleaved:
        return jnp.stack([x1, x2], -1).reshape(*x1.shape[:-1], -1)
    return jnp.concatenate([x1, x2], -1)


def _is_float(x):
    return jnp.issubdtype(x.dtype, jnp.floating)


def _check_arguments(x, positions, base, interleaved):
    def check(argument, given, expected, holds):
        expect("rope", argument, given, expected, holds)

    given = f"of shape {x.shape}"
    check("x", given, "[B, T, H, D]", x.ndim == 4)
    B, T, _, D = x.shape
    check("x", given, "an even number D of features, above 0", D > 0 and D % 2 == 0)
    expect_floats("rope", x=x)
    given, fits = f"of shape {positions.shape}", positions.shape in ((T,), (B, T))
    check("positions", given, f"[{T}] or [{B}, {T}], as x is {x.shape}", fits)
    number = _is_float(positions) or jnp.issubdtype(positions.dtype, jnp.integer)
    given = f"of type {positions.dtype}"
    check("positions", given, "integers or floats", number)
    above = isinstance(base, int | float) and base > 1
    check("base", repr(base), "a number above 1", above)
    check(
        "interleaved", repr(interleaved), "True or False", interleaved in (True, False)
    )


def example(key, B, T, H, pairs):
    x = jax.random.normal(key, (B, T, H, 2 * pairs))
    return x, 3 + jnp.arange(T)


rule = Rule(
    op=rope,
    fwd=rope_fwd,
    bwd=rope_bwd,
    jvp=rope_jvp,
    example=example,
    cases=(
        Case({"B": 2, "T": 5, "H": 3, "pairs": 4}, (10000.0, False)),
        Case({"B": 1, "T": 7, "H": 2, "pairs": 3}, (100.0, True)),
        Case({"B": 3, "T": 1, "H": 1, "pairs": 1}, (10000.0, False)),
    ),
    bench=Case({"B": 2, "T": 1024, "H": 8, "pairs": 32}, (10000.0, False)),
    source="Su et al. 2021, arXiv:2104.09864",
)

"""Linear recurrence over a whole sequence, a factor an entry: the core of S5 and Mamba.

    h[t] = a[t] h[t-1] + x[t]

Perturb; h[t-1] moves too, so the moves obey the same recurrence with another input:

    dh[t] = a[t] dh[t-1] + (da[t] h[t-1] + dx[t])

Transpose. Let g[t] be all that reaches h[t]: its own cotangent and, by way of h[t+1],
a[t+1] g[t+1]. That is the recurrence once more, from the last step to the first:

    g[t] = dh[t] + a[t+1] g[t+1]
    dx[t] = g[t]             da[t] = g[t] h[t-1]             dh[0] = a[1] g[1]

Two steps in a row are one, with the factor a2 a1 and the input a2 x1 + x2. So they may
be joined in any grouping, and a device that computes side by side needs log T rounds in
place of T steps, for about twice the work: blocking.py says which. g is then found by
the same joining from the end, with the factor of the step after in each step's place.

Check: a = 0 gives h = x, dx = dh; a = 1 is a cumulative sum, and dx that from the end.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Inexact

from jaxninja.rule import Case, Rule, expect, in_one_program
from jaxninja.rules import blocking
from jaxninja.rules.loops import varying


class Residuals(NamedTuple):
    a: jax.Array  # [T, *batch]
    h: jax.Array  # [T, *batch], the output itself; x is not kept
    h0: jax.Array  # [*batch]: a step more than autodiff keeps, but its h is a copy


@jax.custom_vjp
def linear_recurrence(
    a: Inexact[Array, "T *batch"],
    x: Inexact[Array, "T *batch"],
    h0: Inexact[Array, "*batch"],
) -> Inexact[Array, "T *batch"]:
    """All states of h[t] = a[t] h[t-1] + x[t], entry by entry.

    Args:
        a: [T, *batch] factors, real or complex; broadcast one that is the same for all.
        x: [T, *batch] inputs, time first; T is 1 or more.
        h0: [*batch] the state before the first step.

    Returns:
        [T, *batch], h[1] to h[T]. Where |a| > 1 they grow as products of a do.

    Raises:
        ValueError: shapes do not fit, or types are integers or not all the same.

    Source: Martin, Cundy 2018, arXiv:1709.04057; S5: Smith, Warrington, Linderman 2022,
    arXiv:2208.04933; Mamba: Gu, Dao 2023, arXiv:2312.00752.
    """
    return linear_recurrence_fwd(a, x, h0)[0]


def linear_recurrence_fwd(a, x, h0):
    _check_arguments(a, x, h0)
    h = _states(a, x, h0)
    return h, Residuals(a, h, h0)


def linear_recurrence_bwd(res, dh):
    """Returns da, dx [T, *batch], dh0 [*batch]."""
    a, h, h0 = res
    g = _reaching(a, dh)
    return g * _before(h, h0), g, a[0] * g[0]


linear_recurrence.defvjp(linear_recurrence_fwd, linear_recurrence_bwd)


def linear_recurrence_jvp(primals, tangents):
    """Returns h and its move dh [T, *batch] for moves of a, x and h0."""
    (a, x, h0), (da, dx, dh0) = primals, tangents
    h = linear_recurrence_fwd(a, x, h0)[0]
    return h, _states(a, da * _before(h, h0) + dx, dh0)


def _states(a, x, h0):
    if blocking.in_parallel():
        return _joined(a, x.at[0].add(a[0] * h0))
    return plain(a, x, h0)


@in_one_program()
def plain(a, x, h0):
    """The plain form, a scan of steps: what `jax.grad` differentiates to judge."""
    _check_arguments(a, x, h0)

    def step(h, at):
        h = at[0] * h + at[1]
        return h, h

    return lax.scan(step, h0, (a, x))[1]


@in_one_program()
def _reaching(a, dh):
    """g [T, *batch], from the last step to the first."""
    if blocking.in_parallel():
        next_a = jnp.concatenate([a[1:], jnp.zeros_like(a[:1])])
        return _joined(next_a[::-1], dh[::-1])[::-1]

    def step(later, at):
        a, dh = at
        g = dh + later
        return a * g, g

    start = varying(jnp.zeros_like(dh[0]), dh)
    return lax.scan(step, start, (a, dh), reverse=True)[1]


def _joined(a, x):
    """The states from a state of 0: steps joined in pairs, pairs in pairs, ..."""

    def join(first, second):
        (a1, x1), (a2, x2) = first, second
        return a2 * a1, a2 * x1 + x2

    return lax.associative_scan(join, (a, x))[1]


def _before(h, h0):
    return jnp.concatenate([h0[None], h[:-1]])


def _check_arguments(a, x, h0):
    def look(name, array, expected, fits):
        given = f"of shape {array.shape}"
        expect("linear_recurrence", name, given, expected, fits)
        inexact = jnp.issubdtype(array.dtype, jnp.inexact)
        given, types = f"of type {array.dtype}", "floating-point or complex numbers"
        expect("linear_recurrence", name, given, types, inexact)
        same = f"{x.dtype}, as x is"
        expect("linear_recurrence", name, given, same, array.dtype == x.dtype)

    look("x", x, "[T, *batch] with T > 0", x.ndim > 0 and len(x) > 0)
    look("a", a, f"{[*x.shape]}, as x is", a.shape == x.shape)
    look("h0", h0, f"{[*x.shape[1:]]}, as x is {x.shape}", h0.shape == x.shape[1:])


def example(key, T, B, D):
    keys = jax.random.split(key, 3)
    a = jax.nn.sigmoid(1 + jax.random.normal(keys[0], (T, B, D)))
    x = jax.random.normal(keys[1], (T, B, D))
    return a, x, jax.random.normal(keys[2], (B, D))


rule = Rule(
    op=linear_recurrence,
    fwd=linear_recurrence_fwd,
    bwd=linear_recurrence_bwd,
    jvp=linear_recurrence_jvp,
    example=example,
    reference=plain,
    cases=(
        Case({"T": 7, "B": 3, "D": 2}),
        Case({"T": 1, "B": 1, "D": 1}),
    ),
    bench=Case({"T": 2048, "B": 8, "D": 256}),
    why="it keeps the states that it returns, in memory anyway, and h0: one more than "
    "the T before each step, of which autodiff makes a copy",
    source="Martin, Cundy 2018, arXiv:1709.04057",
)

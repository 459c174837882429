"""Long short-term memory over a whole sequence, the gates in PyTorch's order.

    a = x[t] Wx + h[t-1] Wh + b = (a_i, a_f, a_g, a_o), four times H columns
    i, f, o = sigmoid(a_i), sigmoid(a_f), sigmoid(a_o)       g = tanh(a_g)
    c[t] = f c[t-1] + i g                                    h[t] = o k,  k = tanh(c[t])

The walk through time and its products are recurrence.py's. This page is one step, which
is elementwise. Perturb it, with sigmoid' = s (1 - s) and tanh' = 1 - tanh^2:

    dc[t] = g i (1 - i) da_i + c[t-1] f (1 - f) da_f + i (1 - g^2) da_g + f dc[t-1]
    dh[t] = k o (1 - o) da_o + o (1 - k^2) dc[t]

Name the six factors S_i, S_f, S_g, S_past and S_o, S_c: a step keeps these and nothing
else, for its transpose is made of them too. c[t] is read by the next step and by h[t]:

    dc = dc[t] + S_c dh[t]
    da_i = S_i dc        da_f = S_f dc        da_g = S_g dc        da_o = S_o dh[t]
    dc[t-1] = S_past dc

h[t-1] is reached through a alone, by recurrence.py's product.

Check: f = 1, i = 0 keeps c, and hands dc back as it came over any number of steps.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from jaxninja.rule import Case, Rule, along_last
from jaxninja.rules.sequence import recurrence
from jaxninja.rules.sequence.arguments import check_arguments
from jaxninja.rules.sequence.recurrence import Cell, Weights


class Slopes(NamedTuple):
    """Of one step, [*batch, H] each; its gates and c are not kept."""

    i: jax.Array
    f: jax.Array
    g: jax.Array
    o: jax.Array
    c: jax.Array  # of h[t] to c[t]
    past: jax.Array  # of c[t] to c[t-1]


def step(p, u, before):
    i, f, g, o = jnp.split(p + u, 4, -1)
    i, f, g, o = lax.logistic(i), lax.logistic(f), jnp.tanh(g), lax.logistic(o)
    c = f * before[1] + i * g
    k = jnp.tanh(c)
    slopes = Slopes(
        i=g * i * (1 - i),
        f=before[1] * f * (1 - f),
        g=i * (1 - g) * (1 + g),
        o=k * o * (1 - o),
        c=o * (1 - k) * (1 + k),
        past=f,
    )
    return (o * k, c), slopes


def push(S, h_before, h, dp, du, dbefore):
    da_i, da_f, da_g, da_o = jnp.split(dp + du, 4, -1)
    dc = S.i * da_i + S.f * da_f + S.g * da_g + S.past * dbefore[1]
    return S.o * da_o + S.c * dc, dc


def pull(S, h_before, h, dafter):
    dh, dc = dafter
    dc = dc + S.c * dh
    da = jnp.concatenate([S.i * dc, S.f * dc, S.g * dc, S.o * dh], -1)
    return da, (jnp.zeros_like(dh), S.past * dc)


CELL = Cell(4, step, push, pull)


@partial(jax.custom_vjp, nondiff_argnums=(6,))
def lstm(
    x: Float[Array, "T *batch D"],
    h0: Float[Array, "*batch H"],
    c0: Float[Array, "*batch H"],
    Wx: Float[Array, "D 4*H"],
    Wh: Float[Array, "H 4*H"],
    b: Float[Array, "4*H"],
    chunk: int | None = None,
) -> tuple[Float[Array, "T *batch H"], Float[Array, "*batch H"]]:
    """All states h of an LSTM, and the last c.

    Args:
        x: [T, *batch, D] inputs, time first; T is 1 or more.
        h0, c0: [*batch, H] the state before the first step.
        Wx: [D, 4 H] input's weights, for the gates i, f, g, o in this order; of
            PyTorch's nn.LSTM, weight_ih_l0.T.
        Wh: [H, 4 H] recurrent weights, weight_hh_l0.T.
        b: [4 H], bias_ih_l0 + bias_hh_l0.
        chunk: None keeps the slopes of all steps for the backward pass; a number keeps
            the state before each chunk of so many steps, and computes the rest again.

    Returns:
        h [T, *batch, H], h[1] to h[T], and c [*batch, H], c[T]: with h[-1] it is the
        state to go on from.

    Raises:
        ValueError: shapes do not fit, types are not floating or not all the same, or
            the chunk is below 1.

    Source: Hochreiter, Schmidhuber 1997, Neural Computation 9; forget gate: Gers,
    Schmidhuber, Cummins 2000, Neural Computation 12.
    """
    check_arguments("lstm", CELL, x, {"h0": h0, "c0": c0}, Weights(Wx, Wh, b), chunk)
    weights = Weights(Wx, Wh, b)
    h, (_, c), _ = recurrence.forward(CELL, x, (h0, c0), weights, chunk, False)
    return h, c


def lstm_fwd(x, h0, c0, Wx, Wh, b, chunk):
    check_arguments("lstm", CELL, x, {"h0": h0, "c0": c0}, Weights(Wx, Wh, b), chunk)
    weights = Weights(Wx, Wh, b)
    h, (_, c), res = recurrence.forward(CELL, x, (h0, c0), weights, chunk)
    return (h, c), res


def lstm_bwd(chunk, res, dy):
    """Returns dx, dh0, dc0, dWx, dWh, db, shaped as the arguments are."""
    dx, (dh0, dc0), weights = recurrence.backward(CELL, chunk, res, *dy)
    return dx, dh0, dc0, weights.Wx, weights.Wh, weights.bx


lstm.defvjp(lstm_fwd, lstm_bwd)


def lstm_jvp(chunk, primals, tangents):
    """Returns (h, c) and their moves for moves of all arguments."""
    sides = [(x, (h, c), Weights(*rest)) for x, h, c, *rest in (primals, tangents)]
    (h, (_, c)), (dh, (_, dc)) = recurrence.forward_mode(CELL, *sides)
    return (h, c), (dh, dc)


def plain(x, h0, c0, Wx, Wh, b, chunk=None):
    """The plain form, a scan of steps: what `jax.grad` differentiates to judge."""
    check_arguments("lstm", CELL, x, {"h0": h0, "c0": c0}, Weights(Wx, Wh, b), chunk)

    def step(state, x):
        h, c = state
        a = x @ Wx + h @ Wh + along_last(b, h)
        i, f, g, o = jnp.split(a, 4, -1)
        c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
        h = jax.nn.sigmoid(o) * jnp.tanh(c)
        return (h, c), h

    (_, c), h = lax.scan(step, (h0, c0), x)
    return h, c


def example(key, T, B, D, H):
    keys = jax.random.split(key, 6)
    x, h0 = jax.random.normal(keys[0], (T, B, D)), jax.random.normal(keys[1], (B, H))
    Wx = jax.random.normal(keys[2], (D, 4 * H)) / D**0.5
    Wh = jax.random.normal(keys[3], (H, 4 * H)) / H**0.5
    b, c0 = jax.random.normal(keys[4], (4 * H,)), jax.random.normal(keys[5], (B, H))
    return x, jnp.tanh(h0), c0, Wx, Wh, b / 4


rule = Rule(
    op=lstm,
    fwd=lstm_fwd,
    bwd=lstm_bwd,
    jvp=lstm_jvp,
    example=example,
    reference=plain,
    cases=(
        Case({"T": 5, "B": 2, "D": 3, "H": 4}, (None,)),
        Case({"T": 7, "B": 1, "D": 2, "H": 3}, (3,)),  # the last chunk is one step
        Case({"T": 1, "B": 17, "D": 1, "H": 1}, (None,)),  # x Wx within the step
    ),
    bench=Case({"T": 64, "B": 32, "D": 256, "H": 256}, (None,)),
    source="Hochreiter, Schmidhuber 1997, Neural Computation 9",
)

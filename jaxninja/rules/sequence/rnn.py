"""Elman's recurrent network over a whole sequence.

    h[t] = tanh(x[t] Wx + h[t-1] Wh + b)

The walk through time and its products are recurrence.py's. This page is one step, which
is elementwise: h[t] = tanh(p + u) with p = x[t] Wx + b and u = h[t-1] Wh. Perturb it;
tanh' = 1 - tanh^2, and the tanh is h[t] itself:

    dh[t] = (1 - h[t]^2) (dp + du)

Transpose; each name is now the cotangent. A factor stays what it is, and a sum sends to
both sides the same:

    dp = du = (1 - h[t]^2) dh[t]

The state before is reached through u alone, by recurrence.py's product. So a step has
nothing to keep but h[t], which is the output.

Check: saturated units, h[t] = 1 or -1, send nothing back; with Wh = 0 every step stands
alone and this is a linear layer and a tanh.
"""

from functools import partial

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from jaxninja.rule import Case, Rule, along_last
from jaxninja.rules.sequence import recurrence
from jaxninja.rules.sequence.arguments import check_arguments
from jaxninja.rules.sequence.recurrence import Cell, Weights


def step(p, u, before):
    return (jnp.tanh(p + u),), None


def push(kept, h_before, h, dp, du, dbefore):
    return ((1 - h) * (1 + h) * (dp + du),)


def pull(kept, h_before, h, dafter):
    return (1 - h) * (1 + h) * dafter[0], (jnp.zeros_like(h),)


CELL = Cell(1, step, push, pull)


@partial(jax.custom_vjp, nondiff_argnums=(5,))
def rnn(
    x: Float[Array, "T *batch D"],
    h0: Float[Array, "*batch H"],
    Wx: Float[Array, "D H"],
    Wh: Float[Array, "H H"],
    b: Float[Array, "H"],
    chunk: int | None = None,
) -> Float[Array, "T *batch H"]:
    """All states of h[t] = tanh(x[t] @ Wx + h[t-1] @ Wh + b).

    Args:
        x: [T, *batch, D] inputs, time first; T is 1 or more.
        h0: [*batch, H] the state before the first step.
        Wx: [D, H] input's weights; of PyTorch's nn.RNN, weight_ih_l0.T.
        Wh: [H, H] recurrent weights, weight_hh_l0.T.
        b: [H], bias_ih_l0 + bias_hh_l0.
        chunk: None keeps the states of all steps for the backward pass; a number keeps
            that before each chunk of so many steps, and computes the others again.

    Returns:
        [T, *batch, H], h[1] to h[T]. The last state is its last entry.

    Raises:
        ValueError: shapes do not fit, types are not floating or not all the same, or
            the chunk is below 1.

    Source: Elman 1990, Cognitive Science 14.
    """
    check_arguments("rnn", CELL, x, {"h0": h0}, Weights(Wx, Wh, b), chunk)
    return recurrence.forward(CELL, x, (h0,), Weights(Wx, Wh, b), chunk, False)[0]


def rnn_fwd(x, h0, Wx, Wh, b, chunk):
    check_arguments("rnn", CELL, x, {"h0": h0}, Weights(Wx, Wh, b), chunk)
    h, _, res = recurrence.forward(CELL, x, (h0,), Weights(Wx, Wh, b), chunk)
    return h, res


def rnn_bwd(chunk, res, dh):
    """Returns dx [T, *batch, D], dh0 [*batch, H], dWx [D, H], dWh [H, H], db [H]."""
    dx, (dh0,), weights = recurrence.backward(CELL, chunk, res, dh)
    return dx, dh0, weights.Wx, weights.Wh, weights.bx


rnn.defvjp(rnn_fwd, rnn_bwd)


def rnn_jvp(chunk, primals, tangents):
    """Returns h and its move dh [T, *batch, H] for moves of all arguments."""
    sides = [(x, (h0,), Weights(*rest)) for x, h0, *rest in (primals, tangents)]
    (h, _), (dh, _) = recurrence.forward_mode(CELL, *sides)
    return h, dh


def plain(x, h0, Wx, Wh, b, chunk=None):
    """The plain form, a scan of steps: what `jax.grad` differentiates to judge."""
    check_arguments("rnn", CELL, x, {"h0": h0}, Weights(Wx, Wh, b), chunk)

    def step(h, x):
        h = jnp.tanh(x @ Wx + h @ Wh + along_last(b, h))
        return h, h

    return lax.scan(step, h0, x)[1]


def example(key, T, B, D, H):
    keys = jax.random.split(key, 5)
    x, h0 = jax.random.normal(keys[0], (T, B, D)), jax.random.normal(keys[1], (B, H))
    Wx = jax.random.normal(keys[2], (D, H)) / D**0.5
    Wh = jax.random.normal(keys[3], (H, H)) / H**0.5
    return x, jnp.tanh(h0), Wx, Wh, jax.random.normal(keys[4], (H,)) / 4


rule = Rule(
    op=rnn,
    fwd=rnn_fwd,
    bwd=rnn_bwd,
    jvp=rnn_jvp,
    example=example,
    reference=plain,
    cases=(
        Case({"T": 5, "B": 2, "D": 3, "H": 4}, (None,)),
        Case({"T": 7, "B": 1, "D": 2, "H": 3}, (3,)),  # the last chunk is one step
        Case({"T": 1, "B": 17, "D": 1, "H": 1}, (None,)),  # x Wx within the step
    ),
    bench=Case({"T": 64, "B": 32, "D": 256, "H": 256}, (None,)),
    source="Elman 1990, Cognitive Science 14",
)

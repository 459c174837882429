"""Gated recurrent unit over a whole sequence, in PyTorch's order and form.

    p = x[t] Wx + bx        u = h[t-1] Wh + bh        three times H columns: r, z, n
    r = sigmoid(p_r + u_r)                   z = sigmoid(p_z + u_z)
    n = tanh(p_n + r u_n)                    h[t] = (1 - z) n + z h[t-1]

The reset gate r multiplies what comes after the product with Wh, so u_n has a bias of
its own: p and u are not only read as a sum. (In the paper, r multiplies h[t-1] before.)

The walk through time and its products are recurrence.py's. This page is one step, which
is elementwise. Perturb it, with sigmoid' = s (1 - s) and tanh' = 1 - tanh^2:

    dr = r (1 - r) (dp_r + du_r)             dz = z (1 - z) (dp_z + du_z)
    dn = (1 - n^2) (dp_n + r du_n + u_n dr)
    dh[t] = (1 - z) dn + (h[t-1] - n) dz + z dh[t-1]

Transpose, from the last line to the first; each name is now the cotangent:

    dp_n = (1 - n^2) (1 - z) dh[t]           du_n = r dp_n
    dp_z = z (1 - z) (h[t-1] - n) dh[t]      du_z = dp_z
    dp_r = r (1 - r) u_n dp_n                du_r = dp_r          dh[t-1] = z dh[t]

Check: z = 1 keeps h and hands dh back as it came; r = 1 makes n a tanh of p + u.
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


class Gates(NamedTuple):
    """Of one step, [*batch, H] each; p and the other parts of u are not kept."""

    r: jax.Array
    z: jax.Array
    n: jax.Array
    u_n: jax.Array


def step(p, u, before):
    (p_r, p_z, p_n), (u_r, u_z, u_n) = jnp.split(p, 3, -1), jnp.split(u, 3, -1)
    r, z = lax.logistic(p_r + u_r), lax.logistic(p_z + u_z)
    n = jnp.tanh(p_n + r * u_n)
    return ((1 - z) * n + z * before[0],), Gates(r, z, n, u_n)


def push(gates, h_before, h, dp, du, dbefore):
    r, z, n, u_n = gates
    (dp_r, dp_z, dp_n), (du_r, du_z, du_n) = jnp.split(dp, 3, -1), jnp.split(du, 3, -1)
    dr, dz = r * (1 - r) * (dp_r + du_r), z * (1 - z) * (dp_z + du_z)
    dn = (1 - n) * (1 + n) * (dp_n + r * du_n + u_n * dr)
    return ((1 - z) * dn + (h_before - n) * dz + z * dbefore[0],)


def pull(gates, h_before, h, dafter):
    (r, z, n, u_n), (dh,) = gates, dafter
    dp_n = (1 - n) * (1 + n) * (1 - z) * dh
    dp_z = z * (1 - z) * (h_before - n) * dh
    dp_r = r * (1 - r) * u_n * dp_n
    return jnp.concatenate([dp_r, dp_z, dp_n], -1), (z * dh,)


def recurrent(dp, gates):
    dp_r, dp_z, dp_n = jnp.split(dp, 3, -1)
    return jnp.concatenate([dp_r, dp_z, gates.r * dp_n], -1)


CELL = Cell(3, step, push, pull, recurrent)


@partial(jax.custom_vjp, nondiff_argnums=(6,))
def gru(
    x: Float[Array, "T *batch D"],
    h0: Float[Array, "*batch H"],
    Wx: Float[Array, "D 3*H"],
    Wh: Float[Array, "H 3*H"],
    bx: Float[Array, "3*H"],
    bh: Float[Array, "3*H"],
    chunk: int | None = None,
) -> Float[Array, "T *batch H"]:
    """All states of a GRU.

    Args:
        x: [T, *batch, D] inputs, time first; T is 1 or more.
        h0: [*batch, H] the state before the first step.
        Wx: [D, 3 H] input's weights, for the gates r, z, n in this order; of PyTorch's
            nn.GRU, weight_ih_l0.T.
        Wh: [H, 3 H] recurrent weights, weight_hh_l0.T.
        bx: [3 H], bias_ih_l0.
        bh: [3 H], bias_hh_l0; of r and z only the sum with bx counts.
        chunk: None keeps the gates of all steps for the backward pass; a number keeps
            the state before each chunk of so many steps, and computes the rest again.

    Returns:
        [T, *batch, H], h[1] to h[T]. The last state is its last entry.

    Raises:
        ValueError: shapes do not fit, types are not floating or not all the same, or
            the chunk is below 1.

    Source: Cho et al. 2014, arXiv:1406.1078, in the form of cuDNN and PyTorch.
    """
    weights = Weights(Wx, Wh, bx, bh)
    check_arguments("gru", CELL, x, {"h0": h0}, weights, chunk)
    return recurrence.forward(CELL, x, (h0,), weights, chunk, False)[0]


def gru_fwd(x, h0, Wx, Wh, bx, bh, chunk):
    weights = Weights(Wx, Wh, bx, bh)
    check_arguments("gru", CELL, x, {"h0": h0}, weights, chunk)
    h, _, res = recurrence.forward(CELL, x, (h0,), weights, chunk)
    return h, res


def gru_bwd(chunk, res, dh):
    """Returns dx, dh0, dWx, dWh, dbx, dbh, shaped as the arguments are."""
    dx, (dh0,), weights = recurrence.backward(CELL, chunk, res, dh)
    return dx, dh0, *weights


gru.defvjp(gru_fwd, gru_bwd)


def gru_jvp(chunk, primals, tangents):
    """Returns h and its move dh [T, *batch, H] for moves of all arguments."""
    sides = [(x, (h0,), Weights(*rest)) for x, h0, *rest in (primals, tangents)]
    (h, _), (dh, _) = recurrence.forward_mode(CELL, *sides)
    return h, dh


def plain(x, h0, Wx, Wh, bx, bh, chunk=None):
    """The plain form, a scan of steps: what `jax.grad` differentiates to judge."""
    check_arguments("gru", CELL, x, {"h0": h0}, Weights(Wx, Wh, bx, bh), chunk)

    def step(h, x):
        p_r, p_z, p_n = jnp.split(x @ Wx + along_last(bx, h), 3, -1)
        u_r, u_z, u_n = jnp.split(h @ Wh + along_last(bh, h), 3, -1)
        n = jnp.tanh(p_n + jax.nn.sigmoid(p_r + u_r) * u_n)
        z = jax.nn.sigmoid(p_z + u_z)
        h = (1 - z) * n + z * h
        return h, h

    return lax.scan(step, h0, x)[1]


def example(key, T, B, D, H):
    keys = jax.random.split(key, 6)
    x, h0 = jax.random.normal(keys[0], (T, B, D)), jax.random.normal(keys[1], (B, H))
    Wx = jax.random.normal(keys[2], (D, 3 * H)) / D**0.5
    Wh = jax.random.normal(keys[3], (H, 3 * H)) / H**0.5
    bx, bh = jax.random.normal(keys[4], (2, 3 * H)) / 4
    return x, jnp.tanh(h0), Wx, Wh, bx, bh


rule = Rule(
    op=gru,
    fwd=gru_fwd,
    bwd=gru_bwd,
    jvp=gru_jvp,
    example=example,
    reference=plain,
    cases=(
        Case({"T": 5, "B": 2, "D": 3, "H": 4}, (None,)),
        Case({"T": 7, "B": 1, "D": 2, "H": 3}, (3,)),  # the last chunk is one step
        Case({"T": 1, "B": 17, "D": 1, "H": 1}, (None,)),  # x Wx within the step
    ),
    bench=Case({"T": 64, "B": 32, "D": 256, "H": 256}, (None,)),
    source="Cho et al. 2014, arXiv:1406.1078",
)

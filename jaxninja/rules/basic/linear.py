"""Linear layer: a matrix product and a bias.

    y[n, k] = sum_d x[n, d] W[d, k] + b[k]

Perturb each argument alone and collect:

    y moves by  dx @ W   (row n of x moves row n of y, through W)
    y moves by  x @ dW   (W[d, k] is used by every row n, with weight x[n, d])
    y moves by  db       (b[k] is added to every row n)

Transpose: what was multiplied by W from the right is multiplied by W.T, and whatever
was used by every row is summed over the rows. No other products of these shapes exist.

    dx = dy @ W.T        [N, D] = [N, K] @ [K, D]
    dW = x.T @ dy        [D, K] = [D, N] @ [N, K]
    db = sum_n dy        [K]

Check: with N = D = K = 1 this is y = x w + b, so dx = w dy, dw = x dy, db = dy.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxninja.rule import Case, Rule, along_last, expect, expect_floats, sharding


class Residuals(NamedTuple):
    x: jax.Array  # [*batch, D]
    W: jax.Array  # [D, K]; y and b are not kept


@jax.custom_vjp
def linear(
    x: Float[Array, "*batch D"], W: Float[Array, "D K"], b: Float[Array, "K"]
) -> Float[Array, "*batch K"]:
    """Affine map of the last axis: y = x @ W + b.

    Args:
        x: [*batch, D] inputs.
        W: [D, K] weights.
        b: [K] bias.

    Returns:
        [*batch, K].

    Raises:
        ValueError: the shapes do not fit together, or the arrays are not of one
            floating-point type.

    Source: textbook; backward as in Rumelhart, Hinton, Williams 1986, Nature 323.
    """
    return linear_fwd(x, W, b)[0]


def linear_fwd(x, W, b):
    _check_arguments(x, W, b)
    return x @ W + along_last(b, x), Residuals(x, W)


def linear_bwd(res, dy):
    """Returns dx [*batch, D], dW [D, K], db [K]."""
    batch = tuple(range(dy.ndim - 1))
    dx = dy @ res.W.T
    dW = jnp.tensordot(res.x, dy, (batch, batch), out_sharding=sharding(res.W))
    db = dy.sum(batch)
    return dx, dW, db


linear.defvjp(linear_fwd, linear_bwd)


def linear_jvp(primals, tangents):
    """Returns y and its move dy [*batch, K] for moves of x, W and b."""
    (x, W, b), (dx, dW, db) = primals, tangents
    return linear_fwd(x, W, b)[0], dx @ W + x @ dW + along_last(db, x)


def _check_arguments(x, W, b):
    expect_floats("linear", x=x, W=W, b=b)
    expect("linear", "W", f"of shape {W.shape}", "[D, K]", W.ndim == 2)
    D, K = W.shape
    fits = x.ndim >= 1 and x.shape[-1] == D
    expect("linear", "x", f"of shape {x.shape}", f"[..., {D}], as W is {W.shape}", fits)
    expect(
        "linear",
        "b",
        f"of shape {b.shape}",
        f"[{K}], as W is {W.shape}",
        b.shape == (K,),
    )


def example(key, N, D, K):
    key_x, key_W, key_b = jax.random.split(key, 3)
    x = jax.random.normal(key_x, (N, D))
    W = jax.random.normal(key_W, (D, K)) / D**0.5
    return x, W, jax.random.normal(key_b, (K,))


rule = Rule(
    op=linear,
    fwd=linear_fwd,
    bwd=linear_bwd,
    jvp=linear_jvp,
    example=example,
    cases=(
        Case({"N": 5, "D": 3, "K": 7}),
        Case({"N": 4, "D": 4, "K": 4}),  # a forgotten transpose keeps its shape here
        Case({"N": 1, "D": 11, "K": 2}),
        Case({"N": 13, "D": 1, "K": 1}),
    ),
    bench=Case({"N": 1024, "D": 512, "K": 512}),
    source="Rumelhart, Hinton, Williams 1986, Nature 323",
)

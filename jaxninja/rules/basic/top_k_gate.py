"""The router of a mixture of experts: softmax over the k largest logits, 0 elsewhere.

    on[e] = logits[e] is among the k largest of its row
    y[e] = on[e] e^z[e] / sum_{e' on} e^z[e']                   (z = logits)

Which ones are on does not change under a small move of the logits, unless two of them
tie at the border. Among those that are on it is a softmax, of which a move dz makes

    y moves by  y (dz - sum_e y dz)

and elsewhere y = 0 and stays 0, as this very formula says. The matrix diag(y) - y y.T
is symmetric; so with the cotangent dy

    dz = y (dy - sum_e y dy)

An expert that is off gets no gradient: it cannot win by being told how it would have
done. (Hence the noise and the balancing losses of routers.)

Check: k = E is softmax; k = 1 gives y = 1 and no gradient at all. sum_e dz = 0.
"""

from functools import partial
from numbers import Integral
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from jaxninja.rule import Case, Rule, expect, expect_floats


class Residuals(NamedTuple):
    y: jax.Array  # [*batch, E], the output: held anyway; the choice shows in its zeros


@partial(jax.custom_vjp, nondiff_argnums=(1,))
def top_k_gate(logits: Float[Array, "*batch E"], k: int) -> Float[Array, "*batch E"]:
    """Weights of the experts: softmax over the k largest logits of a row, else 0.

    At a tie for the last place the expert with the smaller number is on; there, as at
    every exchange of places, y jumps and has no gradient: that of its side is given.

    Args:
        logits: [*batch, E], finite.
        k: how many experts are on, 1 to E.

    Returns:
        [*batch, E]; each row sums to 1, with k entries above 0.

    Raises:
        ValueError: logits are not floats or have no axis, or k is not in 1 to E.

    Source: Shazeer et al. 2017, arXiv:1701.06538.
    """
    return top_k_gate_fwd(logits, k)[0]


def top_k_gate_fwd(logits, k):
    _check_arguments(logits, k)
    y = jax.nn.softmax(jnp.where(_on(logits, k), logits, -jnp.inf))
    return y, Residuals(y)


def top_k_gate_bwd(k, res, dy):
    """Returns dlogits [*batch, E], in a one-tuple."""
    return (_moved(res.y, dy),)


top_k_gate.defvjp(top_k_gate_fwd, top_k_gate_bwd)


def top_k_gate_jvp(k, primals, tangents):
    (logits,), (dlogits,) = primals, tangents
    y, _ = top_k_gate_fwd(logits, k)
    return y, _moved(y, dlogits)


def _moved(y, dz):
    return y * (dz - (y * dz).sum(-1, keepdims=True))


def _on(logits, k):
    """[*batch, E] of booleans, k of them true in each row."""
    _, chosen = lax.top_k(lax.stop_gradient(logits), k)
    return jax.nn.one_hot(chosen, logits.shape[-1], dtype=bool).any(-2)


def _check_arguments(logits, k):
    expect_floats("top_k_gate", logits=logits)
    given = f"of shape {logits.shape}"
    expect("top_k_gate", "logits", given, "[..., E] with E > 0", logits.ndim > 0)
    E = logits.shape[-1]
    expected = f"an integer from 1 to {E}, as logits is {logits.shape}"
    fits = isinstance(k, Integral) and k in range(1, E + 1)
    expect("top_k_gate", "k", repr(k), expected, fits)


def example(key, N, E):
    return (2 * jax.random.normal(key, (N, E)),)


rule = Rule(
    op=top_k_gate,
    fwd=top_k_gate_fwd,
    bwd=top_k_gate_bwd,
    jvp=top_k_gate_jvp,
    example=example,
    cases=(
        Case({"N": 3, "E": 5}, (2,)),
        Case({"N": 1, "E": 3}, (3,)),
        Case({"N": 4, "E": 4}, (3,)),
    ),
    bench=Case({"N": 4096, "E": 64}, (2,)),
    source="Shazeer et al. 2017, arXiv:1701.06538",
)

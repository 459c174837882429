"""Causal convolution of a sequence: y[t] sees x up to t, never after.

    y[n, t, o] = b[o] + sum_k,c x[n, t - (K - 1 - k) d, c] w[k, c, o]  (x = 0 for t < 0)

w[K - 1] meets the present, w[0] what lies (K - 1) d steps back: a conv1d of stride 1
with (K - 1) d zeros before x and none after. Perturb x, w and b:

    dy = dx * w + x * dw + db        (* is that sum; it is linear on either side)

Transpose. What was read from the past is sent back to it, so dx[t] sees dy from t on:

    dx[n, t, c] = sum_k,o dy[n, t + (K - 1 - k) d, o] w[k, c, o]
    dw[k, c, o] = sum_n,t x[n, t - (K - 1 - k) d, c] dy[n, t, o]
    db = sum_n,t dy

Both are convolutions, those of products.py; the layer itself is layer.py's.

Check: K = 1 is a linear layer for each step; a sequence shorter than the kernel meets
its last entries only, and the others get no gradient.
"""

from functools import partial

import jax
from jaxtyping import Array, Float

from jaxninja.rule import Case, Rule
from jaxninja.rules.convolution import layer
from jaxninja.rules.convolution.arguments import causal_window


@partial(jax.custom_vjp, nondiff_argnums=(3,))
def causal_conv1d(
    x: Float[Array, "N T C"],
    w: Float[Array, "K P O"],
    b: Float[Array, "O"] | None,
    dilation: int = 1,
) -> Float[Array, "N T O"]:
    """Causal convolution: y[t] = b + sum_k x[t - (K - 1 - k) dilation] w[k].

    Args:
        x: [N, T, C] inputs.
        w: [K, C / groups, O] kernel, its last entry for the present. How many groups
            there are, its shape says: [K, C, O] has one, [K, 1, C] as many as channels
            (depthwise, as in Mamba). PyTorch's is [O, C / groups, K], so it moves over
            by weight.permute(2, 1, 0).
        b: [O] bias, or None.
        dilation: steps of x from one k to the next, 1 or more.

    Returns:
        [N, T, O].

    Raises:
        ValueError: shapes or types do not fit, or the dilation is below 1.

    Source: van den Oord et al. 2016, arXiv:1609.03499.
    """
    return causal_conv1d_fwd(x, w, b, dilation)[0]


def causal_conv1d_fwd(x, w, b, dilation):
    where = causal_window("causal_conv1d", x, w, b, dilation)
    return layer.forward(x, w, b, where)


def causal_conv1d_bwd(dilation, res, dy):
    """Returns dx [N, T, C], dw [K, C / groups, O], db [O] or None."""
    where = causal_window("causal_conv1d", res.x, res.w, None, dilation)
    return layer.backward(res, dy, where)


causal_conv1d.defvjp(causal_conv1d_fwd, causal_conv1d_bwd)


def causal_conv1d_jvp(dilation, primals, tangents):
    """Returns y and its move dy [N, T, O] for moves of x, w and b."""
    x, w, b = primals
    where = causal_window("causal_conv1d", x, w, b, dilation)
    return layer.forward_mode(primals, tangents, where)


def example(key, N, T, K, P, O, G):
    """P channels a group."""
    keys = jax.random.split(key, 3)
    x = jax.random.normal(keys[0], (N, T, P * G))
    w = jax.random.normal(keys[1], (K, P, O)) / (K * P) ** 0.5
    return x, w, jax.random.normal(keys[2], (O,))


rule = Rule(
    op=causal_conv1d,
    fwd=causal_conv1d_fwd,
    bwd=causal_conv1d_bwd,
    jvp=causal_conv1d_jvp,
    example=example,
    cases=(
        Case({"N": 2, "T": 7, "K": 3, "P": 2, "O": 3, "G": 1}, (2,)),
        Case({"N": 1, "T": 5, "K": 4, "P": 1, "O": 3, "G": 3}, (1,)),  # depthwise
        Case({"N": 3, "T": 2, "K": 5, "P": 1, "O": 4, "G": 2}, (3,)),  # T below K
    ),
    bench=Case({"N": 16, "T": 512, "K": 4, "P": 64, "O": 64, "G": 1}, (1,)),
    source="van den Oord et al. 2016, arXiv:1609.03499",
)

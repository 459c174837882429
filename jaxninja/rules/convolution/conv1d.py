"""Convolution along one axis, channels last.

    y[n, t, o] = b[o] + sum_k,c x[n, t s + k d - p, c] w[k, c, o]

for stride s, dilation d and p zeros on both sides of x. Perturb x, w and b:

    dy = dx * w + x * dw + db        (* is that sum; it is linear on either side)

Transpose each term. Both are convolutions, of products.py; layer.py is the layer:

    dx = dy, spread by the stride, with the flipped kernel
    dw = x with dy as the kernel, stride and dilation exchanged
    db = sum_n,t dy

Check: K = 1, s = 1, p = 0 is a linear layer for each step: dx = dy w.T, dw = x.T dy.
"""

from functools import partial

import jax
from jaxtyping import Array, Float

from jaxninja.rule import Case, Rule
from jaxninja.rules.convolution import layer
from jaxninja.rules.convolution.arguments import window


@partial(jax.custom_vjp, nondiff_argnums=(3, 4, 5, 6))
def conv1d(
    x: Float[Array, "N T C"],
    w: Float[Array, "K P O"],
    b: Float[Array, "O"] | None,
    stride: int = 1,
    padding: int = 0,
    dilation: int = 1,
    groups: int = 1,
) -> Float[Array, "N S O"]:
    """Convolution: y[t] = b + sum_k x[t stride + k dilation - padding] w[k].

    Args:
        x: [N, T, C] inputs; PyTorch's Conv1d has them as [N, C, T].
        w: [K, C / groups, O] kernel; PyTorch's is [O, C / groups, K], so it moves over
            by weight.permute(2, 1, 0). As there, it is not flipped.
        b: [O] bias, or None.
        stride: steps of x from one y to the next, 1 or more.
        padding: zeros before and after x.
        dilation: steps of x from one k to the next, 1 or more.
        groups: a divisor of C and O: so many parts that do not see each other.

    Returns:
        [N, S, O] with S = (T + 2 padding - (K - 1) dilation - 1) // stride + 1. What is
        left of x where the stride does not fit is not read.

    Raises:
        ValueError: shapes or types do not fit, x is shorter than the kernel reaches,
            groups do not divide, or an option is out of its range.

    Source: LeCun et al. 1989, Neural Computation 1; Waibel et al. 1989, IEEE ASSP 37.
    """
    return conv1d_fwd(x, w, b, stride, padding, dilation, groups)[0]


def conv1d_fwd(x, w, b, stride, padding, dilation, groups):
    where = window("conv1d", x, w, b, stride, padding, dilation, groups)
    return layer.forward(x, w, b, where)


def conv1d_bwd(stride, padding, dilation, groups, res, dy):
    """Returns dx [N, T, C], dw [K, C / groups, O], db [O] or None."""
    where = window("conv1d", res.x, res.w, None, stride, padding, dilation, groups)
    return layer.backward(res, dy, where)


conv1d.defvjp(conv1d_fwd, conv1d_bwd)


def conv1d_jvp(stride, padding, dilation, groups, primals, tangents):
    """Returns y and its move dy [N, S, O] for moves of x, w and b."""
    x, w, b = primals
    where = window("conv1d", x, w, b, stride, padding, dilation, groups)
    return layer.forward_mode(primals, tangents, where)


def example(key, N, T, K, P, O, G):
    """P channels a group."""
    keys = jax.random.split(key, 3)
    x = jax.random.normal(keys[0], (N, T, P * G))
    w = jax.random.normal(keys[1], (K, P, O)) / (K * P) ** 0.5
    return x, w, jax.random.normal(keys[2], (O,))


rule = Rule(
    op=conv1d,
    fwd=conv1d_fwd,
    bwd=conv1d_bwd,
    jvp=conv1d_jvp,
    example=example,
    cases=(
        # a stride that does not fit: one entry of x is not read
        Case({"N": 2, "T": 8, "K": 3, "P": 2, "O": 3, "G": 1}, (2, 0, 1, 1)),
        Case({"N": 3, "T": 7, "K": 2, "P": 1, "O": 6, "G": 3}, (2, 3, 2, 3)),
        Case({"N": 1, "T": 1, "K": 1, "P": 1, "O": 1, "G": 1}, (1, 0, 1, 1)),
    ),
    bench=Case({"N": 16, "T": 512, "K": 5, "P": 64, "O": 64, "G": 1}, (1, 2, 1, 1)),
    source="LeCun et al. 1989, Neural Computation 1",
)

"""Convolution of images, channels last.

    y[n, i, j, o] = b[o] + sum_k,l,c x[n, i s + k d - p, j s + l d - p, c] w[k, l, c, o]

for stride s, dilation d and p zeros on all sides of x. Perturb x, w and b:

    dy = dx * w + x * dw + db        (* is that sum; it is linear on either side)

Transpose each term. Both are convolutions, of products.py; layer.py is the layer:

    dx = dy, spread by the stride, with the flipped kernel
    dw = x with dy as the kernel, stride and dilation exchanged
    db = sum_n,i,j dy

Check: K = L = 1, s = 1, p = 0 is a linear layer for each pixel; H = K = 1 is conv1d.
"""

from functools import partial

import jax
from jaxtyping import Array, Float

from jaxninja.rule import Case, Rule
from jaxninja.rules.convolution import layer
from jaxninja.rules.convolution.arguments import window


@partial(jax.custom_vjp, nondiff_argnums=(3, 4, 5, 6))
def conv2d(
    x: Float[Array, "N H W C"],
    w: Float[Array, "K L P O"],
    b: Float[Array, "O"] | None,
    stride: int | tuple[int, int] = 1,
    padding: int | tuple[int, int] = 0,
    dilation: int | tuple[int, int] = 1,
    groups: int = 1,
) -> Float[Array, "N S T O"]:
    """Convolution of images: a kernel laid over x at every `stride` pixels.

    Args:
        x: [N, H, W, C] inputs; PyTorch's Conv2d has them as [N, C, H, W].
        w: [K, L, C / groups, O] kernel; PyTorch's is [O, C / groups, K, L], so it
            moves over by weight.permute(2, 3, 1, 0). As there, it is not flipped.
        b: [O] bias, or None.
        stride: pixels of x from one y to the next, 1 or more; one number, or one for
            each of both axes, as padding and dilation.
        padding: zeros before and after x.
        dilation: pixels of x from one of the kernel to the next, 1 or more.
        groups: a divisor of C and O: so many parts that do not see each other.

    Returns:
        [N, S, T, O] with S = (H + 2 padding - (K - 1) dilation - 1) // stride + 1, and
        T of W and L alike. What is left where the stride does not fit is not read.

    Raises:
        ValueError: shapes or types do not fit, x is shorter than the kernel reaches,
            groups do not divide, or an option is out of its range.

    Source: LeCun et al. 1989, Neural Computation 1.
    """
    return conv2d_fwd(x, w, b, stride, padding, dilation, groups)[0]


def conv2d_fwd(x, w, b, stride, padding, dilation, groups):
    where = window("conv2d", x, w, b, stride, padding, dilation, groups)
    return layer.forward(x, w, b, where)


def conv2d_bwd(stride, padding, dilation, groups, res, dy):
    """Returns dx [N, H, W, C], dw [K, L, C / groups, O], db [O] or None."""
    where = window("conv2d", res.x, res.w, None, stride, padding, dilation, groups)
    return layer.backward(res, dy, where)


conv2d.defvjp(conv2d_fwd, conv2d_bwd)


def conv2d_jvp(stride, padding, dilation, groups, primals, tangents):
    """Returns y and its move dy [N, S, T, O] for moves of x, w and b."""
    x, w, b = primals
    where = window("conv2d", x, w, b, stride, padding, dilation, groups)
    return layer.forward_mode(primals, tangents, where)


def example(key, N, H, W, K, L, P, O, G):
    """P channels a group."""
    keys = jax.random.split(key, 3)
    x = jax.random.normal(keys[0], (N, H, W, P * G))
    w = jax.random.normal(keys[1], (K, L, P, O)) / (K * L * P) ** 0.5
    return x, w, jax.random.normal(keys[2], (O,))


def _sizes(*sizes):
    return dict(zip("NHWKLPOG", sizes, strict=True))


rule = Rule(
    op=conv2d,
    fwd=conv2d_fwd,
    bwd=conv2d_bwd,
    jvp=conv2d_jvp,
    example=example,
    cases=(
        # a stride that does not fit: the last column of x is not read
        Case(_sizes(2, 5, 6, 3, 2, 2, 3, 1), (2, 0, 1, 1)),
        Case(_sizes(1, 7, 5, 2, 3, 1, 4, 2), ((3, 1), (1, 3), (2, 1), 2)),
        Case(_sizes(1, 1, 1, 1, 1, 1, 1, 1), (1, 0, 1, 1)),
    ),
    bench=Case(_sizes(16, 32, 32, 3, 3, 32, 64, 1), (1, 1, 1, 1)),
    source="LeCun et al. 1989, Neural Computation 1",
)

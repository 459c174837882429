"""Classes B and D12: the derivative of another function, or half of one."""

import jax.numpy as jnp
from jax import lax

from experiments.checker_benchmark.bank import softmax as right
from experiments.checker_benchmark.field_bugs.paths import rows


def softmax(x):
    return right.softmax(x)


def softmax_diagonal_bwd(res, dy):
    (x,) = res
    p = right.softmax(x)
    return (dy * p * (1 - p),)


def softmax_doubled_bwd(res, dy):
    (x,) = res
    p = right.softmax(x)
    return (2 * p * (dy - (dy * p).sum(-1, keepdims=True)),)


def softmax_plus_bwd(res, dy):
    (x,) = res
    p = right.softmax(x)
    return (p * (dy + (dy * p).sum(-1, keepdims=True)),)


def softmax_over_bwd(res, dy):
    (x,) = res
    p = right.softmax(x)
    return (p * (dy - (p / dy).sum(-1, keepdims=True)),)


def silu(x):
    return x * lax.logistic(x)


def silu_bwd(res, dy):
    (x,) = res
    e = jnp.exp(-x)
    return (dy * (1 + e + x * e / (1 + e) ** 2),)  # the sum lacks its brackets


def sigmoid(x):
    return lax.logistic(x)


def sigmoid_bwd(res, dy):
    (x,) = res
    s = lax.logistic(x)
    return (dy * (s - (1 - s)),)


def gelu(x):
    return 0.5 * x * (1 + lax.erf(x / jnp.sqrt(2)))


def gelu_bwd(res, dy):
    (x,) = res
    c = 0.7978845608028654
    t = jnp.tanh(c * (x + 0.044715 * x**3))
    inner = c * (1 + 3 * 0.044715 * x**2)
    return (dy * (0.5 * (1 + t) + 0.5 * x * (1 - t * t) * inner),)


BUGS = (
    rows(
        "SebLague/Neural-Network-Experiments#5",
        "B1",
        "Softmax was differentiated as if each output had one input.",
        softmax,
        softmax_diagonal_bwd,
        truth="term",
    ),
    rows(
        "markroxor/fromscratchtoml#65",
        "B4",
        "The gradient of softmax was off by a factor of two.",
        softmax,
        softmax_doubled_bwd,
        truth="ratio",
    ),
    rows(
        "harvard-edge/cs249r_book#2046",
        "D12",
        "A plus for the minus in softmax's backward survived the course's tests.",
        softmax,
        softmax_plus_bwd,
        truth="sign",
    ),
    rows(
        "harvard-edge/cs249r_book#2056",
        "D12",
        "A division by the cotangent went unnoticed, since the tests' was ones.",
        softmax,
        softmax_over_bwd,
        truth="factor",
    ),
    rows(
        "chelsea0x3b/dfdx#915",
        "B10",
        "The numerator of SiLU's derivative lacked its brackets.",
        silu,
        silu_bwd,
        truth="term",
    ),
    rows(
        "sausheong/gonn#8",
        "B10",
        "The sigmoid's derivative was written s - (1 - s) for s (1 - s).",
        sigmoid,
        sigmoid_bwd,
        truth="factor",
    ),
    rows(
        "NVIDIA/TileGym#197",
        "B10",
        "GELU by erf got the tanh formula (here: its derivative); tolerances hid it.",
        gelu,
        gelu_bwd,
        truth="function",
    ),
)

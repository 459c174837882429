"""Class D: dtypes, structure, values of fwd, second derivatives."""

import jax.numpy as jnp
from jax import lax

from experiments.checker_benchmark.bank import softmax as right
from experiments.checker_benchmark.bank.record import array, generator, normal
from experiments.checker_benchmark.field_bugs.record import bug, saving


def rmsnorm(x, gain):
    return gain * x * lax.rsqrt((x * x).mean(-1, keepdims=True) + 1e-6)


def _rmsnorm_grads(x, gain, dy):
    rstd = lax.rsqrt((x * x).mean(-1, keepdims=True) + 1e-6)
    xhat = x * rstd
    g = gain * dy
    dx = rstd * (g - xhat * (g * xhat).mean(-1, keepdims=True))
    return dx, dy * xhat


def rmsnorm_half_sum_bwd(res, dy):
    dx, rows = _rmsnorm_grads(*res, dy)
    return dx, rows.astype(jnp.bfloat16).sum(0).astype(rows.dtype)


def rmsnorm_half_type_bwd(res, dy):
    dx, rows = _rmsnorm_grads(*res, dy)
    return dx, rows.sum(0).astype(jnp.bfloat16)


def rmsnorm_none_bwd(res, dy):
    return _rmsnorm_grads(*res, dy)[0], None


def rotate(x, angle):
    """x [N, 2] turned by an angle []."""
    return _turn(x, jnp.cos(angle), jnp.sin(angle))


def _turn(x, cos, sin):
    a, b = x[:, 0], x[:, 1]
    return jnp.stack([a * cos - b * sin, a * sin + b * cos], 1)


def rotate_bwd(res, dy):
    return None, None


def chained(x, w):
    return jnp.tanh(x @ w)


def chained_bwd(res, dy):
    x, w = res
    y = chained(x, w)
    return None, x.T @ (dy * (1 - y * y))  # "not needed here": the chain ends


def flash_attention(q, k, v):
    return right.softmax(q @ k.T / q.shape[1] ** 0.5) @ v


def flash_attention_fwd(q, k, v):
    p = right.softmax(q @ k.T)  # the kernel's forward does not scale
    return p @ v, (q, k, v)


def flash_attention_bwd(res, dy):
    q, k, v = res
    scale = q.shape[1] ** -0.5
    p = right.softmax(q @ k.T * scale)
    dp = dy @ v.T
    ds = scale * p * (dp - (dp * p).sum(-1, keepdims=True))
    return ds @ k, ds.T @ q, p.T @ dy


def centred_rmsnorm(x, gain, zero_centred):
    return rmsnorm(x, gain + 1 if zero_centred else gain)


def centred_rmsnorm_fwd(x, gain, zero_centred):
    return rmsnorm(x, gain), (x, gain)  # the option is read and then not used


def centred_rmsnorm_bwd(zero_centred, res, dy):
    x, gain = res
    dx, rows = _rmsnorm_grads(x, gain + 1 if zero_centred else gain, dy)
    return dx, rows.sum(0)


def smoothed_loss(logits, labels, eps):
    return right.label_smoothing(logits, labels, eps)


def smoothed_loss_fwd(logits, labels, eps):
    logp = right.log_softmax(logits)
    picked = jnp.take_along_axis(logp, labels[:, None], 1)[:, 0]
    rest = (1 - eps) * logp.mean(-1)  # the off-target mass is eps
    return (-(1 - eps) * picked - rest).mean(), (logp, labels)


def scaled_power(x, scale, degree):
    """scale x^degree; scale and degree are options."""
    return scale * x**degree


def scaled_power_fwd(x, scale, degree):
    return scaled_power(x, scale, degree), x


def scaled_power_bwd(degree, scale, x, dy):  # the order of the options is reversed
    return (dy * scale * degree * x ** (degree - 1),)


def doubled_square(x):
    return (2 * x) ** 2


def doubled_square_fwd(x):
    inner = 2 * x
    return inner**2, lax.stop_gradient(inner)


def doubled_square_bwd(inner, dy):
    return (4 * inner * dy,)


def sextuple(x):
    return 6 * x


def sextuple_fwd(x):
    inner = lax.stop_gradient(2 * x)
    return 3 * inner, (inner, x)


def sextuple_bwd(res, dy):
    inner, x = res
    return (dy * 3 * inner / x,)


def points_and_angle(key, N):
    rng, dims = generator(key), {"N": N, "K": 2}
    return array(rng, "N K", dims), array(rng, "", dims)


ROWS = "N=3 D=5 | N=4 D=4"
LONG = "N=31 D=5 | N=16 D=16"
XW = normal("N D", "D")

BUGS = (
    bug(
        "linkedin/Liger-Kernel#950",
        "D1",
        "The weight's gradient was summed over the rows in bfloat16.",
        rmsnorm,
        saving(rmsnorm),
        rmsnorm_half_sum_bwd,
        XW,
        LONG,
        truth="precision",
    ),
    bug(
        "linkedin/Liger-Kernel#89",
        "D2",
        "A gradient came back in another dtype than its parameter's.",
        rmsnorm,
        saving(rmsnorm),
        rmsnorm_half_type_bwd,
        XW,
        ROWS,
        wrong_by="dtype",
        truth="dtype",
    ),
    bug(
        "unslothai/unsloth#4533",
        "D3",
        "None for the weight's gradient: the norms were never trained.",
        rmsnorm,
        saving(rmsnorm),
        rmsnorm_none_bwd,
        XW,
        ROWS,
        truth="zero",
    ),
    bug(
        "huggingface/candle#3568",
        "D3",
        "The fused rotary embedding had no backward, and said nothing.",
        rotate,
        saving(rotate),
        rotate_bwd,
        points_and_angle,
        "N=5 | N=2",
        truth="zero",
    ),
    bug(
        "jax-ml/jax#17496",
        "D3",
        "None for an argument that is differentiated silently ends the chain.",
        chained,
        saving(chained),
        chained_bwd,
        normal("N D", "D H", std=0.8),
        "N=5 D=3 H=4 | N=3 D=3 H=3",
        truth="zero",
    ),
    bug(
        "lucidrains/flash-attention-jax#7",
        "D4",
        "The rule's forward did not return what the function returns.",
        flash_attention,
        flash_attention_fwd,
        flash_attention_bwd,
        normal("T D", "T D", "T D", std=0.8),
        "T=5 D=3 | T=4 D=4",
        wrong_by="forward",
        truth="forward",
    ),
    bug(
        "NVIDIA/Megatron-LM#6859 (forward)",
        "D4",
        "The forward dropped the offset of the weight, which the backward honoured.",
        centred_rmsnorm,
        centred_rmsnorm_fwd,
        centred_rmsnorm_bwd,
        XW,
        ROWS,
        True,
        wrong_by="forward",
        truth="forward",
    ),
    bug(
        "paiml/aprender#2199",
        "D4",
        "Label smoothing's off-target mass was 1 - eps instead of eps.",
        smoothed_loss,
        smoothed_loss_fwd,
        right.label_smoothing_bwd,
        right.labelled,
        "N=5 V=7 | N=4 V=4",
        0.1,
        wrong_by="forward",
        truth="forward",
    ),
    bug(
        "jax-ml/jax#4617",
        "D3",
        "What comes first in bwd's signature was unclear: the options, in order.",
        scaled_power,
        scaled_power_fwd,
        scaled_power_bwd,
        normal("N D"),
        ROWS,
        2.5,
        4,
        truth="option",
    ),
    bug(
        "pytorch/pytorch#58509",
        "D6",
        "A detached intermediate: right gradient, zero second derivative.",
        doubled_square,
        doubled_square_fwd,
        doubled_square_bwd,
        normal("N D"),
        ROWS,
        wrong_by="second",
        truth="second order",
        level="full",
    ),
    bug(
        "pytorch/pytorch#76185",
        "D6",
        "A detached intermediate over the input: a second derivative that is not 0.",
        sextuple,
        sextuple_fwd,
        sextuple_bwd,
        normal("N D"),
        ROWS,
        wrong_by="second",
        truth="second order",
        level="full",
    ),
)

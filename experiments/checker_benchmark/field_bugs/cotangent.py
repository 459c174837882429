"""Class A: what the backward does with its cotangent."""

import jax.numpy as jnp
from jax import lax

from experiments.checker_benchmark.bank import softmax as right
from experiments.checker_benchmark.bank.record import (
    array,
    generator,
    integers,
    normal,
)
from experiments.checker_benchmark.field_bugs.record import bug, saving


def cubic(x):
    return x**3


def cubic_bwd(res, dy):
    (x,) = res
    return (3 * x**2,)  # the wrong line: no dy


def fused_cross_entropy(logits, labels):
    return right.cross_entropy(logits, labels)


def fused_cross_entropy_fwd(logits, labels):
    value, (logp, labels) = right.cross_entropy_fwd(logits, labels)
    rows = jnp.arange(labels.shape[0])
    return value, jnp.exp(logp).at[rows, labels].add(-1) / labels.shape[0]


def fused_cross_entropy_bwd(dlogits, dy):
    return dlogits, None  # as if dy were always 1


def row_cross_entropy(logits, labels):
    logp = right.log_softmax(logits)
    return -jnp.take_along_axis(logp, labels[:, None], 1)[:, 0]


def row_cross_entropy_fwd(logits, labels):
    logp = right.log_softmax(logits)
    onehot = labels[:, None] == jnp.arange(logits.shape[1])
    return row_cross_entropy(logits, labels), jnp.exp(logp) - onehot


def row_cross_entropy_bwd(dlogits, dy):
    return dlogits * dy[0], None  # one load for all rows


def linear_cross_entropy(x, w, labels):
    return row_cross_entropy(x @ w, labels)


def linear_cross_entropy_fwd(x, w, labels):
    value, dlogits = row_cross_entropy_fwd(x @ w, labels)
    return value, (dlogits @ w.T, x.T @ dlogits)  # projected before dy is known


def linear_cross_entropy_bwd(res, dy):
    dx, dw = res
    return dx * dy[:, None], dw * dy[0], None


def ignored_cross_entropy(logits, labels):
    """Per row, 0 where the label is negative."""
    keep = labels >= 0
    return jnp.where(keep, row_cross_entropy(logits, jnp.where(keep, labels, 0)), 0)


def ignored_cross_entropy_fwd(logits, labels):
    keep = labels >= 0
    _, dlogits = row_cross_entropy_fwd(logits, jnp.where(keep, labels, 0))
    return ignored_cross_entropy(logits, labels), (dlogits * keep[:, None], keep)


def ignored_cross_entropy_bwd(res, dy):
    dlogits, keep = res
    return dlogits * jnp.where(keep, dy, 0)[0], None


def first_row_ignored(key, N, V):
    rng, dims = generator(key), {"N": N, "V": V}
    return array(rng, "N V", dims), integers(rng, "N", dims, "V").at[0].set(-1)


def prenorm(x, residual, gain):
    """h = residual + x; returns rmsnorm(h) and h."""
    h = residual + x
    return gain * h * lax.rsqrt((h * h).mean(-1, keepdims=True) + 1e-6), h


def prenorm_bwd(res, dy):
    x, residual, gain = res
    dout, dh = dy
    h = residual + x
    rstd = lax.rsqrt((h * h).mean(-1, keepdims=True) + 1e-6)
    xhat = h * rstd
    g = gain * (dout + dh)  # dh belongs after the norm's backward
    total = rstd * (g - xhat * (g * xhat).mean(-1, keepdims=True))
    return total, total, (dout * xhat).sum(0)


def softmax_and_lse(x):
    return right.softmax(x), right.logsumexp(x)


def softmax_and_lse_bwd(res, dy):
    (x,) = res
    dp, _ = dy  # the second output's cotangent is dropped
    p = right.softmax(x)
    return (p * (dp - (dp * p).sum(-1, keepdims=True)),)


def norm_with_statistics(x):
    """Batch-normalised x, the batch's mean and its variance: all depend on x."""
    mean = x.mean(0)
    var = ((x - mean) ** 2).mean(0)
    return (x - mean) * lax.rsqrt(var + 1e-5), mean, var


def norm_with_statistics_bwd(res, dy):
    (x,) = res
    g, _, _ = dy  # no gradient by the statistics
    mean = x.mean(0)
    rstd = lax.rsqrt(((x - mean) ** 2).mean(0) + 1e-5)
    xhat = (x - mean) * rstd
    return (rstd * (g - g.mean(0) - xhat * (g * xhat).mean(0)),)


def batchnorm_scale(x, gamma):
    centred = x - x.mean(0)
    return gamma * centred * lax.rsqrt((centred * centred).mean(0) + 1e-5)


def batchnorm_scale_bwd(res, dy):
    x, gamma = res
    centred = x - x.mean(0)
    rstd = lax.rsqrt((centred * centred).mean(0) + 1e-5)
    xhat = centred * rstd
    g = gamma * dy
    dx = rstd * (g - g.mean(0) - xhat * (g * xhat).mean(0))
    terms = dy * xhat
    small = jnp.abs(terms) < 1e-2  # lost in the reduction: no longer linear in dy
    return dx, jnp.where(small, 0, terms).sum(0)


LABELS = "N=5 V=7 | N=4 V=4"

BUGS = (
    bug(
        "pytorch/pytorch#4355",
        "A1",
        "A custom backward returned the local derivative and never used grad_output.",
        cubic,
        saving(cubic),
        cubic_bwd,
        normal("N D"),
        "N=3 D=5 | N=4 D=4",
        truth="cotangent",
    ),
    bug(
        "NVIDIA/TransformerEngine#2139",
        "A1",
        "The fused loss handed out its stored gradient without the incoming factor.",
        fused_cross_entropy,
        fused_cross_entropy_fwd,
        fused_cross_entropy_bwd,
        right.labelled,
        LABELS,
        truth="cotangent",
    ),
    bug(
        "linkedin/Liger-Kernel#678",
        "A2",
        "With one loss a row, each row's gradient was scaled by the first row's dy.",
        row_cross_entropy,
        row_cross_entropy_fwd,
        row_cross_entropy_bwd,
        right.labelled,
        LABELS,
        truth="cotangent",
    ),
    bug(
        "linkedin/Liger-Kernel#1298",
        "A2",
        "The weight's gradient was summed over tokens before their dy were known.",
        linear_cross_entropy,
        linear_cross_entropy_fwd,
        linear_cross_entropy_bwd,
        lambda key, N, D, V: (
            *normal("N D", "D V")(key, N=N, D=D, V=V),
            integers(generator(key), "N", {"N": N, "V": V}, "V"),
        ),
        "N=5 D=3 V=7 | N=4 D=4 V=4",
        truth="cotangent",
    ),
    bug(
        "linkedin/Liger-Kernel#968",
        "A2",
        "An ignored first token made the scale, and with it all gradients, zero.",
        ignored_cross_entropy,
        ignored_cross_entropy_fwd,
        ignored_cross_entropy_bwd,
        first_row_ignored,
        LABELS,
        truth="zero",
    ),
    bug(
        "Dao-AILab/quack#53",
        "A6",
        "The residual stream's cotangent was added before the norm's backward.",
        prenorm,
        saving(prenorm),
        prenorm_bwd,
        normal("N D", "N D", "D"),
        "N=3 D=5 | N=4 D=4",
        truth="cotangent",
    ),
    bug(
        "jax-ml/jax#28408",
        "A6",
        "Of two outputs, the cotangent of the auxiliary one was not used.",
        softmax_and_lse,
        saving(softmax_and_lse),
        softmax_and_lse_bwd,
        normal("N D"),
        "N=3 D=5 | N=4 D=4",
        truth="cotangent",
    ),
    bug(
        "tensorflow/tensorflow#20407",
        "A6",
        "The batch statistics are outputs too, but had no gradient by the input.",
        norm_with_statistics,
        saving(norm_with_statistics),
        norm_with_statistics_bwd,
        normal("N D"),
        "N=7 D=3 | N=4 D=4",
        truth="cotangent",
    ),
    bug(
        "tensorflow/tensorflow#107705",
        "A3",
        "The gradient of the scale was not linear in the upstream gradient.",
        batchnorm_scale,
        saving(batchnorm_scale),
        batchnorm_scale_bwd,
        normal("N D", "D"),
        "N=31 D=7 | N=16 D=16",
        truth="cotangent",
    ),
)

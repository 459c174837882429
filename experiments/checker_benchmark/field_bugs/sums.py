"""Class B: what is summed and what it is divided by; blocks that end early."""

import jax.numpy as jnp
from jax import lax

from experiments.checker_benchmark.bank import softmax as right
from experiments.checker_benchmark.bank.record import normal
from experiments.checker_benchmark.field_bugs.record import bug, saving


def token_loss(x, weight):
    """Mean over the tokens; both [N]."""
    return (x * weight).mean()


def token_loss_bwd(res, dy):
    x, weight = res
    tokens = 4 * x.size  # of four accumulated batches, not of this one
    return dy * weight / tokens, dy * x / tokens


def accumulated_mean(a, b):
    """Mean over the tokens of two micro-batches of different lengths."""
    return jnp.concatenate([a, b]).mean()


def accumulated_mean_bwd(res, dy):
    a, b = res  # the mean of two means
    return jnp.full_like(a, dy / (2 * a.size)), jnp.full_like(b, dy / (2 * b.size))


def masked_loss(x):
    """Mean over all but the last entry, whose label was rolled out."""
    return x[:-1].mean()


def masked_loss_bwd(res, dy):
    (x,) = res
    return (jnp.ones_like(x).at[-1].set(0) * dy / x.size,)


def cross_entropy_unscaled_bwd(res, dy):
    logits, labels = res
    onehot = labels[:, None] == jnp.arange(logits.shape[1])
    return (right.softmax(logits) - onehot) * dy, None


def dense_loss(x, w, target):
    return 0.5 * ((x @ w - target) ** 2).sum(1).mean()


def dense_loss_bwd(res, dy):
    x, w, target = res
    r = (x @ w - target) * dy
    return r @ w.T / x.shape[0], x.T @ r, -r / x.shape[0]


def dense(x, w, b):
    return x @ w + b


def dense_total_bias_bwd(res, dy):
    x, w, b = res
    return dy @ w.T, x.T @ dy, jnp.full_like(b, dy.sum())


def dense_mean_bias_bwd(res, dy):
    x, w, _ = res
    return dy @ w.T, x.T @ dy, dy.mean(0)


def broadcast_add(x, row):
    """x [N, D] plus row [1, D]."""
    return x + row


def broadcast_add_bwd(res, dy):
    return dy, dy


def rmsnorm(x, gain):
    return gain * x * lax.rsqrt((x * x).mean(-1, keepdims=True) + 1e-6)


def rmsnorm_bwd(res, dy):
    x, gain = res
    rstd = lax.rsqrt((x * x).mean(-1, keepdims=True) + 1e-6)
    xhat = x * rstd
    g = gain * dy
    along = (g * xhat).mean(-1)
    square = x.shape[0] == x.shape[1]  # else the kernel did not compile
    correction = xhat * (along if square else along[:, None])
    return rstd * (g - correction), (dy * xhat).sum(0)


def layernorm(x, gain):
    centred = x - x.mean(-1, keepdims=True)
    return gain * centred * lax.rsqrt((centred**2).mean(-1, keepdims=True) + 1e-5)


def _layernorm_parts(x):
    centred = x - x.mean(-1, keepdims=True)
    rstd = lax.rsqrt((centred**2).mean(-1, keepdims=True) + 1e-5)
    return centred * rstd, rstd


def layernorm_block_bwd(res, dy):
    x, gain = res
    xhat, rstd = _layernorm_parts(x)
    g, D = gain * dy, x.shape[-1]
    dx = rstd * (g - g.sum() / D - xhat * (g * xhat).sum() / D)  # over the block
    return dx, (dy * xhat).sum(0)


def layernorm_truncated_bwd(res, dy):
    x, gain = res
    xhat, rstd = _layernorm_parts(x)
    g = gain * dy
    inner = g - g.mean(-1, keepdims=True) - xhat * (g * xhat).mean(-1, keepdims=True)
    whole = 4 * (x.shape[0] // 4)  # buffer rows by floor, the last block is lost
    return rstd * inner, (dy * xhat)[:whole].sum(0)


def layernorm_rank3_bwd(res, dy):
    x, gain = res
    xhat, rstd = _layernorm_parts(x)
    g = gain * dy
    axes = tuple(range(1, x.ndim))  # all but the first, whatever was normalised
    inner = (
        g - g.mean(axes, keepdims=True) - xhat * (g * xhat).mean(axes, keepdims=True)
    )
    return rstd * inner, (dy * xhat).sum(tuple(range(x.ndim - 1)))


def floats(*shapes):
    return normal(*shapes, mean=0.4, std=1.1)


def one(thread, kind, said, plain, bwd, example, dims, truth, fwd=None):
    forward = fwd or saving(plain)
    return bug(thread, kind, said, plain, forward, bwd, example, dims, truth=truth)


ROWS = "N=3 D=5 | N=4 D=4"


DENSE = (floats("N D", "D H", "H"), "N=5 D=3 H=4 | N=4 D=4 H=4")


BUGS = (
    one(
        "OpenNMT/OpenNMT-py#2209",
        "B4",
        "A batch's loss was normalised by the tokens of all accumulated batches.",
        token_loss,
        token_loss_bwd,
        floats("N", "N"),
        "N=7 | N=4",
        "ratio",
    ),
    one(
        "huggingface/transformers#34191",
        "B4",
        "Averaging the means of unequal micro-batches is not the mean of all tokens.",
        accumulated_mean,
        accumulated_mean_bwd,
        floats("N", "M"),
        "N=7 M=3 | N=4 M=5",
        "ratio",
    ),
    one(
        "NVIDIA/Megatron-LM#3159",
        "B4",
        "Gradients of a loss with a rolled mask were divided by the unrolled count.",
        masked_loss,
        masked_loss_bwd,
        floats("N"),
        "N=7 | N=4",
        "ratio",
    ),
    one(
        "victorlempitsky/Mate#2",
        "B4",
        "The softmax loss divided its value by the batch size, not its gradient.",
        right.cross_entropy,
        cross_entropy_unscaled_bwd,
        right.labelled,
        "N=5 V=7 | N=4 V=4",
        "ratio",
    ),
    one(
        "hunkim/DeepLearningZeroToAll#173",
        "B4",
        "The weights' gradient grew with the number of samples of a mean loss.",
        dense_loss,
        dense_loss_bwd,
        floats("N D", "D H", "N H"),
        "N=5 D=3 H=4 | N=4 D=4 H=4",
        "ratio",
    ),
    one(
        "rasbt/stat453-deep-learning-ss21#5",
        "B5",
        "The bias gradient was one sum over everything, the same for all classes.",
        dense,
        dense_total_bias_bwd,
        *DENSE,
        "sum",
    ),
    one(
        "jimfleming/differentiation#1",
        "B4",
        "The bias was broadcast forward; backward some took the mean of the rows.",
        dense,
        dense_mean_bias_bwd,
        *DENSE,
        "ratio",
    ),
    bug(
        "deeplearning4j/nd4j#2424",
        "B5",
        "The gradient of a broadcast row kept the broadcast shape.",
        broadcast_add,
        saving(broadcast_add),
        broadcast_add_bwd,
        lambda key, N, D: normal("N D", "K D")(key, N=N, D=D, K=1),
        ROWS,
        wrong_by="structure",
        truth="sum",
    ),
    one(
        "BobMcDear/attorch#17",
        "B5",
        "Each row's correction was spread over the columns; silent on square blocks.",
        rmsnorm,
        rmsnorm_bwd,
        floats("N D", "D"),
        "N=5 D=5 | N=4 D=4",
        "transpose",
    ),
    one(
        "flagos-ai/FlagGems#59",
        "B5",
        "Row sums of layer norm's backward were taken over a block of rows.",
        layernorm,
        layernorm_block_bwd,
        floats("N D", "D"),
        ROWS,
        "sum",
    ),
    one(
        "BobMcDear/attorch#18",
        "C6",
        "The buffer of partial sums was one short, so the last rows were not counted.",
        layernorm,
        layernorm_truncated_bwd,
        floats("N D", "D"),
        "N=7 D=5 | N=5 D=5",
        "index",
    ),
    one(
        "flagos-ai/FlagGems#5392",
        "B5",
        "The backward took any input for a matrix: wrong sums from rank three on.",
        layernorm,
        layernorm_rank3_bwd,
        floats("N T D", "D"),
        "N=2 T=3 D=5 | N=4 T=4 D=4",
        "sum",
    ),
)

"""Classes C1, C2, C6 and C8: masks and options that the backward does not heed."""

import jax
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


def attention(q, k, v, causal):
    """q, k, v [T, D]."""
    return _attend(q, k, causal) @ v


def _attend(q, k, causal):
    T = q.shape[0]
    seen = (jnp.arange(T)[:, None] >= jnp.arange(T)) | (not causal)
    return right.softmax(jnp.where(seen, q @ k.T, -1e30))


def attention_fwd(q, k, v, causal):
    return attention(q, k, v, causal), (q, k, v)


def _attention_grads(p, res, dy):
    q, k, v = res
    dp = dy @ v.T
    ds = p * (dp - (dp * p).sum(-1, keepdims=True))
    return ds @ k, ds.T @ q, p.T @ dy


def attention_never_causal_bwd(causal, res, dy):
    return _attention_grads(_attend(res[0], res[1], False), res, dy)


def attention_always_causal_bwd(causal, res, dy):
    return _attention_grads(_attend(res[0], res[1], True), res, dy)


def attention_tail_bwd(causal, res, dy):
    dq, dk, dv = _attention_grads(_attend(res[0], res[1], causal), res, dy)
    offset = -dq.shape[0] % 4  # the block is four times long
    return dq, dk, jnp.where(jnp.arange(dq.shape[0])[:, None] < offset, 0, dv)


def ignoring_loss(logits, labels):
    """Mean over the rows with a label >= 0; 0 if there is none."""
    keep = labels >= 0
    logp = right.log_softmax(logits)
    picked = jnp.take_along_axis(logp, jnp.where(keep, labels, 0)[:, None], 1)[:, 0]
    return -jnp.where(keep, picked, 0).sum() / jnp.maximum(keep.sum(), 1)


def ignoring_grad(logits, labels, count):
    onehot = labels[:, None] == jnp.arange(logits.shape[1])
    return (right.softmax(logits) - onehot) / count


def ignoring_loss_unmasked_bwd(res, dy):
    logits, labels = res
    count = jnp.maximum((labels >= 0).sum(), 1)
    return ignoring_grad(logits, labels, count) * dy, None  # ignored rows included


def with_ignored(key, N, V):
    rng, dims = generator(key), {"N": N, "V": V}
    labels = integers(rng, "N", dims, "V")
    return array(rng, "N V", dims), labels.at[::3].set(-1)


def optional_loss(logits, labels, ignored):
    """Sum of -log p over the rows whose label is not `ignored`."""
    logp = right.log_softmax(logits)
    picked = jnp.take_along_axis(logp, labels[:, None], 1)[:, 0]
    return -jnp.where(labels != ignored, picked, 0).sum()


def optional_loss_fwd(logits, labels, ignored):
    return optional_loss(logits, labels, ignored), (logits, labels)


def optional_loss_bwd(ignored, res, dy):
    logits, labels = res
    onehot = labels[:, None] == jnp.arange(logits.shape[1])
    keep = labels != -1  # the default of `ignored`, written in
    return (right.softmax(logits) - onehot) * keep[:, None] * dy, None


def switch_batchnorm(x, mean, var, training):
    """Batch statistics in training, the given ones otherwise."""
    if training:
        mean = x.mean(0)
        var = ((x - mean) ** 2).mean(0)
    return (x - mean) * lax.rsqrt(var + 1e-5)


def switch_batchnorm_fwd(x, mean, var, training):
    return switch_batchnorm(x, mean, var, training), (x, mean, var)


def switch_batchnorm_bwd(training, res, dy):
    x, mean, var = res  # the formula of training, whatever `training` says
    centred = x - x.mean(0)
    rstd = lax.rsqrt((centred**2).mean(0) + 1e-5)
    xhat = centred * rstd
    dx = rstd * (dy - dy.mean(0) - xhat * (dy * xhat).mean(0))
    return dx, jnp.zeros_like(mean), jnp.zeros_like(var)


def data_and_statistics(key, N, D):
    x, mean, var = normal("N D", "D", "D")(key, N=N, D=D)
    return x, mean, 1 + jnp.abs(var)


def dropout(x, key):
    return jnp.where(mask(x, key), x / 0.7, 0)


def mask(x, key):
    return jax.random.uniform(key, x.shape, jnp.float32) >= 0.3


def dropout_fresh_bwd(res, dy):
    x, key = res
    keep = mask(x, jax.random.fold_in(key, 1))  # drawn again
    return jnp.where(keep, dy / 0.7, 0), None


def dropout_other_seed_bwd(res, dy):
    x, _ = res
    keep = mask(x, jax.random.key(0))  # not the seed that was passed
    return jnp.where(keep, dy / 0.7, 0), None


def dropout_scale_bwd(res, dy):
    x, key = res
    return jnp.where(mask(x, key), dy * x.size, 0), None  # size passed as scale


def with_key(key, N, D):
    return *normal("N D")(key, N=N, D=D), jax.random.fold_in(key, 1)


def upper_solve(u, b):
    """x with u x = b; only the upper triangle of u is read."""
    return jax.scipy.linalg.solve_triangular(u, b)


def upper_solve_bwd(res, dy):
    u, b = res
    db = jax.scipy.linalg.solve_triangular(u, dy, trans=1)
    return -db @ upper_solve(u, b).T, db  # the unread triangle gets a gradient


def triangle_product(a):
    """u^T u of the upper triangle u of a."""
    u = jnp.triu(a)
    return u.T @ u


def triangle_product_bwd(res, dy):
    (a,) = res
    return (jnp.triu(a) @ (dy + dy.T),)  # a gradient of what is never read


def near_identity(key, D, K):
    a, b = normal("D D", "D K", std=0.6)(key, D=D, K=K)
    return a + D * jnp.eye(D, dtype=a.dtype), b


QKV = (normal("T D", "T D", "T D", mean=0.1, std=0.9), "T=5 D=3 | T=6 D=6")


ROWS = "N=3 D=5 | N=4 D=4"


LABELS = "N=7 V=5 | N=4 V=4"


def _loss(thread, kind, said, bwd, witness=None, plain=ignoring_loss, **more):
    fwd = saving(plain)
    more = {"witness": witness, **more}
    return bug(thread, kind, said, plain, fwd, bwd, with_ignored, LABELS, **more)


def keeping_all(thread, kind, said, plain, bwd, example, dims, **more):
    return bug(thread, kind, said, plain, saving(plain), bwd, example, dims, **more)


BUGS = (
    bug(
        "triton-lang/triton#7216",
        "C1",
        "The causal mask of the forward was not applied in the backward.",
        attention,
        attention_fwd,
        attention_never_causal_bwd,
        *QKV,
        True,
        truth="mask",
    ),
    bug(
        "triton-lang/triton#4541",
        "C8",
        "The attention tutorial's backward did not look at its causal option.",
        attention,
        attention_fwd,
        attention_always_causal_bwd,
        *QKV,
        False,
        truth="mask",
    ),
    bug(
        "flagos-ai/FlagGems#898",
        "C6",
        "dv was wrong on the first tokens of lengths that are no multiple of a block.",
        attention,
        attention_fwd,
        attention_tail_bwd,
        *QKV,
        True,
        truth="index",
    ),
    _loss(
        "PaddlePaddle/Paddle#28622",
        "C1",
        "Rows with the ignored label had a gradient.",
        ignoring_loss_unmasked_bwd,
        truth="mask",
    ),
    bug(
        "chainer/chainer#2715",
        "C8",
        "The label to ignore was an option, but -1 was written into the backward.",
        optional_loss,
        optional_loss_fwd,
        optional_loss_bwd,
        right.labelled,
        LABELS,
        1,
        truth="option",
    ),
    bug(
        "FluxML/Flux.jl#2179",
        "C8",
        "In test mode batch norm's backward still used the formula of training.",
        switch_batchnorm,
        switch_batchnorm_fwd,
        switch_batchnorm_bwd,
        data_and_statistics,
        ROWS,
        False,
        truth="option",
    ),
    keeping_all(
        "microsoft/onnxruntime#19715",
        "C2",
        "A recomputed dropout drew another mask than the forward's.",
        dropout,
        dropout_fresh_bwd,
        with_key,
        ROWS,
        truth="mask",
    ),
    keeping_all(
        "facebookresearch/xformers#173",
        "C2",
        "The address of the seed served as the seed, so it was another one.",
        dropout,
        dropout_other_seed_bwd,
        with_key,
        ROWS,
        truth="mask",
    ),
    keeping_all(
        "ooples/AiDotNet.Tensors#732",
        "B4",
        "Arguments of the dropout kernel were exchanged: the size became the scale.",
        dropout,
        dropout_scale_bwd,
        with_key,
        ROWS,
        truth="ratio",
    ),
    keeping_all(
        "jax-ml/jax#1458",
        "C1",
        "The triangle that triangular_solve does not read got a derivative.",
        upper_solve,
        upper_solve_bwd,
        near_identity,
        "D=4 K=3 | D=3 K=3",
        truth="mask",
    ),
    keeping_all(
        "jax-ml/jax#40421",
        "C1",
        "A routine that reads the upper triangle sent a gradient to the lower one.",
        triangle_product,
        triangle_product_bwd,
        lambda key, D: normal("D D")(key, D=D),
        "D=4 | D=3",
        truth="mask",
    ),
)

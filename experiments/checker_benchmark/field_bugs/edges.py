"""Class C: masks, ties, zeros, saturation, options that are seldom used."""

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


def padded_attention(scores, keep):
    """Softmax over the kept entries of a row; all 0 where nothing is kept."""
    big = jnp.where(keep, scores, -1e30)
    e = jnp.where(keep, jnp.exp(big - lax.stop_gradient(big.max(-1, keepdims=True))), 0)
    total = e.sum(-1, keepdims=True)
    return e / jnp.where(total > 0, total, 1)


def padded_attention_bwd(res, dy):
    scores, keep = res
    p = jax.nn.softmax(jnp.where(keep, scores, -jnp.inf), -1)  # NaN on empty rows
    return p * (dy - (dy * p).sum(-1, keepdims=True)), None


def scores_and_keep(key, N, D):
    keep = (jnp.arange(N)[:, None] + jnp.arange(D)) % 3 != 0
    return array(generator(key), "N D", {"N": N, "D": D}), keep


def nothing_kept(args):
    scores, keep = args
    return scores, keep.at[0].set(False)


def ignoring_loss(logits, labels):
    """Mean over the rows with a label >= 0; 0 if there is none."""
    keep = labels >= 0
    logp = right.log_softmax(logits)
    picked = jnp.take_along_axis(logp, jnp.where(keep, labels, 0)[:, None], 1)[:, 0]
    return -jnp.where(keep, picked, 0).sum() / jnp.maximum(keep.sum(), 1)


def _ignoring_grad(logits, labels, count):
    onehot = labels[:, None] == jnp.arange(logits.shape[1])
    return (right.softmax(logits) - onehot) / count


def ignoring_loss_unmasked_bwd(res, dy):
    logits, labels = res
    count = jnp.maximum((labels >= 0).sum(), 1)
    return _ignoring_grad(logits, labels, count) * dy, None  # ignored rows included


def ignoring_loss_empty_bwd(res, dy):
    logits, labels = res
    keep = labels >= 0
    grad = _ignoring_grad(logits, labels, keep.sum().astype(logits.dtype))
    return grad * keep[:, None] * dy, None  # 0 / 0 if no row is kept


def ignoring_loss_infinite_bwd(res, dy):
    logits, labels = res
    keep = labels >= 0
    p = jnp.exp(logits - logits.max(-1, keepdims=True))
    p = p / p.sum(-1, keepdims=True)
    onehot = labels[:, None] == jnp.arange(logits.shape[1])
    scale = keep[:, None] / jnp.maximum(keep.sum(), 1)
    return (p - onehot) * scale * dy, None  # NaN times 0


def robust_ignoring_loss(logits, labels):
    """As ignoring_loss; what an ignored row holds does not matter."""
    safe = jnp.where((labels >= 0)[:, None], logits, 0)
    return ignoring_loss(safe, labels)


def with_ignored(key, N, V):
    rng, dims = generator(key), {"N": N, "V": V}
    labels = integers(rng, "N", dims, "V")
    return array(rng, "N V", dims), labels.at[::3].set(-1)


def all_ignored(args):
    logits, labels = args
    return logits, jnp.full_like(labels, -1)


def ignored_is_infinite(args):
    logits, labels = args
    return logits.at[0].set(-jnp.inf), labels


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
    return jnp.where(_mask(x, key), x / 0.7, 0)


def _mask(x, key):
    return jax.random.uniform(key, x.shape, jnp.float32) >= 0.3


def dropout_fresh_bwd(res, dy):
    x, key = res
    mask = _mask(x, jax.random.fold_in(key, 1))  # drawn again
    return jnp.where(mask, dy / 0.7, 0), None


def dropout_other_seed_bwd(res, dy):
    x, _ = res
    mask = _mask(x, jax.random.key(0))  # not the seed that was passed
    return jnp.where(mask, dy / 0.7, 0), None


def dropout_scale_bwd(res, dy):
    x, key = res
    return jnp.where(_mask(x, key), dy * x.size, 0), None  # size passed as scale


def dropout_by_quotient_bwd(res, dy):
    x, key = res
    zero = x == 0
    y = dropout(x, key)
    return jnp.where(zero, dy, y / jnp.where(zero, 1, x) * dy), None


def with_key(key, N, D):
    return *normal("N D")(key, N=N, D=D), jax.random.fold_in(key, 1)


def some_zeros(args):
    x, key = args
    return jnp.zeros_like(x), key


def row_max(x):
    return x.max(-1)


def row_max_bwd(res, dy):
    (x,) = res
    return (jnp.where(x == x.max(-1, keepdims=True), dy[:, None], 0),)


def tied(args):
    (x,) = args
    return (x.at[:, 0].set(5).at[:, 1].set(5),)


def bump(x):
    """exp(-|x|^2) of each row."""
    return jnp.exp(-(x * x).sum(-1))


def bump_bwd(res, dy):
    (x,) = res
    r = jnp.sqrt((x * x).sum(-1, keepdims=True))
    return (dy[:, None] * jnp.exp(-r * r) * -2 * r * (x / r),)


def squared_norm(x):
    return (x * x).sum(-1)


def squared_norm_bwd(res, dy):
    (x,) = res
    r = jnp.sqrt((x * x).sum(-1, keepdims=True))
    return (dy[:, None] * 2 * r * (x / r),)


def zeros(args):
    return tuple(jnp.zeros_like(a) for a in args)


def determinant(a):
    return jnp.linalg.det(a)


def determinant_bwd(res, dy):
    (a,) = res
    d = jnp.linalg.det(a)
    inverse = jnp.linalg.inv(a + 0)
    return (jnp.where(d == 0, 0, dy * d * inverse.T),)  # no cofactors if singular


def singular(args):
    (a,) = args
    return (a.at[0].set(0.0),)


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


def _plain(thread, kind, said, plain, bwd, example, dims, **more):
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
    _plain(
        "pytorch/pytorch#153799",
        "C4",
        "Rows without any unmasked entry made the gradient NaN.",
        padded_attention,
        padded_attention_bwd,
        scores_and_keep,
        ROWS,
        wrong_by="finite",
        witness=nothing_kept,
        truth="edge",
    ),
    _loss(
        "PaddlePaddle/Paddle#28622",
        "C1",
        "Rows with the ignored label had a gradient.",
        ignoring_loss_unmasked_bwd,
        truth="mask",
    ),
    _loss(
        "pytorch/pytorch#116349",
        "C5",
        "With every label ignored the mean, and so its gradient, is 0 / 0.",
        ignoring_loss_empty_bwd,
        all_ignored,
        wrong_by="finite",
        truth="edge",
    ),
    _loss(
        "pytorch/pytorch#11551",
        "C4",
        "An ignored row of -inf still sent NaN back.",
        ignoring_loss_infinite_bwd,
        ignored_is_infinite,
        plain=robust_ignoring_loss,
        wrong_by="finite",
        truth="edge",
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
    _plain(
        "microsoft/onnxruntime#19715",
        "C2",
        "A recomputed dropout drew another mask than the forward's.",
        dropout,
        dropout_fresh_bwd,
        with_key,
        ROWS,
        truth="mask",
    ),
    _plain(
        "facebookresearch/xformers#173",
        "C2",
        "The address of the seed served as the seed, so it was another one.",
        dropout,
        dropout_other_seed_bwd,
        with_key,
        ROWS,
        truth="mask",
    ),
    _plain(
        "ooples/AiDotNet.Tensors#732",
        "B4",
        "Arguments of the dropout kernel were exchanged: the size became the scale.",
        dropout,
        dropout_scale_bwd,
        with_key,
        ROWS,
        truth="ratio",
    ),
    _plain(
        "kaldi-asr/kaldi#3890",
        "C7",
        "The mask was inferred as output over input, which fails where both are 0.",
        dropout,
        dropout_by_quotient_bwd,
        with_key,
        ROWS,
        witness=some_zeros,
        truth="edge",
    ),
    _plain(
        "Theano/Theano#4568",
        "C3",
        "Tied maxima each got the whole gradient: no subgradient sums to two.",
        row_max,
        row_max_bwd,
        normal("N D"),
        ROWS,
        witness=tied,
        wrong_by="tie",
        truth="edge",
    ),
    _plain(
        "HIPS/autograd#183",
        "C7",
        "A smooth function of a norm had NaN for its gradient at the origin.",
        bump,
        bump_bwd,
        normal("N D", std=0.6),
        ROWS,
        witness=zeros,
        wrong_by="finite",
        truth="edge",
    ),
    _plain(
        "jax-ml/jax#4177",
        "C7",
        "The square of a norm had NaN for its gradient at the origin.",
        squared_norm,
        squared_norm_bwd,
        normal("N D"),
        ROWS,
        witness=zeros,
        wrong_by="finite",
        truth="edge",
    ),
    _plain(
        "pytorch/pytorch#104675",
        "C7",
        "The determinant's gradient at a singular matrix came out as zero.",
        determinant,
        determinant_bwd,
        lambda key, D: normal("D D")(key, D=D),
        "D=3 | D=2",
        witness=singular,
        truth="edge",
    ),
    _plain(
        "jax-ml/jax#1458",
        "C1",
        "The triangle that triangular_solve does not read got a derivative.",
        upper_solve,
        upper_solve_bwd,
        near_identity,
        "D=4 K=3 | D=3 K=3",
        truth="mask",
    ),
    _plain(
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

"""Classes C3 to C5 and C7: ties, zeros, infinities, nothing left to average."""

import jax
import jax.numpy as jnp
from jax import lax

from experiments.checker_benchmark.bank.record import (
    array,
    generator,
    normal,
)
from experiments.checker_benchmark.field_bugs.masks import (
    LABELS,
    ROWS,
    dropout,
    ignoring_grad,
    ignoring_loss,
    keeping_all,
    with_ignored,
    with_key,
)
from experiments.checker_benchmark.field_bugs.record import bug, saving


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


def ignoring_loss_empty_bwd(res, dy):
    logits, labels = res
    keep = labels >= 0
    grad = ignoring_grad(logits, labels, keep.sum().astype(logits.dtype))
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


def all_ignored(args):
    logits, labels = args
    return logits, jnp.full_like(labels, -1)


def ignored_is_infinite(args):
    logits, labels = args
    return logits.at[0].set(-jnp.inf), labels


def dropout_by_quotient_bwd(res, dy):
    x, key = res
    zero = x == 0
    y = dropout(x, key)
    return jnp.where(zero, dy, y / jnp.where(zero, 1, x) * dy), None


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


def _loss(thread, kind, said, bwd, witness=None, plain=ignoring_loss, **more):
    fwd = saving(plain)
    more = {"witness": witness, **more}
    return bug(thread, kind, said, plain, fwd, bwd, with_ignored, LABELS, **more)


BUGS = (
    keeping_all(
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
    keeping_all(
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
    keeping_all(
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
    keeping_all(
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
    keeping_all(
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
    keeping_all(
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
)

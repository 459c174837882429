"""Cross entropy of logits against integer labels, mean over the batch.

    p = softmax(logits)      loss = -1/N sum_n log p[n, labels[n]]

With z = logits[n], the loss of one row is log(sum_v e^z[v]) - z[label]. Perturb z:

    lse = log(sum_v e^z[v]) moves by  sum_v p[v] dz[v]
    z[label] moves by                 dz[label]

Collect, transpose (a row vector becomes a column), and mean over the rows:

    dlogits[n] = (p[n] - onehot(labels[n])) dloss / N

Each row pulls the right class up and pushes all others down in proportion to their
probability; the pushes and the pull balance, sum_v dlogits[n, v] = 0, because adding a
constant to a row of logits changes nothing. For the same reason the row's maximum may
be subtracted before exp, and no gradient need flow through it.

The options put a few numbers in: smoothing a target q = (1 - s) onehot + s / V, z-loss
k lse^2 beside a row's, and a weight w[n], 0 or dloss / (the rows that count):

    dlogits[n] = w[n] ((1 + 2 k lse[n]) p[n] - q[n])

Check: V = 1 gives p = 1, loss 0 and dlogits 0; equal logits give 1/V - 1 at the label
and 1/V elsewhere, over N.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Integer

from jaxninja.rule import Case, Rule, expect, wide
from jaxninja.rules.losses import arguments


class Residuals(NamedTuple):
    p: jax.Array  # [N, V] softmax of the logits; the logits themselves are not kept
    labels: jax.Array  # [N]
    lse: jax.Array | None  # [N], for a z-loss only


class Options(NamedTuple):
    """The static arguments, together."""

    ignore_index: int
    reduction: str
    smoothing: float
    z_loss: float


@partial(jax.custom_vjp, nondiff_argnums=(2, 3, 4, 5))
def cross_entropy(
    logits: Float[Array, "N V"],
    labels: Integer[Array, "N"],
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
    z_loss: float = 0.0,
) -> Float[Array, ""] | Float[Array, "N"]:
    """Negative log-likelihood: loss = mean_n -log softmax(logits)[n, labels[n]].

    Args:
        logits: [N, V], of any size: the row's maximum is subtracted first, so 1e4 or a
            common offset neither overflows nor loses digits. -inf is a masked class.
        labels: [N] integers in [0, V), or ignore_index. Any other makes its loss NaN.
        ignore_index: label of rows that count nowhere: loss 0 and no gradient,
            whatever the logits are.
        reduction: `mean` over the rows that count (0 if there is none), or `none`.
        label_smoothing: s in [0, 1): share of the target that is spread evenly.
        z_loss: k, the weight of lse^2.

    Returns:
        Scalar, or [N] for the reduction `none`, in nats.

    Raises:
        ValueError: the shapes do not fit, labels are not integers, the batch is empty
            (its mean is 0 / 0), or an option is out of its range.

    Source: Bridle 1990, Neurocomputing NATO ASI F68; Karpathy's makemore part 4;
    smoothing: Szegedy et al. 2015, arXiv:1512.00567; z-loss: arXiv:2204.02311.
    """
    options = ignore_index, reduction, label_smoothing, z_loss
    return cross_entropy_fwd(logits, labels, *options)[0]


def cross_entropy_fwd(logits, labels, *static):
    options = Options(*static)
    _check_arguments(logits, labels, options)
    labels = arguments.signed(labels)
    m = jax.lax.stop_gradient(logits.max(-1, keepdims=True))
    shifted = logits - m
    counts = jnp.exp(shifted)
    total = counts.sum(-1, keepdims=True)
    log_total = jnp.log(total)
    rows = (log_total - _target(shifted, labels, options))[:, 0]
    lse = (m + log_total)[:, 0] if options.z_loss else None
    rows = rows if lse is None else rows + options.z_loss * lse**2
    kept = Residuals(counts * (1 / total), labels, lse)  # a division is slow
    return _reduced(rows, labels, options), kept


def cross_entropy_bwd(ignore_index, reduction, label_smoothing, z_loss, res, dloss):
    """Returns dlogits [N, V], and None for the integer labels."""
    p, labels, lse = res
    V = p.shape[1]
    w = dloss * _weights(labels, ignore_index, reduction, dloss)
    pull = w if lse is None else w * (1 + 2 * z_loss * lse)
    dlogits = p * pull[:, None]  # N V numbers, and the label's share is at N of them
    dlogits = jnp.where((labels != ignore_index)[:, None], dlogits, 0)  # 0 NaN is NaN
    if label_smoothing:
        dlogits -= (label_smoothing / V * w)[:, None]
    return _add_at_label(dlogits, labels, (label_smoothing - 1) * w), None


cross_entropy.defvjp(cross_entropy_fwd, cross_entropy_bwd)


def cross_entropy_jvp(
    ignore_index, reduction, label_smoothing, z_loss, primals, tangents
):
    """Returns the loss and its move dloss, as the loss, for a move of the logits."""
    options = Options(ignore_index, reduction, label_smoothing, z_loss)
    loss, (p, labels, lse) = cross_entropy_fwd(*primals, *options)
    dz = tangents[0]
    dlse = (p * dz).sum(-1)
    rows = dlse if lse is None else (1 + 2 * z_loss * lse) * dlse
    rows -= _target(dz, labels, options)[:, 0]
    return loss, _reduced(rows, labels, options)


def _target(z, labels, options):
    """sum_v q z [N, 1], q the target: the label's entry, and s of it spread evenly."""
    labels = jnp.where(labels == options.ignore_index, 0, labels)  # 0: of no effect
    picked = _pick(z, labels)
    if not options.smoothing:
        return picked
    spread = z.mean(-1, keepdims=True)
    return (1 - options.smoothing) * picked + options.smoothing * spread


def _reduced(rows, labels, options):
    rows = jnp.where(labels != options.ignore_index, rows, 0)
    if options.reduction == "none":
        return rows
    total = wide(rows).sum()
    return (total / _count(labels, options.ignore_index, total)).astype(rows.dtype)


def _weights(labels, ignore_index, reduction, dloss):
    """d(loss) / d(loss of row n): 1 or 0, over the rows that count for the mean."""
    counts = labels != ignore_index
    if reduction == "none":
        return counts.astype(dloss.dtype)
    each = 1 / _count(labels, ignore_index, wide(dloss))
    return jnp.where(counts, each, 0).astype(dloss.dtype)


def _count(labels, ignore_index, like):
    """Rows that count, 1 at least, in the type of `like`: in float32 or wider, since
    whole numbers above 256 are not bfloat16's."""
    counted = (labels != ignore_index).sum()
    return jnp.maximum(counted, 1).astype(like.dtype)


def _pick(logits, labels):
    """The label's entry of each row, [N, 1]; NaN for a label that is no class."""

    def of_row(z, label):
        nan = {"mode": "fill", "fill_value": jnp.nan}
        return z.at[label].get(**nan, wrap_negative_indices=False)

    return jax.vmap(of_row)(logits, labels)[:, None]


@jax.vmap
def _add_at_label(row, label, value):
    """`row` with `value` added at its label, if that is a class."""
    return row.at[label].add(value, mode="drop", wrap_negative_indices=False)


def _check_arguments(logits, labels, options):
    given, fits = f"of shape {logits.shape}", logits.ndim == 2 and logits.size > 0
    expect("cross_entropy", "logits", given, "[N, V], not empty", fits)
    arguments.classes("cross_entropy", labels, len(logits), f"logits is {logits.shape}")
    arguments.options("cross_entropy", *options[1:])


def example(key, N, V):
    key_logits, key_labels = jax.random.split(key)
    logits = 2 * jax.random.normal(key_logits, (N, V))
    labels = jax.random.randint(key_labels, (N,), 0, V)
    return logits, jnp.where(jnp.arange(N) % 4 == 2, -100, labels)  # some to ignore


rule = Rule(
    op=cross_entropy,
    fwd=cross_entropy_fwd,
    bwd=cross_entropy_bwd,
    jvp=cross_entropy_jvp,
    example=example,
    cases=(
        Case({"N": 5, "V": 7}, (-100, "mean", 0.0, 0.0)),
        Case({"N": 4, "V": 4}, (-100, "none", 0.2, 1e-2)),
        Case({"N": 1, "V": 27}, (-100, "mean", 0.1, 0.0)),
        Case({"N": 17, "V": 2}, (-100, "mean", 0.0, 1e-3)),
    ),
    bench=Case({"N": 1024, "V": 1024}, (-100, "mean", 0.0, 0.0)),
    source="Bridle 1990; Karpathy's makemore part 4",
)

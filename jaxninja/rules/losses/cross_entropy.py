"""Cross entropy of logits against integer labels, mean over the batch.

    p = softmax(logits)      loss = -1/N sum_n log p[n, labels[n]]

With z = logits[n], the loss of one row is log(sum_v e^z[v]) - z[label]. Perturb z:

    log(sum_v e^z[v]) moves by  sum_v p[v] dz[v]
    z[label] moves by           dz[label]

Collect, transpose (a row vector becomes a column), and mean over the rows:

    dlogits[n] = (p[n] - onehot(labels[n])) dloss / N

Each row pulls the right class up and pushes all others down in proportion to their
probability; the pushes and the pull balance, sum_v dlogits[n, v] = 0, because adding a
constant to a row of logits changes nothing. For the same reason the row's maximum may
be subtracted before exp, and no gradient need flow through it.

Check: V = 1 gives p = 1, loss 0 and dlogits 0; equal logits give 1/V - 1 at the label
and 1/V elsewhere, over N.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jaxninja.rule import Case, Rule, expect


class Residuals(NamedTuple):
    p: jax.Array  # [N, V] softmax of the logits; the logits themselves are not kept
    labels: jax.Array  # [N]


@jax.custom_vjp
def cross_entropy(
    logits: Float[Array, "N V"], labels: Int[Array, "N"]
) -> Float[Array, ""]:
    """Mean negative log-likelihood: loss = mean_n -log softmax(logits)[n, labels[n]].

    Args:
        logits: [N, V], of any size: the row's maximum is subtracted first, so 1e4 or a
            common offset neither overflows nor loses digits. -inf is a masked class.
        labels: [N] integers in [0, V). One outside makes the loss NaN.

    Returns:
        Scalar, in nats.

    Raises:
        ValueError: the shapes do not fit, labels are not integers, or the batch is
            empty (its mean is 0 / 0).

    Source: Bridle 1990, Neurocomputing NATO ASI F68; Karpathy's makemore part 4.
    """
    return cross_entropy_fwd(logits, labels)[0]


def cross_entropy_fwd(logits, labels):
    _door(logits, labels)
    shifted = logits - jax.lax.stop_gradient(logits.max(-1, keepdims=True))
    counts = jnp.exp(shifted)
    total = counts.sum(-1, keepdims=True)
    loss = (jnp.log(total) - _pick(shifted, labels)).mean()
    return loss, Residuals(counts * (1 / total), labels)  # a division is slow


def cross_entropy_bwd(res, dloss):
    """Returns dlogits [N, V], and None for the integer labels."""
    N = len(res.labels)
    push = res.p * (dloss / N)  # N V numbers, and the pull is at N of them only
    pulled = push.at[jnp.arange(N), res.labels].add(-dloss / N, mode="drop")
    return pulled, None


cross_entropy.defvjp(cross_entropy_fwd, cross_entropy_bwd)


def cross_entropy_jvp(primals, tangents):
    """Returns the loss and its move dloss, a scalar, for a move of the logits."""
    dlogits, _ = tangents
    loss, (p, labels) = cross_entropy_fwd(*primals)
    return loss, ((p * dlogits).sum(-1) - _pick(dlogits, labels)[:, 0]).mean()


def _pick(logits, labels):
    index = labels[:, None]
    return jnp.take_along_axis(logits, index, -1, mode="fill", fill_value=jnp.nan)


def _door(logits, labels):
    fits = logits.ndim == 2 and logits.size > 0
    expect(
        "cross_entropy", "logits", f"of shape {logits.shape}", "[N, V], not empty", fits
    )
    fits = labels.shape == logits.shape[:1]
    expected = f"[{logits.shape[0]}], as logits is {logits.shape}"
    expect("cross_entropy", "labels", f"of shape {labels.shape}", expected, fits)
    integer = jnp.issubdtype(labels.dtype, jnp.integer)
    expect("cross_entropy", "labels", f"of type {labels.dtype}", "integers", integer)


def example(key, N, V):
    key_logits, key_labels = jax.random.split(key)
    logits = 2 * jax.random.normal(key_logits, (N, V))
    return logits, jax.random.randint(key_labels, (N,), 0, V)


rule = Rule(
    op=cross_entropy,
    fwd=cross_entropy_fwd,
    bwd=cross_entropy_bwd,
    jvp=cross_entropy_jvp,
    example=example,
    cases=(
        Case({"N": 5, "V": 7}),
        Case({"N": 4, "V": 4}),
        Case({"N": 1, "V": 27}),
        Case({"N": 17, "V": 2}),
    ),
    bench=Case({"N": 1024, "V": 1024}),
    source="Bridle 1990; Karpathy's makemore part 4",
)

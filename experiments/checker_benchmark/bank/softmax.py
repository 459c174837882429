"""Softmax and what is built on it; p is softmax(x) along the last axis.

d softmax:    dx = p (dy - sum(dy p))
d logsumexp:  dx = p dy
"""

import jax
import jax.numpy as jnp
from jax import lax

from experiments.checker_benchmark.bank.record import (
    array,
    generator,
    integers,
    normal,
    record,
    sizes,
)


def _log_softmax(x):
    shifted = x - lax.stop_gradient(x.max(-1, keepdims=True))
    return shifted - jnp.log(jnp.exp(shifted).sum(-1, keepdims=True))


def softmax(x):
    e = jnp.exp(x - lax.stop_gradient(x.max(-1, keepdims=True)))
    return e / e.sum(-1, keepdims=True)


def softmax_fwd(x):
    p = softmax(x)
    return p, p


def softmax_bwd(p, dy):
    return (p * (dy - (dy * p).sum(-1, keepdims=True)),)


def log_softmax(x):
    return _log_softmax(x)


def log_softmax_fwd(x):
    y = _log_softmax(x)
    return y, y


def log_softmax_bwd(y, dy):
    return (dy - jnp.exp(y) * dy.sum(-1, keepdims=True),)


def logsumexp(x):
    top = lax.stop_gradient(x.max(-1))
    return top + jnp.log(jnp.exp(x - top[:, None]).sum(-1))


def logsumexp_fwd(x):
    y = logsumexp(x)
    return y, (x, y)


def logsumexp_bwd(res, dy):
    x, y = res
    return (jnp.exp(x - y[:, None]) * dy[:, None],)


def cross_entropy(logits, labels):
    """Mean over N of -log p[label]."""
    return cross_entropy_fwd(logits, labels)[0]


def cross_entropy_fwd(logits, labels):
    logp = _log_softmax(logits)
    rows = jnp.arange(labels.shape[0])
    return -logp[rows, labels].mean(), (logp, labels)


def cross_entropy_bwd(res, dy):
    logp, labels = res
    n = labels.shape[0]
    dlogits = jnp.exp(logp).at[jnp.arange(n), labels].add(-1)
    return dlogits * dy / n, None


def masked_cross_entropy(logits, labels, keep):
    """Mean of -log p[label] over the rows with keep; at least one is kept."""
    return masked_cross_entropy_fwd(logits, labels, keep)[0]


def masked_cross_entropy_fwd(logits, labels, keep):
    logp = _log_softmax(logits)
    picked = jnp.take_along_axis(logp, labels[:, None], -1)[:, 0]
    weight = keep.astype(logits.dtype) / keep.sum()
    return -(weight * picked).sum(), (logp, labels, weight)


def masked_cross_entropy_bwd(res, dy):
    logp, labels, weight = res
    onehot = labels[:, None] == jnp.arange(logp.shape[1])
    dlogits = (jnp.exp(logp) - onehot) * weight[:, None] * dy
    return dlogits, None, None


def label_smoothing(logits, labels, smooth):
    """Cross-entropy with the target (1 - smooth) onehot + smooth / V."""
    return label_smoothing_fwd(logits, labels, smooth)[0]


def label_smoothing_fwd(logits, labels, smooth):
    logp = _log_softmax(logits)
    picked = jnp.take_along_axis(logp, labels[:, None], -1)[:, 0]
    loss = -(1 - smooth) * picked - smooth * logp.mean(-1)
    return loss.mean(), (logp, labels)


def label_smoothing_bwd(smooth, res, dy):
    logp, labels = res
    n, V = logp.shape
    target = (1 - smooth) * jax.nn.one_hot(labels, V, dtype=logp.dtype) + smooth / V
    return (jnp.exp(logp) - target) * (dy / n), None


def soft_cross_entropy(logits, target):
    """-sum(target logp) per row; the target need not sum to one."""
    return -(target * _log_softmax(logits)).sum(-1)


def soft_cross_entropy_fwd(logits, target):
    logp = _log_softmax(logits)
    return -(target * logp).sum(-1), (logp, target)


def soft_cross_entropy_bwd(res, dy):
    logp, target = res
    mass = target.sum(-1, keepdims=True)
    g = dy[:, None]
    return g * (jnp.exp(logp) * mass - target), -g * logp


def kl(x, z):
    """KL(softmax(x) || softmax(z)), mean over the rows."""
    return kl_fwd(x, z)[0]


def kl_fwd(x, z):
    logp, logq = _log_softmax(x), _log_softmax(z)
    rows = (jnp.exp(logp) * (logp - logq)).sum(-1)
    return rows.mean(), (logp, logq, rows)


def kl_bwd(res, dy):
    logp, logq, rows = res
    p, scale = jnp.exp(logp), dy / rows.shape[0]
    dx = scale * p * (logp - logq - rows[:, None])
    return dx, scale * (jnp.exp(logq) - p)


def tempered_softmax(x, beta):
    """softmax(beta x) with a scalar inverse temperature."""
    return softmax(beta * x)


def tempered_softmax_fwd(x, beta):
    p = softmax(beta * x)
    return p, (x, p, beta)


def tempered_softmax_bwd(res, dy):
    x, p, beta = res
    g = p * (dy - (dy * p).sum(-1, keepdims=True))
    return beta * g, (x * g).sum()


def z_loss(x):
    """Mean over the rows of logsumexp(x)^2."""
    return (logsumexp(x) ** 2).mean()


def z_loss_fwd(x):
    lse = logsumexp(x)
    return (lse**2).mean(), (x, lse)


def z_loss_bwd(res, dy):
    x, lse = res
    p = jnp.exp(x - lse[:, None])
    return (p * (2 * lse * dy / lse.shape[0])[:, None],)


def entropy(x):
    """Entropy of softmax(x), a number a row."""
    logp = _log_softmax(x)
    return -(jnp.exp(logp) * logp).sum(-1)


def entropy_fwd(x):
    logp = _log_softmax(x)
    H = -(jnp.exp(logp) * logp).sum(-1)
    return H, (logp, H)


def entropy_bwd(res, dy):
    logp, H = res
    return (-jnp.exp(logp) * (logp + H[:, None]) * dy[:, None],)


def labelled(key, N, V):
    rng, dims = generator(key), {"N": N, "V": V}
    return array(rng, "N V", dims), integers(rng, "N", dims, "V")


def labelled_and_kept(key, N, V):
    keep = (jnp.arange(N) % 3) != 1  # rows 1, 4, ... are masked
    return (*labelled(key, N, V), keep)


ROWS = (sizes("N=3 D=5"), sizes("N=4 D=4"), sizes("N=1 D=7"))
LABELS = (sizes("N=5 V=7"), sizes("N=4 V=4"))
TEXT = "Bridle 1990; Goodfellow et al. 2016, section 6.2.2"

RULES = (
    record(softmax, softmax_fwd, softmax_bwd, normal("N D"), *ROWS, source=TEXT),
    record(
        log_softmax, log_softmax_fwd, log_softmax_bwd, normal("N D"), *ROWS, source=TEXT
    ),
    record(logsumexp, logsumexp_fwd, logsumexp_bwd, normal("N D"), *ROWS, source=TEXT),
    record(
        cross_entropy,
        cross_entropy_fwd,
        cross_entropy_bwd,
        labelled,
        *LABELS,
        source=TEXT,
    ),
    record(
        masked_cross_entropy,
        masked_cross_entropy_fwd,
        masked_cross_entropy_bwd,
        labelled_and_kept,
        *LABELS,
        source=TEXT,
    ),
    record(
        label_smoothing,
        label_smoothing_fwd,
        label_smoothing_bwd,
        labelled,
        sizes("N=5 V=7", 0.1),
        sizes("N=4 V=4", 0.3),
        static=1,
        source="Szegedy et al. 2015, arXiv:1512.00567",
    ),
    record(
        soft_cross_entropy,
        soft_cross_entropy_fwd,
        soft_cross_entropy_bwd,
        normal("N V", "N V", mean=0.6),
        *LABELS,
        source="Hinton et al. 2015, arXiv:1503.02531",
    ),
    record(kl, kl_fwd, kl_bwd, normal("N V", "N V"), *LABELS, source="Kullback 1951"),
    record(
        tempered_softmax,
        tempered_softmax_fwd,
        tempered_softmax_bwd,
        normal("N D", ""),
        *ROWS,
        source="Hinton et al. 2015, arXiv:1503.02531",
    ),
    record(
        z_loss,
        z_loss_fwd,
        z_loss_bwd,
        normal("N D"),
        *ROWS,
        source="Chowdhery et al. 2022, arXiv:2204.02311",
    ),
    record(entropy, entropy_fwd, entropy_bwd, normal("N D"), *ROWS, source=TEXT),
)

"""Losses: the cotangent is one number, or one a row; n is what the mean divides by."""

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
from experiments.checker_benchmark.bank.softmax import softmax


def mse(x, target):
    return ((x - target) ** 2).mean()


def mse_fwd(x, target):
    return mse(x, target), (x, target)


def mse_bwd(res, dy):
    x, target = res
    dx = 2 * (x - target) * dy / x.size
    return dx, -dx


def huber(x, target, delta):
    """Quadratic up to delta, linear beyond, per element."""
    r = x - target
    small = jnp.abs(r) <= delta
    return jnp.where(small, 0.5 * r * r, delta * (jnp.abs(r) - 0.5 * delta))


def huber_fwd(x, target, delta):
    return huber(x, target, delta), x - target


def huber_bwd(delta, r, dy):
    dx = dy * jnp.where(jnp.abs(r) <= delta, r, delta * jnp.sign(r))
    return dx, -dx


def hinge(score, sign):
    """Mean of max(0, 1 - sign score), sign in {-1, 1} an integer."""
    margin = 1 - sign * score
    return jnp.where(margin > 0, margin, 0).mean()


def hinge_fwd(score, sign):
    return hinge(score, sign), (score, sign)


def hinge_bwd(res, dy):
    score, sign = res
    inside = 1 - sign * score > 0
    return jnp.where(inside, -sign * dy, 0) / score.size, None


def bce_logits(x, target):
    """Binary cross-entropy of sigmoid(x), per element: softplus(x) - target x."""
    return jnp.logaddexp(x, 0) - target * x


def bce_logits_fwd(x, target):
    return bce_logits(x, target), (x, target)


def bce_logits_bwd(res, dy):
    x, target = res
    return dy * (lax.logistic(x) - target), -dy * x


def cosine_similarity(a, b):
    """a.b / (|a| |b|), a number a row."""
    return cosine_similarity_fwd(a, b)[0]


def cosine_similarity_fwd(a, b):
    ra = lax.rsqrt((a * a).sum(-1, keepdims=True))
    rb = lax.rsqrt((b * b).sum(-1, keepdims=True))
    cos = (a * ra * b * rb).sum(-1)
    return cos, (a * ra, b * rb, ra, rb, cos)


def cosine_similarity_bwd(res, dy):
    ua, ub, ra, rb, cos = res
    g, c = dy[:, None], cos[:, None]
    return g * ra * (ub - c * ua), g * rb * (ua - c * ub)


def log_cosh(x, target):
    r = x - target
    return (jnp.logaddexp(r, -r) - jnp.log(2.0)).mean()


def log_cosh_fwd(x, target):
    return log_cosh(x, target), x - target


def log_cosh_bwd(r, dy):
    dx = jnp.tanh(r) * dy / r.size
    return dx, -dx


def gaussian_nll(mean, logvar, target):
    """0.5 (logvar + (target - mean)^2 / var), per element."""
    return 0.5 * (logvar + (target - mean) ** 2 * jnp.exp(-logvar))


def gaussian_nll_fwd(mean, logvar, target):
    z = (target - mean) * jnp.exp(-0.5 * logvar)
    return gaussian_nll(mean, logvar, target), (z, logvar)


def gaussian_nll_bwd(res, dy):
    z, logvar = res
    dtarget = dy * z * jnp.exp(-0.5 * logvar)
    return -dtarget, 0.5 * dy * (1 - z) * (1 + z), dtarget


def pinball(x, target, tau):
    """Quantile loss, per element: tau r above, (tau - 1) r below, r = target - x."""
    r = target - x
    return jnp.where(r > 0, tau * r, (tau - 1) * r)


def pinball_fwd(x, target, tau):
    return pinball(x, target, tau), target - x


def pinball_bwd(tau, r, dy):
    dtarget = jnp.where(r > 0, tau * dy, (tau - 1) * dy)
    return -dtarget, dtarget


def infonce(a, b):
    """Mean over n of -log softmax(a b^T)[n, n]: each row's partner is its own index."""
    return infonce_fwd(a, b)[0]


def infonce_fwd(a, b):
    scores = a @ b.T
    p = softmax(scores)
    top = scores.max(-1)
    lse = top + jnp.log(jnp.exp(scores - top[:, None]).sum(-1))
    return (lse - jnp.diagonal(scores)).mean(), (a, b, p)


def infonce_bwd(res, dy):
    a, b, p = res
    n = a.shape[0]
    dscores = (p - jnp.eye(n, dtype=p.dtype)) * dy / n
    return dscores @ b, dscores.T @ a


def triplet(anchor, near, far, margin):
    """Sum over the rows of max(0, |a - near|^2 - |a - far|^2 + margin)."""
    gap = ((anchor - near) ** 2 - (anchor - far) ** 2).sum(-1) + margin
    return jnp.where(gap > 0, gap, 0).sum()


def triplet_fwd(anchor, near, far, margin):
    gap = ((anchor - near) ** 2 - (anchor - far) ** 2).sum(-1) + margin
    return jnp.where(gap > 0, gap, 0).sum(), (anchor, near, far, gap > 0)


def triplet_bwd(margin, res, dy):
    anchor, near, far, active = res
    g = jnp.where(active, 2 * dy, 0)[:, None]
    return g * (far - near), -g * (anchor - near), g * (anchor - far)


def scores_and_signs(key, N):
    rng, dims = generator(key), {"N": N, "signs": 2}
    sign = 2 * integers(rng, "N", dims, "signs") - 1
    return array(rng, "N", dims), sign


PAIR = normal("N D", "N D", mean=0.4)
PAIRS = (sizes("N=3 D=5"), sizes("N=4 D=4"))


def _pair(plain, fwd, bwd, source, *static):
    cases = [sizes(str(c).replace(",", " "), *static) for c in PAIRS]
    return record(plain, fwd, bwd, PAIR, *cases, static=len(static), source=source)


RULES = (
    _pair(mse, mse_fwd, mse_bwd, "least squares"),
    _pair(huber, huber_fwd, huber_bwd, "Huber 1964", 1.0),
    record(
        hinge,
        hinge_fwd,
        hinge_bwd,
        scores_and_signs,
        sizes("N=11"),
        sizes("N=6"),
        source="Cortes, Vapnik 1995",
    ),
    _pair(bce_logits, bce_logits_fwd, bce_logits_bwd, "logistic regression"),
    _pair(
        cosine_similarity,
        cosine_similarity_fwd,
        cosine_similarity_bwd,
        "cosine of the angle of two vectors",
    ),
    _pair(log_cosh, log_cosh_fwd, log_cosh_bwd, "smooth absolute error"),
    record(
        gaussian_nll,
        gaussian_nll_fwd,
        gaussian_nll_bwd,
        normal("N D", "N D", "N D", std=0.8),
        *PAIRS,
        source="Nix, Weigend 1994",
    ),
    _pair(pinball, pinball_fwd, pinball_bwd, "Koenker, Bassett 1978", 0.8),
    _pair(infonce, infonce_fwd, infonce_bwd, "van den Oord 2018, arXiv:1807.03748"),
    record(
        triplet,
        triplet_fwd,
        triplet_bwd,
        normal("N D", "N D", "N D"),
        sizes("N=6 D=5", 1.0),
        sizes("N=4 D=4", 1.0),
        static=1,
        source="Schroff et al. 2015, arXiv:1503.03832",
    ),
)

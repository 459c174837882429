"""Losses: of embeddings, boxes, segmentation, ranking and sound."""

import jax
import jax.numpy as jnp
from jax import lax

from experiments.checker_benchmark.strangers.record import (
    Stranger,
    Twin,
    collect,
    normal,
    positive,
)

CASES: list[Stranger] = []
case = collect(CASES)


@case(
    "VICReg: variance, invariance and covariance, in flax self-supervision",
    "contrastive loss",
    lambda rng: (normal(rng, 8, 4), normal(rng, 8, 4), (25.0, 25.0, 1.0)),
    Twin(
        "diagonal of the covariance",
        "mask|region|term|elements",
        "a b",
        "The variances on the diagonal are pulled back with the covariances.",
    ),
    Twin(
        "hinge on the variance",
        "mask|region|predicate|term",
        "a b",
        "Deviations above 1 are pulled back too.",
    ),
    Twin(
        "symmetric covariance",
        "ratio|factor|sum|path",
        "a b",
        "Both sides of the product of the covariance depend on the input: a 2 is lost.",
    ),
    narrow=False,
)
def vicreg_loss(slip):
    def spread(z):
        off = z - z.mean(0)
        cov = off.T @ off / (len(z) - 1)
        std = jnp.sqrt(jnp.diagonal(cov) + 1e-4)
        outside = cov * (1 - jnp.eye(z.shape[1], dtype=z.dtype))
        return off, cov, std, outside

    def plain(a, b, weights):
        invariance = ((a - b) ** 2).mean()
        variance = covariance = 0
        for z in (a, b):
            _, _, std, outside = spread(z)
            gap = 1 - std
            variance += jnp.where(gap > 0, gap, 0).mean() / 2
            covariance += (outside**2).sum() / z.shape[1]
        return weights[0] * invariance + weights[1] * variance + weights[2] * covariance

    loss = jax.custom_vjp(plain, nondiff_argnums=(2,))

    def fwd(a, b, weights):
        return plain(a, b, weights), (a, b)

    def bwd(weights, res, g):
        grads = []
        for z in res:
            off, cov, std, outside = spread(z)
            width, free = z.shape[1], len(z) - 1
            if slip == "diagonal of the covariance":
                outside = cov
            twice = 2 if slip == "symmetric covariance" else 4
            dz = weights[2] * twice / (width * free) * (off @ outside)
            low = std < 1 if slip != "hinge on the variance" else True
            dz = dz - weights[1] / (2 * width * free) * jnp.where(low, off / std, 0)
            grads.append(dz)
        a, b = res
        pull = 2 * weights[0] / a.size * (a - b)
        return g * (grads[0] + pull), g * (grads[1] - pull)

    loss.defvjp(fwd, bwd)
    return loss, plain


def views(rng):
    labels = jnp.array([0, 1, 2, 0, 1, 2])
    return normal(rng, 6, 4), labels, 0.5


def with_loners(rng):
    return normal(rng, 6, 4), jnp.array([0, 1, 2, 0, 3, 0]), 0.5


@case(
    "supervised contrastive loss (SupCon) in optax and flax examples",
    "contrastive loss",
    views,
    Twin(
        "anchors only",
        "term|path|transpose",
        "features",
        "A feature has a gradient as an anchor, not as what others are compared to.",
    ),
    Twin(
        "length of the features",
        "term|path",
        "features",
        "The part along the unit vector is not taken away.",
    ),
    Twin(
        "anchors without a positive",
        "ratio|factor|sum|mask",
        "features",
        "The mean is over the anchors that have a positive, the gradient's over all.",
        witness=with_loners,
    ),
    narrow=False,
)
def supcon_loss(slip):
    def pieces(features, labels, temperature):
        root = lax.rsqrt((features * features).sum(-1, keepdims=True) + 1e-12)
        z = features * root
        other = ~jnp.eye(len(z), dtype=bool)
        logits = jnp.where(other, z @ z.T / temperature, -1e30)
        positive = (labels[:, None] == labels) & other
        count = positive.sum(-1)
        return z, root, logits, positive, count

    def plain(features, labels, temperature):
        *_, logits, positive, count = pieces(features, labels, temperature)
        logp = jax.nn.log_softmax(logits)
        each = -jnp.where(positive, logp, 0).sum(-1) / jnp.maximum(count, 1)
        return each.sum() / jnp.maximum((count > 0).sum(), 1)

    loss = jax.custom_vjp(plain, nondiff_argnums=(2,))

    def fwd(features, labels, temperature):
        return plain(features, labels, temperature), (features, labels)

    def bwd(temperature, res, g):
        features, labels = res
        z, root, logits, positive, count = pieces(features, labels, temperature)
        anchor = count > 0
        total = jnp.maximum(anchor.sum(), 1)
        if slip == "anchors without a positive":
            total = len(z)
        share = positive / jnp.maximum(count, 1)[:, None]
        ds = jnp.where(anchor[:, None], jax.nn.softmax(logits) - share, 0)
        ds = ds * (g / (total * temperature))
        dz = ds @ z
        if slip != "anchors only":
            dz = dz + ds.T @ z
        if slip != "length of the features":
            dz = dz - z * (z * dz).sum(-1, keepdims=True)
        return (root * dz).astype(features.dtype), None

    loss.defvjp(fwd, bwd)
    return loss, plain


def boxes(rng):
    corner = positive(rng, 2, 5, 2, low=0.0, high=2.0)
    size = positive(rng, 2, 5, 2, low=1.0, high=3.0)
    both = jnp.concatenate([corner, corner + size], -1)
    return both[0], both[1]


def apart(rng):
    predicted, target = boxes(rng)
    return predicted, target + 6


@case(
    "generalised IoU loss of torchvision, ported to JAX for detection",
    "detection loss",
    boxes,
    Twin(
        "enclosing box",
        "term|path",
        "predicted target",
        "The enclosing box is taken for a constant.",
    ),
    Twin(
        "empty intersection",
        "mask|region|predicate",
        "predicted target",
        "Boxes that do not meet are pulled back through a negative width.",
        witness=apart,
    ),
    Twin(
        "area in the union",
        "term|path",
        "predicted",
        "The union grows with the predicted box, its gradient has the overlap only.",
    ),
    narrow=False,
)
def giou_loss(slip):
    def sides(low, high):
        return high[..., 0] - low[..., 0], high[..., 1] - low[..., 1]

    def pieces(p, t):
        inner = jnp.maximum(p[..., :2], t[..., :2]), jnp.minimum(p[..., 2:], t[..., 2:])
        outer = jnp.minimum(p[..., :2], t[..., :2]), jnp.maximum(p[..., 2:], t[..., 2:])
        w, h = sides(*inner)
        meet = (w > 0) & (h > 0)
        overlap = jnp.where(meet, w * h, 0)
        pw, ph = sides(p[..., :2], p[..., 2:])
        tw, th = sides(t[..., :2], t[..., 2:])
        union = pw * ph + tw * th - overlap
        cw, ch = sides(*outer)
        return (w, h, meet, overlap), (pw, ph), (tw, th), union, (cw, ch)

    @jax.custom_vjp
    def loss(predicted, target):
        (*_, overlap), _, _, union, (cw, ch) = pieces(predicted, target)
        hull = cw * ch
        return (1 - overlap / union + (hull - union) / hull).mean()

    def fwd(predicted, target):
        return loss.fun(predicted, target), (predicted, target)

    def bwd(res, g):
        p, t = res
        (w, h, meet, overlap), (pw, ph), (tw, th), union, (cw, ch) = pieces(p, t)
        hull = cw * ch
        each = g / len(p)
        dunion = each * (overlap / union**2 - 1 / hull)
        doverlap = -each / union - dunion
        dhull = each * union / hull**2
        if slip == "enclosing box":
            dhull = jnp.zeros_like(dhull)
        if slip != "empty intersection":
            doverlap = jnp.where(meet, doverlap, 0)

        def corners(down, first, second):
            """Gradients of the low and of the high corner of a box by its area."""
            d = jnp.stack([down * second, down * first], -1)
            return -d, d

        def chosen(a, b):
            """Shares of a in the minimum and the maximum, a half where they tie."""
            tie = jnp.where(a == b, 0.5, 0)
            return jnp.where(a < b, 1, tie), jnp.where(a > b, 1, tie)

        low, high = corners(doverlap, w, h)
        out_low, out_high = corners(dhull, cw, ch)

        def grad(own, other, width, height, down):
            mine_low, mine_high = corners(down, width, height)
            least, most = chosen(own[..., :2], other[..., :2])
            dlow = mine_low + most * low + least * out_low
            least, most = chosen(own[..., 2:], other[..., 2:])
            dhigh = mine_high + least * high + most * out_high
            return jnp.concatenate([dlow, dhigh], -1).astype(own.dtype)

        mine = 0 * dunion if slip == "area in the union" else dunion
        return grad(p, t, pw, ph, mine), grad(t, p, tw, th, dunion)

    loss.defvjp(fwd, bwd)
    return loss, loss.fun

"""Layers and losses of speech and audio."""

import jax
import jax.numpy as jnp

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
    "generalised end-to-end loss (GE2E, contrast) of speaker verification, in JAX",
    "loss",
    lambda rng: (normal(rng, 3, 4, 5), jnp.float32(10.0), jnp.float32(-5.0)),
    Twin(
        "own centroid",
        "term|path|index",
        "x",
        "An utterance's centroid without itself is not pulled back to the others.",
    ),
    Twin(
        "count of the others",
        "ratio|constant|factor",
        "x",
        "The centroid without the utterance is divided by the number of all.",
    ),
    Twin(
        "centroids' lengths",
        "term|path",
        "x",
        "The lengths of the centroids are taken for constants in the cosines.",
    ),
    fixed=(1, 2),
    narrow=False,
)
def ge2e_loss(slip):
    def centroids(x):
        total = x.sum(1)
        return total / x.shape[1], (total[:, None] - x) / (x.shape[1] - 1)

    def unit(c):
        return c / jnp.sqrt((c * c).sum(-1, keepdims=True))

    def cosines(x):
        """Of each utterance with every speaker; its own speaker without itself."""
        mean, others = centroids(x)
        rows = unit(x)
        cosine = jnp.einsum("sud,cd->suc", rows, unit(mean))
        own = (rows * unit(others)).sum(-1)
        same = jnp.eye(x.shape[0], dtype=bool)[:, None]
        return jnp.where(same, own[..., None], cosine), same

    @jax.custom_vjp
    def loss(x, w, b):
        cosine, same = cosines(x)
        p = jax.nn.sigmoid(w * cosine + b)
        own = jnp.where(same, p, 0).sum(-1)
        return (1 - own + jnp.where(same, 0, p).max(-1)).sum()

    def fwd(x, w, b):
        return loss.fun(x, w, b), (x, w, b)

    def pull(c, dunit):
        length = jnp.sqrt((c * c).sum(-1, keepdims=True))
        along = unit(c) * (unit(c) * dunit).sum(-1, keepdims=True)
        return (dunit - along) / length

    def bwd(res, g):
        x, w, b = res
        cosine, same = cosines(x)
        p = jax.nn.sigmoid(w * cosine + b)
        rival = jnp.where(same, 0, p)
        worst = rival == rival.max(-1, keepdims=True)
        dp = worst / worst.sum(-1, keepdims=True) - same
        dlogits = g * dp.astype(p.dtype) * p * (1 - p)
        dcosine = w * dlogits
        mean, others = centroids(x)
        down = jnp.where(same, dcosine, 0).sum(-1, keepdims=True)
        dother = jnp.where(same, 0, dcosine)
        drows = jnp.einsum("suc,cd->sud", dother, unit(mean)) + down * unit(others)
        dmean = jnp.einsum("suc,sud->cd", dother, unit(x))
        dothers = down * unit(x)
        if slip == "centroids' lengths":
            dmean = dmean / jnp.sqrt((mean * mean).sum(-1, keepdims=True))
            dothers = dothers / jnp.sqrt((others * others).sum(-1, keepdims=True))
        else:
            dmean, dothers = pull(mean, dmean), pull(others, dothers)
        dx = pull(x, drows) + dmean[:, None] / x.shape[1]
        if slip != "own centroid":
            rest = dothers.sum(1, keepdims=True) - dothers
            dx = dx + rest / (x.shape[1] - (slip != "count of the others"))
        return dx, (dlogits * cosine).sum(), dlogits.sum()

    loss.defvjp(fwd, bwd)
    return loss, loss.fun


def tokens_with_durations(rng):
    durations = positive(rng, 2, 5, low=1.0, high=4.0)
    ranges = positive(rng, 2, 5, low=0.6, high=1.6)
    mask = jnp.asarray([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]], bool)
    return normal(rng, 2, 5, 3), durations, ranges, mask, 12


@case(
    "Gaussian upsampling of Non-Attentive Tacotron, ported to flax: tokens to frames",
    "speech",
    tokens_with_durations,
    Twin(
        "earlier durations",
        "term|path|sum|index",
        "durations",
        "A duration moves its own centre and not the centres after it.",
    ),
    Twin(
        "half of the duration",
        "factor|ratio|term|index",
        "durations",
        "A duration's own centre is moved by the whole of it, not by a half.",
    ),
    Twin(
        "normalised density",
        "term|path|function",
        "ranges",
        "The ranges are pulled back as if the weights had no norm of the density.",
    ),
    fixed=(1, 2),
    narrow=False,
)
def gaussian_upsampling(slip):
    def weights(durations, ranges, mask, frames):
        durations = jnp.where(mask, durations, 0)
        centres = jnp.cumsum(durations, -1) - durations / 2
        at = jnp.arange(frames, dtype=durations.dtype) + 0.5
        z = (at[:, None] - centres[:, None]) / ranges[:, None]
        scores = -0.5 * z * z - jnp.log(ranges)[:, None]
        scores = jnp.where(mask[:, None], scores, -jnp.inf)
        return z, jax.nn.softmax(scores)

    def plain(tokens, durations, ranges, mask, frames):
        return weights(durations, ranges, mask, frames)[1] @ tokens

    upsample = jax.custom_vjp(plain, nondiff_argnums=(4,))

    def fwd(tokens, durations, ranges, mask, frames):
        out = plain(tokens, durations, ranges, mask, frames)
        return out, (tokens, durations, ranges, mask)

    def bwd(frames, res, g):
        tokens, durations, ranges, mask = res
        z, w = weights(durations, ranges, mask, frames)
        dw = g @ tokens.mT
        ds = w * (dw - (w * dw).sum(-1, keepdims=True))
        dcentres = (ds * z).sum(1) / ranges
        later = jnp.flip(jnp.cumsum(jnp.flip(dcentres, -1), -1), -1)
        own = 0 if slip == "half of the duration" else dcentres / 2
        ddurations = dcentres / 2 if slip == "earlier durations" else later - own
        spread = z * z if slip == "normalised density" else z * z - 1
        dranges = (ds * spread).sum(1) / ranges
        ddurations = jnp.where(mask, ddurations, 0)
        return w.mT @ g, ddurations, dranges, None

    upsample.defvjp(fwd, bwd)
    return upsample, plain

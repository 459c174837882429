"""Losses: margins of angles, smoothed labels, ranking; and a quantiser in 8 bits."""

import jax
import jax.numpy as jnp

from experiments.checker_benchmark.strangers.record import (
    Stranger,
    Twin,
    collect,
    integers,
    normal,
)

CASES: list[Stranger] = []
case = collect(CASES)


def faces(rng):
    labels = integers(rng, 5, 4)
    return normal(rng, 4, 6), normal(rng, 5, 6), labels, 0.5, 8.0


@case(
    "additive angular margins (ArcFace) in flax",
    "loss with a margin",
    faces,
    Twin(
        "length of the embedding",
        "term|path",
        "embedding",
        "The part along the embedding is not taken away, as its unit vector asks.",
    ),
    Twin(
        "slope of the margin",
        "factor|function|term",
        "embedding weight",
        "The target's cosine is pulled back as if the margin were a shift of it.",
    ),
    Twin(
        "scale",
        "ratio|factor|option",
        "embedding weight",
        "The logits' scale s is in the forward only.",
    ),
    narrow=False,
)
def arcface_loss(slip):
    def unit(x):
        return x / jnp.linalg.norm(x, axis=-1, keepdims=True)

    def pieces(embedding, weight, labels, margin, scale):
        cos = unit(embedding) @ unit(weight).T
        mine = jax.nn.one_hot(labels, len(weight), dtype=bool)
        sin2 = 1 - cos * cos
        sin = jnp.sqrt(jnp.where(sin2 > 1e-6, sin2, 1e-6))
        moved = cos * jnp.cos(margin) - sin * jnp.sin(margin)
        far = cos > -jnp.cos(margin)  # the angle and the margin stay below pi
        target = jnp.where(far, moved, cos - jnp.sin(margin) * margin)
        logits = scale * jnp.where(mine, target, cos)
        return cos, sin, sin2 > 1e-6, far, mine, logits

    def plain(embedding, weight, labels, margin, scale):
        *_, mine, logits = pieces(embedding, weight, labels, margin, scale)
        return -jnp.where(mine, jax.nn.log_softmax(logits), 0).sum(-1).mean()

    loss = jax.custom_vjp(plain, nondiff_argnums=(3, 4))

    def fwd(embedding, weight, labels, margin, scale):
        value = plain(embedding, weight, labels, margin, scale)
        return value, (embedding, weight, labels)

    def bwd(margin, scale, res, g):
        embedding, weight, labels = res
        found = pieces(embedding, weight, labels, margin, scale)
        cos, sin, round_, far, mine, logits = found
        dlogits = (jax.nn.softmax(logits) - mine) * g / len(labels)
        slope = jnp.cos(margin) + jnp.where(round_, cos / sin, 0) * jnp.sin(margin)
        slope = jnp.where(mine & far, slope, 1)
        if slip == "slope of the margin":
            slope = 1
        dcos = dlogits * slope
        if slip != "scale":
            dcos = scale * dcos
        e, w = unit(embedding), unit(weight)
        de, dw = dcos @ w, dcos.T @ e
        if slip != "length of the embedding":
            de = de - e * (de * e).sum(-1, keepdims=True)
        dw = dw - w * (dw * w).sum(-1, keepdims=True)
        de = de / jnp.linalg.norm(embedding, axis=-1, keepdims=True)
        return de, dw / jnp.linalg.norm(weight, axis=-1, keepdims=True), None

    loss.defvjp(fwd, bwd)
    return loss, plain


def ranked(rng):
    return normal(rng, 3, 5), integers(rng, 4, 3, 5), jnp.ones((3, 5), bool)


def short_lists(rng):
    scores, relevance, _ = ranked(rng)
    return scores, relevance, jnp.arange(5) < jnp.array([[5], [3], [0]])


@case(
    "listwise maximum likelihood (ListMLE) in rax, with where=",
    "ranking loss",
    ranked,
    Twin(
        "order not undone",
        "index|swap|transpose|region",
        "scores",
        "The gradients stay in the order of the sorted relevances.",
    ),
    Twin(
        "later items",
        "index|sum|region|transpose",
        "scores",
        "An item's probability is summed over the places after it, not before it.",
    ),
    Twin(
        "padding has a place",
        "mask|region|predicate",
        "scores",
        "The padded items count in the gradient's sum.",
        witness=short_lists,
    ),
)
def list_mle(slip):
    def sort(scores, relevance, where):
        key = jnp.where(where, relevance, -1)
        order = jnp.argsort(-key, -1, stable=True)
        s = jnp.take_along_axis(scores, order, -1)
        real = jnp.take_along_axis(where, order, -1)
        return order, jnp.where(real, s, -1e30), real

    def remaining(s):
        """Logarithms of the sums of exponentials from each place to the end."""
        return jax.lax.cumlogsumexp(s, axis=s.ndim - 1, reverse=True)

    def plain(scores, relevance, where):
        _, s, real = sort(scores, relevance, where)
        return jnp.where(real, remaining(s) - s, 0).sum(-1).mean()

    loss = jax.custom_vjp(plain)

    def fwd(scores, relevance, where):
        return plain(scores, relevance, where), (scores, relevance, where)

    def bwd(res, g):
        scores, relevance, where = res
        order, s, real = sort(scores, relevance, where)
        total = remaining(s)
        place = jnp.arange(s.shape[-1])
        before = place[:, None] <= place
        if slip == "later items":
            before = before.T
        if slip != "padding has a place":
            before = before & real[:, :, None] & real[:, None]
        gap = s[:, None] - total[:, :, None]
        chance = jnp.exp(jnp.where(before, gap, -jnp.inf)).sum(1)
        ds = (chance - real) * g / len(s)
        if slip == "order not undone":
            return ds, None, None
        back = jnp.argsort(order, -1)
        return jnp.take_along_axis(ds, back, -1), None, None

    loss.defvjp(fwd, bwd)
    return loss, plain


def labelled(ignored):
    def args(rng):
        labels = integers(rng, 5, 2, 4)
        labels = labels.at[1, 4 - ignored :].set(-100) if ignored else labels
        return normal(rng, 2, 4, 5), labels, 0.1

    return args


@case(
    "label smoothing with ignored tokens in flax translation examples",
    "loss with an option",
    labelled(0),
    Twin(
        "other classes",
        "ratio|factor|term|operand",
        "logits",
        "The smoothing is spread over V - 1 classes, in the forward over V.",
    ),
    Twin(
        "all tokens",
        "ratio|factor",
        "logits",
        "The mean's gradient is over the ignored tokens as well.",
        witness=labelled(2),
    ),
    Twin(
        "ignored tokens are smoothed",
        "mask|region|predicate|term",
        "logits",
        "The uniform part of ignored tokens has a gradient.",
        witness=labelled(2),
    ),
)
def smoothed_cross_entropy(slip):
    def plain(logits, labels, smoothing):
        logp = jax.nn.log_softmax(logits)
        real = labels >= 0
        index = jnp.where(real, labels, 0)[..., None]
        hit = jnp.take_along_axis(logp, index, -1)[..., 0]
        each = -(1 - smoothing) * hit - smoothing * logp.mean(-1)
        return jnp.where(real, each, 0).sum() / jnp.maximum(real.sum(), 1)

    loss = jax.custom_vjp(plain, nondiff_argnums=(2,))

    def fwd(logits, labels, smoothing):
        return plain(logits, labels, smoothing), (logits, labels)

    def bwd(smoothing, res, g):
        logits, labels = res
        real, classes = labels >= 0, logits.shape[-1]
        count = labels.size if slip == "all tokens" else jnp.maximum(real.sum(), 1)
        hit = jax.nn.one_hot(labels, classes, dtype=logits.dtype)
        if slip == "other classes":
            soft = smoothing / (classes - 1) * (1 - hit)
        else:
            soft = smoothing / classes
        d = jax.nn.softmax(logits) - (1 - smoothing) * hit - soft
        dropped = 0
        if slip == "ignored tokens are smoothed":
            dropped = smoothing * (jax.nn.softmax(logits) - 1 / classes)
        d = jnp.where(real[..., None], d, dropped)
        return (d * (g / count)).astype(logits.dtype), None

    loss.defvjp(fwd, bwd)
    return loss, plain


def saturating(args, dy):
    """dy within the range of the format; of the scale: none."""
    x, scale = args
    return jnp.where(jnp.abs(x) <= 448 * scale, dy, 0), jnp.zeros_like(scale)


def stale_scale(rng):
    x = normal(rng, 4, 6)
    return x, 0.5 * jnp.abs(x).max() / 448


@case(
    "fake quantisation to float8 with delayed scaling, as in flax.linen.fp8_ops",
    "quantisation",
    stale_scale,
    Twin("true derivative", "zero", "x", "Zero, as a cast to 8 bits has."),
    Twin(
        "passes all",
        "mask|region|predicate",
        "x",
        "Values that saturate at a stale scale are pulled back too.",
    ),
    Twin(
        "scale of the cast",
        "ratio|factor|operand",
        "x",
        "The cotangent is divided by the scale as x is.",
    ),
    options=lambda plain: {"surrogate": saturating},
    fixed=(1,),
    narrow=False,
)
def fp8_fake_quant(slip):
    @jax.custom_vjp
    def quantise(x, scale):
        y = jnp.clip(x / scale, -448, 448).astype(jnp.float8_e4m3fn)
        return y.astype(x.dtype) * scale

    def fwd(x, scale):
        return quantise.fun(x, scale), (jnp.abs(x) <= 448 * scale, scale)

    def bwd(res, g):
        inside, scale = res
        if slip == "true derivative":
            return jnp.zeros_like(g), jnp.zeros_like(scale)
        if slip == "passes all":
            inside = True
        if slip == "scale of the cast":
            g = g / scale
        return jnp.where(inside, g, 0), jnp.zeros_like(scale)

    quantise.defvjp(fwd, bwd)
    return quantise, quantise.fun

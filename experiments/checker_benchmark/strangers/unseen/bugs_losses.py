"""Bugs of losses, norms and reductions, with their threads."""

import jax
import jax.numpy as jnp
from jax import lax

from experiments.checker_benchmark.strangers.record import (
    Stranger,
    Twin,
    collect,
    draw,
    integers,
    normal,
)

CASES: list[Stranger] = []
case = collect(CASES)


@case(
    "flagos-ai/FlagGems#5025",
    "loss",
    lambda rng: (normal(rng, 4, 3), jnp.array([0, 2, -1, 1], jnp.int32)),
    Twin(
        "as reported",
        "index|mask|region|duplicates",
        "logp",
        "An ignored row writes its 0 to the place before it: another row's last class.",
    ),
    kind="bug",
    name="ignored_label_nll FlagGems#5025",
)
def ignored_label_nll(slip):
    @jax.custom_vjp
    def nll(logp, labels):
        keep = labels >= 0
        at = jnp.where(keep, labels, 0)
        picked = jnp.take_along_axis(logp, at[:, None], 1)[:, 0]
        return -jnp.where(keep, picked, 0).sum() / jnp.maximum(keep.sum(), 1)

    def fwd(logp, labels):
        return nll.fun(logp, labels), (labels, jnp.zeros_like(logp))

    def bwd(res, g):
        labels, zero = res
        keep = labels >= 0
        each = jnp.where(keep, -g / jnp.maximum(keep.sum(), 1), 0).astype(zero.dtype)
        rows, classes = zero.shape
        flat = jnp.arange(rows) * classes + jnp.where(keep, labels, 0)
        dlogp = zero.reshape(-1).at[flat].add(each)
        if slip:
            stray = jnp.where(keep, rows * classes, jnp.arange(rows) * classes + labels)
            dlogp = dlogp.at[stray].set(0, mode="drop")
        return dlogp.reshape(zero.shape), None

    nll.defvjp(fwd, bwd)
    return nll, nll.fun


@case(
    "paiml/aprender#2182",
    "loss with an option",
    lambda rng: (normal(rng, 5, 4), integers(rng, 4, 5), "mean"),
    Twin(
        "as reported",
        "option|ratio|factor",
        "logits",
        "The gradient is divided by the rows, though the losses are summed.",
        witness=lambda rng: (normal(rng, 5, 4), integers(rng, 4, 5), "sum"),
    ),
    kind="bug",
    name="cross_entropy_modes aprender#2182",
)
def cross_entropy_modes(slip):
    def plain(logits, labels, reduction):
        picked = jnp.take_along_axis(logits, labels[:, None], 1)[:, 0]
        losses = jax.nn.logsumexp(logits, -1) - picked
        return losses.mean() if reduction == "mean" else losses.sum()

    loss = jax.custom_vjp(plain, nondiff_argnums=(2,))

    def fwd(logits, labels, reduction):
        return plain(logits, labels, reduction), (logits, labels)

    def bwd(reduction, res, g):
        logits, labels = res
        onehot = jax.nn.one_hot(labels, logits.shape[1], dtype=logits.dtype)
        d = g * (jax.nn.softmax(logits) - onehot)
        return d / len(logits) if slip or reduction == "mean" else d, None

    loss.defvjp(fwd, bwd)
    return loss, plain


@case(
    "ROCm/TransformerEngine#336",
    "loss with an option",
    lambda rng: (normal(rng, 5, 4), integers(rng, 4, 5), -100),
    Twin(
        "as reported",
        "ratio|mask|sum|factor",
        "logits",
        "The mean is over all tokens, not over those that count.",
        witness=lambda rng: (
            normal(rng, 5, 4),
            integers(rng, 4, 5).at[::2].set(-100),
            -100,
        ),
    ),
    kind="bug",
    name="valid_token_loss TransformerEngine#336",
)
def valid_token_loss(slip):
    def plain(logits, labels, ignored):
        keep = labels != ignored
        at = jnp.where(keep, labels, 0)[:, None]
        losses = jax.nn.logsumexp(logits, -1) - jnp.take_along_axis(logits, at, 1)[:, 0]
        return jnp.where(keep, losses, 0).sum() / jnp.maximum(keep.sum(), 1)

    loss = jax.custom_vjp(plain, nondiff_argnums=(2,))

    def fwd(logits, labels, ignored):
        return plain(logits, labels, ignored), (logits, labels)

    def bwd(ignored, res, g):
        logits, labels = res
        keep = labels != ignored
        count = len(labels) if slip else jnp.maximum(keep.sum(), 1)
        onehot = jax.nn.one_hot(labels, logits.shape[1], dtype=logits.dtype)
        d = jnp.where(keep[:, None], jax.nn.softmax(logits) - onehot, 0)
        return (g / count * d).astype(logits.dtype), None

    loss.defvjp(fwd, bwd)
    return loss, plain


@case(
    "pocketpy/cTensor#31",
    "softmax",
    draw(x=(3, 4)),
    Twin("as reported", "term|path|function", "x", "Only the Jacobian's diagonal."),
    kind="bug",
    name="softmax_layer cTensor#31",
)
def softmax_layer(slip):
    @jax.custom_vjp
    def softmax(x):
        e = jnp.exp(x - x.max(-1, keepdims=True))
        return e / e.sum(-1, keepdims=True)

    def fwd(x):
        p = softmax.fun(x)
        return p, p

    def bwd(p, g):
        if slip:
            return (p * (1 - p) * g,)
        return (p * (g - (p * g).sum(-1, keepdims=True)),)

    softmax.defvjp(fwd, bwd)
    return softmax, softmax.fun


@case(
    "keras-team/keras#23075",
    "normalisation",
    draw(x=(4, 3)),
    Twin(
        "as reported",
        "edge|nan|finite|mask|predicate|region",
        "x",
        "The guard stands behind the root: NaN for a row of zeros.",
        witness=lambda rng: (normal(rng, 4, 3).at[1].set(0),),
    ),
    kind="bug",
    name="l2_normalize keras#23075",
)
def l2_normalize(slip):
    @jax.custom_vjp
    def normalise(x):
        square = (x * x).sum(-1, keepdims=True)
        return x * lax.rsqrt(jnp.maximum(square, 1e-12))

    def fwd(x):
        return normalise.fun(x), x

    def bwd(x, g):
        square = (x * x).sum(-1, keepdims=True)
        along = (x * g).sum(-1, keepdims=True)
        if slip:
            r = lax.rsqrt(square)
            capped = jnp.minimum(r, 1e6)
            return (g * capped - jnp.where(r < 1e6, 1, 0) * x * along * r**3,)
        r = lax.rsqrt(jnp.maximum(square, 1e-12))
        return (g * r - jnp.where(square > 1e-12, x * along * r**3, 0),)

    normalise.defvjp(fwd, bwd)
    return normalise, normalise.fun


@case(
    "tenstorrent/tt-metal#55585",
    "norm",
    draw(x=(4, 3)),
    Twin(
        "as reported",
        "edge|nan|finite|mask|predicate|region",
        "x",
        "One over the norm, though a slice is all zeros.",
        witness=lambda rng: (normal(rng, 4, 3).at[1].set(0),),
    ),
    kind="bug",
    name="norm_of_slices tt-metal#55585",
)
def norm_of_slices(slip):
    @jax.custom_vjp
    def norm(x):
        square = (x * x).sum(-1)
        positive = square > 0
        return jnp.where(positive, jnp.sqrt(jnp.where(positive, square, 1)), 0)

    def fwd(x):
        y = norm.fun(x)
        return y, (x, y)

    def bwd(res, g):
        x, y = res
        y, g = y[:, None], g[:, None]
        if slip:
            return (jnp.sign(x) * jnp.abs(x) * y * g * (1 / y**2),)
        return (jnp.where(y > 0, x / jnp.where(y > 0, y, 1), 0) * g,)

    norm.defvjp(fwd, bwd)
    return norm, norm.fun


@case(
    "mni-ml/framework#22",
    "reduction",
    draw(x=(3, 4)),
    Twin(
        "as reported",
        "mask|edge|predicate|region|duplicates|index",
        "x",
        "What is near the largest entry counts as the largest.",
        witness=lambda rng: (normal(rng, 3, 4).at[:, 1].set(5).at[:, 2].set(4.995),),
    ),
    kind="bug",
    name="max_is_close framework#22",
)
def max_is_close(slip):
    @jax.custom_vjp
    def largest(x):
        return x.max(-1)

    def fwd(x):
        y = x.max(-1)
        return y, (x, y)

    def bwd(res, g):
        x, y = res
        if slip:
            return (jnp.where(jnp.abs(x - y[:, None]) < 1e-2, g[:, None], 0),)
        top = (x == y[:, None]).astype(g.dtype)
        return (g[:, None] * top / top.sum(-1, keepdims=True),)

    largest.defvjp(fwd, bwd)
    return largest, largest.fun


@case(
    "TuringLang/SSMProblems.jl#188",
    "density",
    draw(mean=(4,), data=(4,)),
    Twin(
        "as reported",
        "path|term|sum",
        "mean",
        "A second use of the argument overwrites the gradient of the first.",
    ),
    kind="bug",
    name="twice_used_likelihood SSMProblems.jl#188",
)
def twice_used_likelihood(slip):
    @jax.custom_vjp
    def penalised(mean, data):
        return -0.5 * ((data - mean) ** 2).sum() + jnp.sin(mean).sum()

    def fwd(mean, data):
        return penalised.fun(mean, data), (mean, data)

    def bwd(res, g):
        mean, data = res
        dmean = g * (data - mean)
        return dmean if slip else dmean + g * jnp.cos(mean), -g * (data - mean)

    penalised.defvjp(fwd, bwd)
    return penalised, penalised.fun

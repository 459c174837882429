"""Losses with margins, of metric learning."""

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


def cosines(rng):
    return jnp.tanh(normal(rng, 5, 4, std=0.4)), integers(rng, 4, 5), 0.25, 32.0


def fixed_weights(plain):
    """The pairs' weights are constants by declaration."""

    def surrogate(args, dy):
        scores, labels, margin, scale = args
        (ds,) = jax.vjp(lambda s: plain(s, labels, margin, scale), scores)[1](dy)
        return ds, None

    return {"surrogate": surrogate}


@case(
    "circle loss of metric learning in flax: pairs weighed by how far they have to go",
    "loss with a margin",
    cosines,
    Twin(
        "weights differentiated",
        "term|path",
        "scores",
        "The weights, constants by declaration, are pulled back as well.",
    ),
    Twin(
        "optimum of the positives",
        "constant|operand|sign|option|ratio",
        "scores",
        "Positives are weighed by their distance to one less the margin.",
    ),
    Twin(
        "mean of the batch",
        "ratio|factor|sum",
        "scores",
        "The mean over the batch is pulled back as a sum.",
    ),
    options=fixed_weights,
    scales=(0.1, 1.0),
)
def circle_loss(slip):
    def logits(scores, labels, margin, scale):
        """Weighed logits, positive for negatives, and which are the positives."""
        own = jax.nn.one_hot(labels, scores.shape[-1], dtype=bool)
        far = jnp.where(own, 1 + margin - scores, scores + margin)
        weights = jax.lax.stop_gradient(jnp.maximum(far, 0))
        gaps = jnp.where(own, 1 - margin - scores, scores - margin)
        return scale * weights * gaps, weights, own

    def plain(scores, labels, margin, scale):
        z, _, own = logits(scores, labels, margin, scale)
        away = jax.nn.logsumexp(jnp.where(own, -jnp.inf, z), -1)
        near = jnp.where(own, z, 0).sum(-1)
        return jax.nn.softplus(away + near).mean()

    loss = jax.custom_vjp(plain, nondiff_argnums=(2, 3))

    def fwd(scores, labels, margin, scale):
        return plain(scores, labels, margin, scale), (scores, labels)

    def bwd(margin, scale, res, g):
        scores, labels = res
        z, weights, own = logits(scores, labels, margin, scale)
        others = jnp.where(own, -jnp.inf, z)
        away = jax.nn.logsumexp(others, -1)
        slope = jax.nn.sigmoid(away + jnp.where(own, z, 0).sum(-1))
        dz = slope[:, None] * jnp.where(own, 1, jax.nn.softmax(others))
        if slip == "optimum of the positives":
            weights = jnp.where(own, jnp.maximum(1 - margin - scores, 0), weights)
        ds = dz * scale * weights * jnp.where(own, -1, 1)
        if slip == "weights differentiated":
            gaps = jnp.where(own, -(1 - margin - scores), scores - margin)
            ds = ds + dz * scale * jnp.where(weights > 0, gaps, 0)
        if slip != "mean of the batch":
            ds = ds / scores.shape[0]
        return g * ds, None

    loss.defvjp(fwd, bwd)
    return loss, plain

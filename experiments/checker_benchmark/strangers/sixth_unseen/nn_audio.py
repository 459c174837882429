"""Layers and losses of speech and audio."""

import jax
import jax.numpy as jnp
import numpy as np

from experiments.checker_benchmark.strangers.record import (
    Stranger,
    Twin,
    collect,
    normal,
)

CASES: list[Stranger] = []
case = collect(CASES)


def masked_frames(rng):
    steps = 1 + rng.integers(0, 5, (6, 4))  # other frames than one's own
    negatives = jnp.asarray((np.arange(6)[:, None] + steps) % 6, jnp.int32)
    return normal(rng, 6, 5), normal(rng, 6, 5), negatives, 0.1


def repeated_frames(rng):
    context, targets, negatives, temperature = masked_frames(rng)
    targets = targets.at[1].set(targets[0])
    return context, targets, negatives.at[0, 0].set(1), temperature


@case(
    "the contrastive loss of wav2vec 2.0 in flax, negatives drawn from the utterance",
    "loss",
    masked_frames,
    Twin(
        "frames drawn more than once",
        "duplicates|index|sum",
        "targets",
        "Of the draws of a frame as a negative the last one writes its gradient.",
    ),
    Twin(
        "negatives' gradient",
        "term|path",
        "targets",
        "A target is moved as the positive of its frame only.",
    ),
    Twin(
        "negatives equal to the positive",
        "mask|region|predicate",
        "context targets",
        "Negatives that equal the positive, and were left out, are counted again.",
        witness=repeated_frames,
    ),
    scales=(0.3, 1.0, 10.0),
    narrow=False,
)
def wav2vec2_contrastive(slip):
    eps = 1e-8

    def length(a):
        return jnp.sqrt((a * a).sum(-1, keepdims=True) + eps)

    def logits(context, targets, negatives, temperature, masked=True):
        candidates = jnp.concatenate([targets[:, None], targets[negatives]], 1)
        unit, rows = candidates / length(candidates), context / length(context)
        cosine = jnp.einsum("nd,nkd->nk", rows, unit)
        same = (candidates == candidates[:, :1]).all(-1).at[:, 0].set(False)
        scores = cosine / temperature
        if masked:
            scores = jnp.where(same, -jnp.inf, scores)
        return cosine, rows, unit, candidates, scores

    def plain(context, targets, negatives, temperature):
        scores = logits(context, targets, negatives, temperature)[-1]
        return -jax.nn.log_softmax(scores)[:, 0].sum()

    loss = jax.custom_vjp(plain, nondiff_argnums=(3,))

    def fwd(context, targets, negatives, temperature):
        out = plain(context, targets, negatives, temperature)
        return out, (context, targets, negatives)

    def bwd(temperature, res, g):
        context, targets, negatives = res
        masked = slip != "negatives equal to the positive"
        kept = logits(context, targets, negatives, temperature, masked)
        cosine, rows, unit, candidates, scores = kept
        ds = g * jax.nn.softmax(scores).at[:, 0].add(-1) / temperature
        drows = jnp.einsum("nk,nkd->nd", ds, unit)
        along = (drows * rows).sum(-1, keepdims=True) * rows
        dcontext = (drows - along) / length(context)
        shares = ds[..., None] * (rows[:, None] - cosine[..., None] * unit)
        shares = shares / length(candidates)
        dtargets = shares[:, 0]
        at = jnp.zeros_like(targets).at[negatives]
        if slip == "frames drawn more than once":
            dtargets = dtargets + at.set(shares[:, 1:])
        elif slip != "negatives' gradient":
            dtargets = dtargets + at.add(shares[:, 1:])
        return dcontext, dtargets, None

    loss.defvjp(fwd, bwd)
    return loss, plain

"""The lecture's network in its 20 named steps: exercise 1's forward pass.

Every step is one elementary operation, so that its gradient is one line. The names are
the lecture's, and so are the shapes: what is reduced over the batch keeps a leading
axis of length one. `rsqrt`, log-sum-exp and all other short cuts of `by_hand/ninja.py`
are left out on purpose: here is what they abbreviate.
"""

import jax.numpy as jnp
from jax.ad_checkpoint import checkpoint_name as named
from jaxtyping import Array, Float, Int

from jaxninja.models.parts import Params

PARAMETERS = ("C", "W1", "b1", "W2", "b2", "bngain", "bnbias")
# fmt: off
STEPS = (
    "emb", "embcat", "hprebn", "bnmeani", "bndiff", "bndiff2", "bnvar", "bnvar_inv",
    "bnraw", "hpreact", "h", "logits", "logit_maxes", "norm_logits", "counts",
    "counts_sum", "counts_sum_inv", "probs", "logprobs", "loss",
)
# fmt: on
EPS = 1e-5


def forward(
    params: Params, Xb: Int[Array, "N T"], Yb: Int[Array, "N"]
) -> dict[str, Float[Array, "..."]]:
    """Every intermediate by name, in the order of computation; `loss` is the last.

    Each is also named for JAX (`checkpoint_name`), so `jaxninja.retain_grads` sees it.
    A batch of one has no variance with Bessel's correction: 0 / 0, and NaN from there.

    Args:
        params: C [V, E], W1 [T E, H], b1 [H], W2 [H, V], b2 [V], bngain and bnbias [H].
        Xb: [N, T] context symbols, in [0, V).
        Yb: [N] next symbols, in [0, V).
    """
    C, W1, b1, W2, b2, bngain, bnbias = (
        named(params[name], name) for name in PARAMETERS
    )
    n = len(Xb)
    emb = named(C[Xb], "emb")
    embcat = named(emb.reshape(n, -1), "embcat")
    hprebn = named(embcat @ W1 + b1, "hprebn")
    bnmeani = named(1 / n * hprebn.sum(0, keepdims=True), "bnmeani")
    bndiff = named(hprebn - bnmeani, "bndiff")
    bndiff2 = named(bndiff**2, "bndiff2")
    # n - 1 as a float: a batch of one gives NaN here, and not a ZeroDivisionError
    bnvar = named(bndiff2.sum(0, keepdims=True) / jnp.float32(n - 1), "bnvar")
    bnvar_inv = named((bnvar + EPS) ** -0.5, "bnvar_inv")
    bnraw = named(bndiff * bnvar_inv, "bnraw")
    hpreact = named(bngain * bnraw + bnbias, "hpreact")
    h = named(jnp.tanh(hpreact), "h")
    logits = named(h @ W2 + b2, "logits")
    logit_maxes = named(logits.max(1, keepdims=True), "logit_maxes")
    norm_logits = named(logits - logit_maxes, "norm_logits")
    counts = named(jnp.exp(norm_logits), "counts")
    counts_sum = named(counts.sum(1, keepdims=True), "counts_sum")
    counts_sum_inv = named(counts_sum**-1, "counts_sum_inv")
    probs = named(counts * counts_sum_inv, "probs")
    logprobs = named(jnp.log(probs), "logprobs")
    loss = named(-logprobs[jnp.arange(n), Yb].mean(), "loss")
    # fmt: off
    steps = (
        emb, embcat, hprebn, bnmeani, bndiff, bndiff2, bnvar, bnvar_inv, bnraw,
        hpreact, h, logits, logit_maxes, norm_logits, counts, counts_sum,
        counts_sum_inv, probs, logprobs, loss,
    )
    # fmt: on
    return dict(zip(STEPS, steps, strict=True))

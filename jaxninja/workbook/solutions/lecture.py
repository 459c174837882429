"""The lecture's network: 7 parameters, 20 named steps; exercises 1 to 4 are on it.

`jaxninja.models.atomic` is the same as code, and a test holds the two together.
Contexts hold at least two symbols twice. Where maxima are to be tied two columns of W2
and b2 are equal, so that logits attains its maximum twice in some rows, and W2 is so
large that others have theirs in other columns.
"""

import numpy as np

from jaxninja.workbook.network import Arrays, Network, Node, Sizes, sizes

# n batch, T context, E embedding, H hidden units, V vocabulary
NODES = (
    Node("C", "V E", "", "1:22:19"),
    Node("W1", "TE H", "", "1:19:03"),
    Node("b1", "H", "", "1:19:03"),
    Node("W2", "H V", "", "0:41:50"),
    Node("b2", "V", "", "0:41:50"),
    Node("bngain", "H", "", "0:55:07"),
    Node("bnbias", "H", "", "0:55:07"),
    Node("emb", "n T E", "C[Xb]", "1:21:08"),
    Node("embcat", "n TE", "emb.reshape(n, -1)", "1:19:03"),
    Node("hprebn", "n H", "embcat @ W1 + b1", "1:17:21"),
    Node("bnmeani", "1 H", "1 / n * hprebn.sum(0, keepdims=True)", "1:14:54"),
    Node("bndiff", "n H", "hprebn - bnmeani", "1:13:33"),
    Node("bndiff2", "n H", "bndiff**2", "1:09:15"),
    Node("bnvar", "1 H", "1 / (n - 1) * bndiff2.sum(0, keepdims=True)", "1:03:53"),
    Node("bnvar_inv", "1 H", "(bnvar + 1e-5) ** -0.5", "1:01:09"),
    Node("bnraw", "n H", "bndiff * bnvar_inv", "0:57:57"),
    Node("hpreact", "n H", "bngain * bnraw + bnbias", "0:53:27"),
    Node("h", "n H", "jnp.tanh(hpreact)", "0:41:50"),
    Node("logits", "n V", "h @ W2 + b2", "0:37:57"),
    Node("logit_maxes", "n 1", "logits.max(1, keepdims=True)", "0:32:55"),
    Node("norm_logits", "n V", "logits - logit_maxes", "0:32:19"),
    Node("counts", "n V", "jnp.exp(norm_logits)", "0:28:56"),
    Node("counts_sum", "n 1", "counts.sum(1, keepdims=True)", "0:27:47"),
    Node("counts_sum_inv", "n 1", "counts_sum**-1", "0:22:05"),
    Node("probs", "n V", "counts * counts_sum_inv", "0:19:14"),
    Node("logprobs", "n V", "jnp.log(probs)", "0:13:01"),
    Node("loss", "", "-logprobs[jnp.arange(n), Yb].mean()", "0:13:01"),
)

# Two rows of a picture: the layers up to batchnorm, and from it to the loss.
# fmt: off
PLACES = {
    "C": (0, 5), "emb": (1, 5), "embcat": (2, 5), "W1": (2, 6), "b1": (2, 4),
    "hprebn": (3.1, 5), "bnmeani": (4, 6), "bndiff": (5, 5), "bndiff2": (6, 6),
    "bnvar": (7, 6), "bnvar_inv": (8, 6), "bnraw": (9, 5),
    "bngain": (0, 2), "bnbias": (0, 0), "hpreact": (1, 1), "h": (2, 1), "W2": (2, 2),
    "b2": (2, 0), "logits": (3, 1), "logit_maxes": (4, 2), "norm_logits": (5.1, 1),
    "counts": (6.2, 1), "counts_sum": (7, 2), "counts_sum_inv": (8.6, 2),
    "probs": (9.7, 1), "logprobs": (10.9, 1), "loss": (11.9, 1),
}
# fmt: on


def inputs(at: Sizes) -> dict[str, np.ndarray]:
    """Parameters, contexts and labels. As in the lecture, nothing is zero."""
    n, T, E, H, V = (at[letter] for letter in "nTEHV")
    rng = np.random.default_rng(at.seed)
    normal = rng.standard_normal
    params = {
        "C": normal((V, E)),
        "W1": normal((T * E, H)) * (5 / 3) / (T * E) ** 0.5,
        "b1": normal(H) * 0.1,
        "W2": normal((H, V)) * 0.1,
        "b2": normal(V) * 0.1,
        "bngain": normal(H) * 0.1 + 1.0,
        "bnbias": normal(H) * 0.1,
    }
    if at.tied:
        params["W2"] *= 6
        params["W2"][:, 1] = params["W2"][:, 4]
        params["b2"][[1, 4]] = 0.3
    Xb = rng.integers(0, V, (n, T))
    Xb[0] = Xb[-1, 0]
    return {**params, "Xb": Xb, "Yb": rng.integers(0, V, n)}


def ties(values: Arrays, truth: Arrays) -> dict[str, tuple[np.ndarray, ...]]:
    """A tied maximum's gradient may go to any of its places.

    The lecture's goes to the first, `jnp.max`'s in equal parts to all.
    """
    if "logit_maxes" not in truth:
        return {}
    logits = np.asarray(values["logits"])
    size = logits.shape[1]
    places = (logits.argmax(1), size - 1 - logits[:, ::-1].argmax(1))
    through, maxima = (np.asarray(truth[k]) for k in ("norm_logits", "logit_maxes"))
    one_hots = (np.eye(size, dtype=logits.dtype)[place] for place in places)
    return {"logits": tuple(through + one_hot * maxima for one_hot in one_hots)}


NETWORK = Network(
    NODES,
    inputs,
    home=sizes(0, n=32, T=3, E=10, H=64, V=27),
    pair=sizes(1, n=2, T=3, E=4, H=5, V=7),
    tied=sizes(39, True, n=5, T=2, E=3, H=7, V=6),
    letters={
        "n": "n",
        "V": "logits.shape[1]",
        "H": "h.shape[1]",
        "T": "Xb.shape[1]",
        "E": "C.shape[1]",
        "TE": "embcat.shape[1]",
        "n - 1": "n - 1",
    },
    numbers=("n",),
    whose="the lecture's",
    zero={"b1": "hprebn", "logit_maxes": "norm_logits"},
    ties=ties,
    places=PLACES,
)

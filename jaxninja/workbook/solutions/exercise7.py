"""Exercise 7: backpropagate through causal self-attention.

Each place asks (q), is asked (k), and answers (v). Row t of att says how much place t
takes from each place before it; what comes after is masked, as it is to be predicted.

    q, k, v = x @ Wq, x @ Wk, x @ Wv                [n, T, K]
    scores  = q @ k.mT / K**0.5                     [n, T, T]
    masked  = jnp.where(seen, scores, -jnp.inf)     [n, T, T]
    att     = jax.nn.softmax(masked, 2)             [n, T, T]
    mixed   = att @ v                               [n, T, K]
    y       = mixed @ Wo                            [n, T, D]

seen [T, T] is True where place t (row) may look at place s (column), that is s <= t.
a.mT is the transpose of the last two axes; @ multiplies example by example. dy is
given. Sizes: n batch, T places, D features, K width of the head. Softmax's gradient is
the one to take your time for: when it is wrong its Jacobian is drawn, and the pairs of
places that are wrong are marked.
"""

import jax.numpy as jnp
import numpy as np

from jaxninja.workbook.exercise import Exercise
from jaxninja.workbook.network import Network, Node, Sizes, sizes


# fmt: off
def backward(
    x, seen, Wq, Wk, Wv, Wo, q, k, v, scores, masked, att, mixed, y, K, dy
):
    # rule: A matrix product a @ W of every example: a.mT @ upstream, and W is shared.
    # formula: the sum over the n examples of mixed.mT @ dy, [n, K, T] @ [n, T, D].
    # why: One Wo serves all examples and places; @ sums over the places, and the
    #   examples are left to be summed.
    dWo = (mixed.mT @ dy).sum(0)

    # rule: A matrix product a @ W: da = upstream @ W.T, the one way the shapes fit.
    # formula: dy @ Wo.T, [n, T, D] @ [D, K].
    # why: mixed[i, t, k] reaches every feature of its own place, with weight Wo[k, j].
    dmixed = dy @ Wo.T

    # rule: A matrix product of two arrays: da = upstream @ b.mT.
    # formula: dmixed @ v.mT, [n, T, K] @ [n, K, T].
    # why: att[i, t, s] weighs the answer v[i, s]: it matters as far as that answer goes
    #   along what place t should receive.
    datt = dmixed @ v.mT

    # rule: A matrix product of two arrays: db = a.mT @ upstream.
    # formula: att.mT @ dmixed, [n, T, T] @ [n, T, K].
    # why: The answer of place s is read by all places t that look at it; each sends
    #   back att[i, t, s] of what it received.
    dv = att.mT @ dmixed

    # rule: Softmax makes every entry of a row depend on every other one: sum over all.
    # step: Take one row, p = softmax(l). With p_j = exp(l_j) / sum, differentiate by
    #   l_k: dp_j/dl_k = p_j * (1 if j = k else 0) - p_j * p_k.
    # step: That is the row's Jacobian, diag(p) - p p^T: symmetric, and its rows sum to
    #   zero, as adding a number to all of l changes nothing.
    # step: Multiply it with the upstream: dl_k = sum_j dp_j * J_jk
    #   = p_k * dp_k - p_k * sum_j p_j * dp_j.
    # formula: att * (datt - the sum over s of att * datt), the sum kept as [n, T, 1].
    # why: Of what comes back the row's mean, weighed by att, is taken off: more for one
    #   place is less for the others. No T by T Jacobian is ever made.
    dmasked = att * (datt - (att * datt).sum(2, keepdims=True))

    # rule: where passes the gradient on to what it chose, and nothing to the rest.
    # formula: dmasked where seen, 0 elsewhere.
    # why: The scores that were masked do not reach att. Softmax gives them 0 already,
    #   as their att is 0; but the step by itself has to, whatever comes after.
    dscores = jnp.where(seen, dmasked, 0.0)

    # rule: A matrix product q @ k.mT: dq = upstream @ k; the scale stays.
    # formula: dscores @ k / sqrt(K), [n, T, T] @ [n, T, K].
    # why: scores[i, t, s] = sum over k of q[t, k] k[s, k]: place t's question meets the
    #   keys of all places s.
    dq = dscores @ k / K**0.5

    # rule: A matrix product q @ k.mT: dk = upstream.mT @ q; the scale stays.
    # formula: dscores.mT @ q / sqrt(K), [n, T, T] @ [n, T, K].
    # why: The key of place s meets the questions of all places t: a sum over the rows,
    #   hence the transpose, which dq has not.
    dk = dscores.mT @ q / K**0.5

    # rule: A matrix product x @ W of every example: x.mT @ upstream, summed over them.
    # formula: the sum over the n examples of x.mT @ dq.
    # why: As for Wo.
    dWq = (x.mT @ dq).sum(0)

    # rule: A matrix product x @ W of every example: x.mT @ upstream, summed over them.
    # formula: the sum over the n examples of x.mT @ dk.
    # why: As for Wo.
    dWk = (x.mT @ dk).sum(0)

    # rule: A matrix product x @ W of every example: x.mT @ upstream, summed over them.
    # formula: the sum over the n examples of x.mT @ dv.
    # why: As for Wo.
    dWv = (x.mT @ dv).sum(0)

    # rule: x is read three times, by q, k and v: three branches, which add up.
    # formula: dq @ Wq.T + dk @ Wk.T + dv @ Wv.T.
    # why: A place changes what it asks, what it is asked by, and what it answers.
    dx = dq @ Wq.T
    dx += dk @ Wk.T
    dx += dv @ Wv.T

    return dx, dWq, dWk, dWv, dWo


# fmt: on
NODES = (
    Node("x", "n T D"),
    Node("Wq", "D K"),
    Node("Wk", "D K"),
    Node("Wv", "D K"),
    Node("Wo", "K D"),
    Node("q", "n T K", "x @ Wq"),
    Node("k", "n T K", "x @ Wk"),
    Node("v", "n T K", "x @ Wv"),
    Node("scores", "n T T", "q @ k.mT / K**0.5"),
    Node("masked", "n T T", "jnp.where(seen, scores, -jnp.inf)"),
    Node("att", "n T T", "jax.nn.softmax(masked, 2)"),
    Node("mixed", "n T K", "att @ v"),
    Node("y", "n T D", "mixed @ Wo"),
)


def inputs(at: Sizes) -> dict[str, np.ndarray]:
    """Scores wide enough that att is neither flat nor one-hot; `seen` is the mask."""
    n, T, D, K = (at[letter] for letter in "nTDK")
    normal = np.random.default_rng(at.seed).standard_normal
    weights = {name: normal((D, K)) / D**0.5 for name in ("Wq", "Wk", "Wv")}
    return {
        "x": 0.9 * normal((n, T, D)),
        **weights,
        "Wo": normal((K, D)) / K**0.5,
        "seen": np.tril(np.ones((T, T), bool)),
    }


EXERCISE = Exercise(
    7,
    "causal self-attention",
    Network(
        NODES,
        inputs,
        home=sizes(0, n=4, T=8, D=32, K=16),
        pair=sizes(1, n=2, T=3, D=5, K=4),
        tied=sizes(2, n=3, T=4, D=6, K=5),
        letters={
            "n": "x.shape[0]",
            "T": "x.shape[1]",
            "D": "x.shape[2]",
            "K": "K",
        },
        numbers=("K",),
    ),
    forms={
        "masked": (
            "att * datt - att * (att * datt).sum(2, keepdims=True)",
            "jnp.where(seen, att * (datt - (att * datt).sum(2, keepdims=True)), 0.0)",
        ),
    },
    effort={
        **{"Wo": (5, 1), "mixed": (3, 0), "att": (5, 1), "v": (5, 1)},
        **{"masked": (25, 2), "scores": (3, 0), "q": (5, 1), "k": (5, 1)},
        **{"Wq": (2, 0), "Wk": (1, 0), "Wv": (1, 0), "x": (5, 1)},
    },
    probes=("att", "masked"),
    least=("q", "k", "v", "att", "mixed"),
    jacobians=("masked",),
)

"""Exercise 8: a whole transformer block; and it trains.

    x -> layernorm a -> attention -> + x = x2 -> layernorm m -> mlp -> + x2 = y

    ahat = (x - mean_a) * rstd_a;  a = gamma_a * ahat + beta_a        [n, T, E]
    qkv  = a @ Wqkv + bqkv                                            [n, T, 3E]
    q, k, v: its three parts, E numbers each, in H heads              [n, H, T, K]
    z    = q @ k.mT / K**0.5;  p = jax.nn.softmax(where seen, z)      [n, H, T, T]
    o    = p @ v                                                      [n, H, T, K]
    c    = o.swapaxes(1, 2).reshape(n, T, E): the heads side by side  [n, T, E]
    x2   = x + c @ Wo + bo                                            [n, T, E]
    mhat = (x2 - mean_m) * rstd_m;  m = gamma_m * mhat + beta_m       [n, T, E]
    f    = m @ Wf + bf                                                [n, T, 4E]
    s    = jax.nn.sigmoid(1.5957691216057308 * (f + 0.044715 * f**3)) [n, T, 4E]
    h    = f * s                                                      [n, T, 4E]
    y    = x2 + h @ Wp + bp                                           [n, T, E]

h is gelu(f) in its tanh form, as 1 + tanh(u) = 2 sigmoid(2 u). Layernorm and softmax
are taken in one expression each: exercises 5 and 7 have them step by step. Sizes: n
batch, T places, E embedding, H heads, K = E / H width of a head; all of them are yours
to ask for. `backward` is of one block, and trains any number of them:

    jaxninja train --model transformer --route exercise8.py

calls it at every step for every layer, and proves that no automatic differentiation
took part in it.
"""

import jax.numpy as jnp
import numpy as np

from jaxninja.models import atomic_block
from jaxninja.workbook.exercise import Exercise
from jaxninja.workbook.network import Network, Node, Sizes, sizes


# fmt: off
def backward(
    x, n, T, E, H, K, gamma_a, Wqkv, Wo, gamma_m, Wf, Wp,
    rstd_a, ahat, a, q, k, v, p, c, rstd_m, mhat, m, f, s, h, dy,
):
    # rule: A matrix product h @ W: dh = upstream @ W.T.
    # formula: dy @ Wp.T, [n, T, E] @ [E, 4E].
    # why: What the mlp adds to the stream is h @ Wp + bp, so it receives all of dy.
    dh = dy @ Wp.T

    # rule: A matrix product of every example: h.mT @ upstream, summed over them.
    # formula: the sum over the n examples of h.mT @ dy.
    # why: One Wp serves all examples and places; @ sums over the places.
    dWp = (h.mT @ dy).sum(0)

    # rule: A bias is broadcast over examples and places: sum over both.
    # formula: the sum of dy over the n examples and T places.
    # why: bp[j] is added to feature j of every place, with slope 1.
    dbp = dy.sum((0, 1))

    # rule: A product f * s in which s is a sigmoid of f too: two terms.
    # step: By the product: s * dh directly, and ds = f * dh.
    # step: s = sigmoid(u) with u = 1.5957... * (f + 0.044715 f^3): ds/du = s (1 - s),
    #   du/df = 1.5957... * (1 + 0.134145 f^2).
    # step: f * s is h, which is at hand: ds/df * f = h * (1 - s) * du/df.
    # formula: (s + h * (1 - s) * 1.5957691216057308 * (1 + 0.134145 * f^2)) * dh.
    # why: gelu lets f through by s, and moves s by f: a product rule.
    df = (s + h * (1.0 - s) * 1.5957691216057308 * (1.0 + 0.134145 * f**2)) * dh

    # rule: A matrix product of every example: m.mT @ upstream, summed over them.
    # formula: the sum over the n examples of m.mT @ df.
    # why: As for Wp.
    dWf = (m.mT @ df).sum(0)

    # rule: A bias is broadcast over examples and places: sum over both.
    # formula: the sum of df over the n examples and T places.
    # why: As for bp.
    dbf = df.sum((0, 1))

    # rule: A matrix product m @ W: dm = upstream @ W.T.
    # formula: df @ Wf.T, [n, T, 4E] @ [4E, E].
    # why: m[i, t, j] reaches all 4E numbers of its own place.
    dm = df @ Wf.T

    # rule: A factor that is broadcast over examples and places: sum over both.
    # formula: the sum over the n examples and T places of mhat * dm.
    # why: One gamma serves its feature at every place of every example.
    dgamma_m = (mhat * dm).sum((0, 1))

    # rule: A bias is broadcast over examples and places: sum over both.
    # formula: the sum of dm over the n examples and T places.
    # why: As for bp.
    dbeta_m = dm.sum((0, 1))

    # rule: A product: the other factor times the upstream.
    # formula: gamma_m * dm.
    # why: mhat is [n, T, E] itself, so nothing was copied and nothing is summed.
    dmhat = gamma_m * dm

    # rule: x2 is read by y, unchanged, and by the layernorm: two branches.
    # step: By y: dy as it is. What a block adds to does not pass through the block.
    # step: By layernorm, exercise 5 in one expression: of dmhat the row's mean is taken
    #   off, and its part along mhat, which is the mean of dmhat * mhat times mhat.
    # step: All of that times rstd_m; means over the E features, kept as [n, T, 1].
    # formula: dy + rstd_m * (dmhat - mean(dmhat) - mhat * mean(dmhat * mhat)).
    # why: The first branch is the residual stream: gradients reach the first block
    #   undiminished through it. The second is what the mlp's input was worth.
    dx2 = dy
    dx2 += rstd_m * (dmhat - dmhat.mean(2, keepdims=True) - mhat * (dmhat * mhat).mean(2, keepdims=True))  # noqa: E501

    # rule: A matrix product c @ W: dc = upstream @ W.T.
    # formula: dx2 @ Wo.T, [n, T, E] @ [E, E].
    # why: Wo is square, so the shapes do not tell Wo from Wo.T: the sum goes over what
    #   x2 has. And it is dx2, with both its branches, not dy.
    dc = dx2 @ Wo.T

    # rule: A matrix product of every example: c.mT @ upstream, summed over them.
    # formula: the sum over the n examples of c.mT @ dx2.
    # why: As for Wp.
    dWo = (c.mT @ dx2).sum(0)

    # rule: A bias is broadcast over examples and places: sum over both.
    # formula: the sum of dx2 over the n examples and T places.
    # why: As for bp.
    dbo = dx2.sum((0, 1))

    # rule: A change of shape and of axes moves no number: undo both, the last first.
    # formula: dc in the shape [n, T, H, K], then axes 1 and 2 exchanged.
    # why: Each head is K neighbours of the E features. A reshape straight to
    #   [n, H, T, K] has the right shape and the numbers in the wrong places.
    do = dc.reshape(n, T, H, K).swapaxes(1, 2)

    # rule: A matrix product of two arrays: dp = upstream @ v.mT.
    # formula: do @ v.mT, head by head.
    # why: Exercise 7's datt: how far each answer goes along what the place receives.
    dp = do @ v.mT

    # rule: A matrix product of two arrays: dv = p.mT @ upstream.
    # formula: p.mT @ do, head by head.
    # why: Exercise 7's dv: a place that answers hears from all that looked at it.
    dv = p.mT @ do

    # rule: Exercise 7.masked: softmax makes each entry of a row depend on all others.
    # formula: p * (dp - the sum over the last axis of p * dp), the sum kept.
    # why: Where z was masked p is 0, and so is dz: the mask needs no line of its own.
    dz = p * (dp - (p * dp).sum(3, keepdims=True))

    # rule: A matrix product q @ k.mT: dq = upstream @ k; the scale stays.
    # formula: dz @ k / sqrt(K).
    # why: A place's question meets the keys of all places that it looks at.
    dq = dz @ k / K**0.5

    # rule: A matrix product q @ k.mT: dk = upstream.mT @ q; the scale stays.
    # formula: dz.mT @ q / sqrt(K).
    # why: A place's key meets the questions of all places that look at it.
    dk = dz.mT @ q / K**0.5

    # rule: Three parts side by side: put their gradients side by side, heads undone.
    # formula: dq, dk, dv one after the other along the axis of the heads; then axes 1
    #   and 2 exchanged; then [n, T, 3E].
    # why: q is the first E numbers of qkv, k the next, v the last, H heads in each.
    dqkv = jnp.concatenate([dq, dk, dv], 1).swapaxes(1, 2).reshape(n, T, 3 * E)

    # rule: A matrix product of every example: a.mT @ upstream, summed over them.
    # formula: the sum over the n examples of a.mT @ dqkv.
    # why: As for Wp.
    dWqkv = (a.mT @ dqkv).sum(0)

    # rule: A bias is broadcast over examples and places: sum over both.
    # formula: the sum of dqkv over the n examples and T places.
    # why: As for bp. The part of the keys comes out as zero: a number that is added to
    #   all scores of a row changes no softmax.
    dbqkv = dqkv.sum((0, 1))

    # rule: A matrix product a @ W: da = upstream @ W.T.
    # formula: dqkv @ Wqkv.T, [n, T, 3E] @ [3E, E].
    # why: Exercise 7's three branches by q, k and v are one product here.
    da = dqkv @ Wqkv.T

    # rule: A factor that is broadcast over examples and places: sum over both.
    # formula: the sum over the n examples and T places of ahat * da.
    # why: As for gamma_m.
    dgamma_a = (ahat * da).sum((0, 1))

    # rule: A bias is broadcast over examples and places: sum over both.
    # formula: the sum of da over the n examples and T places.
    # why: As for bp.
    dbeta_a = da.sum((0, 1))

    # rule: A product: the other factor times the upstream.
    # formula: gamma_a * da.
    # why: As for mhat.
    dahat = gamma_a * da

    # rule: x is read by x2, unchanged, and by the layernorm: as x2 was.
    # formula: dx2 + rstd_a * (dahat - mean(dahat) - ahat * mean(dahat * ahat)).
    # why: The stream again, and what the attention's input was worth. This dx is the dy
    #   of the block before.
    dx = dx2
    dx += rstd_a * (dahat - dahat.mean(2, keepdims=True) - ahat * (dahat * ahat).mean(2, keepdims=True))  # noqa: E501

    return (
        dx, dgamma_a, dbeta_a, dWqkv, dbqkv, dWo, dbo, dgamma_m, dbeta_m, dWf, dbf, dWp,
        dbp,
    )


# fmt: on
HEADS = ".reshape(n, T, H, K).swapaxes(1, 2)"
NODES = (
    Node("x", "n T E"),
    *(Node("gamma_a", "E"), Node("beta_a", "E")),
    *(Node("Wqkv", "E 3E"), Node("bqkv", "3E")),
    *(Node("Wo", "E E"), Node("bo", "E")),
    *(Node("gamma_m", "E"), Node("beta_m", "E")),
    *(Node("Wf", "E 4E"), Node("bf", "4E")),
    *(Node("Wp", "4E E"), Node("bp", "E")),
    Node("mean_a", "n T 1", "x.mean(2, keepdims=True)"),
    Node(
        "rstd_a",
        "n T 1",
        "(((x - mean_a)**2).mean(2, keepdims=True) + 1e-5) ** -0.5",
    ),
    Node("ahat", "n T E", "(x - mean_a) * rstd_a"),
    Node("a", "n T E", "gamma_a * ahat + beta_a"),
    Node("qkv", "n T 3E", "a @ Wqkv + bqkv"),
    Node("q", "n H T K", f"qkv[:, :, :E]{HEADS}"),
    Node("k", "n H T K", f"qkv[:, :, E : 2 * E]{HEADS}"),
    Node("v", "n H T K", f"qkv[:, :, 2 * E :]{HEADS}"),
    Node("z", "n H T T", "q @ k.mT / K**0.5"),
    Node("masked", "n H T T", "jnp.where(seen, z, -jnp.inf)"),
    Node("p", "n H T T", "jax.nn.softmax(masked, 3)"),
    Node("o", "n H T K", "p @ v"),
    Node("c", "n T E", "o.swapaxes(1, 2).reshape(n, T, E)"),
    Node("x2", "n T E", "x + c @ Wo + bo"),
    Node("mean_m", "n T 1", "x2.mean(2, keepdims=True)"),
    Node(
        "rstd_m",
        "n T 1",
        "(((x2 - mean_m)**2).mean(2, keepdims=True) + 1e-5) ** -0.5",
    ),
    Node("mhat", "n T E", "(x2 - mean_m) * rstd_m"),
    Node("m", "n T E", "gamma_m * mhat + beta_m"),
    Node("f", "n T 4E", "m @ Wf + bf"),
    Node(
        "s", "n T 4E", f"jax.nn.sigmoid({atomic_block.SLOPE} * (f + 0.044715 * f**3))"
    ),
    Node("h", "n T 4E", "f * s"),
    Node("y", "n T E", "x2 + h @ Wp + bp"),
)


def inputs(at: Sizes) -> dict[str, np.ndarray]:
    """Gains near 1, weights by their fan-in, biases that are not zero."""
    n, T, E = (at[letter] for letter in "nTE")
    normal = np.random.default_rng(at.seed).standard_normal
    widths = {"qkv": (E, 3 * E), "o": (E, E), "f": (E, 4 * E), "p": (4 * E, E)}
    found = {"x": 1.2 * normal((n, T, E)) + 0.3, "seen": np.tril(np.ones((T, T), bool))}
    for name, (before, after) in widths.items():
        found[f"W{name}"] = 1.3 * normal((before, after)) / before**0.5
        found[f"b{name}"] = 0.3 * normal(after)
    for name in ("a", "m"):
        found[f"gamma_{name}"] = 1 + 0.3 * normal(E)
        found[f"beta_{name}"] = 0.3 * normal(E)
    return found


WEIGHTS = ("Wp", "bp", "Wf", "bf", "Wo", "bo", "Wqkv", "bqkv")
NORMS = ("gamma_m", "beta_m", "mhat", "gamma_a", "beta_a", "ahat")
EXERCISE = Exercise(
    8,
    "a transformer block, which trains",
    Network(
        NODES,
        inputs,
        home=sizes(0, n=4, T=8, E=32, H=4, K=8),
        pair=sizes(1, n=2, T=3, E=8, H=2, K=4),
        tied=sizes(2, n=3, T=4, E=15, H=3, K=5),
        letters={letter: letter for letter in "nTEHK"},
        numbers=tuple("nTEHK"),
    ),
    forms={
        "f": (
            "(s + s * (1.0 - s) * (f * 1.5957691216057308 * "
            "(1.0 + 3 * 0.044715 * f**2))) * dh",
        ),
        "z": ("p * dp - p * (p * dp).sum(3, keepdims=True)",),
    },
    effort={
        **dict.fromkeys((*WEIGHTS, *NORMS), (2, 0)),
        **{"h": (2, 0), "f": (20, 2), "m": (2, 0), "x2": (15, 2), "c": (2, 0)},
        **{"o": (5, 1), "p": (3, 1), "v": (3, 1), "z": (5, 1), "q": (3, 1)},
        **{"k": (3, 1), "qkv": (10, 2), "a": (2, 0), "x": (5, 1)},
    },
    probes=("x2", "c", "a"),
    least=(
        *("rstd_a", "ahat", "a", "q", "k", "v", "p", "c"),
        *("rstd_m", "mhat", "m", "f", "s", "h"),
    ),
    jacobians=("z",),
    trains=True,
)

"""Exercise 5: backpropagate through layer normalisation.

Batchnorm takes mean and variance over the examples, layernorm over the features of each
place: every row x[i, t] is normalised by itself, and gamma and beta serve all rows.

    mean  = 1 / D * x.sum(2, keepdims=True)         [n, T, 1]
    diff  = x - mean                                [n, T, D]
    diff2 = diff**2                                 [n, T, D]
    var   = 1 / D * diff2.sum(2, keepdims=True)     [n, T, 1]
    rstd  = (var + 1e-5) ** -0.5                    [n, T, 1]
    xhat  = diff * rstd                             [n, T, D]
    y     = gamma * xhat + beta                     [n, T, D]

The variance is over D, without Bessel's correction, as in every transformer. dy, the
gradient of whatever comes after, is given; it has no pattern that hides a mistake.
Sizes: n batch, T places, D features. Mind which axes a sum goes over.
"""

import jax.numpy as jnp
import numpy as np

from jaxninja.workbook.exercise import Exercise
from jaxninja.workbook.network import Network, Node, Sizes, sizes


def backward(x, gamma, beta, mean, diff, diff2, var, rstd, xhat, y, D, dy):
    # rule: A factor that is broadcast over examples and places: sum over both.
    # formula: the sum over the n examples and T places of xhat * dy.
    # why: One gamma serves its feature in all n T rows: what is used many times
    #   receives the sum of what its uses send back.
    dgamma = (xhat * dy).sum((0, 1))

    # rule: A bias that is broadcast over examples and places: sum over both.
    # formula: the sum over the n examples and T places of dy.
    # why: beta[k] is added to feature k of every row, with slope 1.
    dbeta = dy.sum((0, 1))

    # rule: A product: the other factor times the upstream.
    # formula: gamma * dy.
    # why: xhat is [n, T, D] itself, so nothing was copied and nothing is summed.
    dxhat = gamma * dy

    # rule: A product with a broadcast factor: sum over the copies, here the features.
    # formula: the sum over the D features of diff * dxhat, kept as [n, T, 1].
    # why: One inverse deviation serves all features of its row. In batchnorm it served
    #   a column; the algebra is the same, the axis is another.
    drstd = (diff * dxhat).sum(2, keepdims=True)

    # rule: The power rule, elementwise.
    # formula: -1/2 * (var + 1e-5)^(-3/2) * drstd.
    # why: d(v + eps)^(-1/2) = -1/2 (v + eps)^(-3/2) dv, and that power is rstd^3.
    dvar = -0.5 * (var + 1e-5) ** -1.5 * drstd

    # rule: A scaled sum forward is a scaled copy backward.
    # formula: dvar / D, copied to all D features.
    # why: Every squared deviation adds 1/D of itself to the variance of its row.
    ddiff2 = 1.0 / D * jnp.ones_like(diff2) * dvar

    # rule: diff is read twice: by xhat, and by its own square.
    # formula: rstd * dxhat + 2 * diff * ddiff2.
    # why: The first branch scales; the second tells how diff moves the variance. By it
    #   dx loses its part along xhat.
    ddiff = rstd * dxhat
    ddiff += 2.0 * diff * ddiff2

    # rule: A difference a - b with b broadcast: db is minus the sum over the copies.
    # formula: minus the sum over the D features of ddiff, kept as [n, T, 1].
    # why: One mean is taken off all features of its row.
    dmean = -ddiff.sum(2, keepdims=True)

    # rule: x is read twice: by the difference, and by the mean.
    # formula: ddiff + dmean / D, the mean's part copied to all D features.
    # why: Each entry adds 1/D of itself to the mean. Put all steps together and dx is
    #   rstd * (dxhat - mean(dxhat) - xhat * mean(dxhat * xhat)), means over a row: what
    #   is left has no part along 1 and next to none along xhat. That is a short cut for
    #   exercise 8; here dx is to come from ddiff and dmean.
    dx = ddiff
    dx += 1.0 / D * jnp.ones_like(x) * dmean

    return dx, dgamma, dbeta


NODES = (
    Node("x", "n T D"),
    Node("gamma", "D"),
    Node("beta", "D"),
    Node("mean", "n T 1", "1 / D * x.sum(2, keepdims=True)"),
    Node("diff", "n T D", "x - mean"),
    Node("diff2", "n T D", "diff**2"),
    Node("var", "n T 1", "1 / D * diff2.sum(2, keepdims=True)"),
    Node("rstd", "n T 1", "(var + 1e-5) ** -0.5"),
    Node("xhat", "n T D", "diff * rstd"),
    Node("y", "n T D", "gamma * xhat + beta"),
)


def inputs(at: Sizes) -> dict[str, np.ndarray]:
    """Rows that differ in mean and in scale."""
    n, T, D = (at[letter] for letter in "nTD")
    normal = np.random.default_rng(at.seed).standard_normal
    rows = normal((n, T, 1)) + np.exp(0.3 * normal((n, T, 1))) * normal((n, T, D))
    return {"x": rows, "gamma": 1 + 0.3 * normal(D), "beta": 0.3 * normal(D)}


EXERCISE = Exercise(
    5,
    "layer normalisation",
    Network(
        NODES,
        inputs,
        home=sizes(0, n=8, T=16, D=32),
        pair=sizes(1, n=2, T=3, D=5),
        tied=sizes(2, n=5, T=4, D=6),
        letters={"n": "x.shape[0]", "T": "x.shape[1]", "D": "D"},
        numbers=("D",),
    ),
    forms={
        "var": ("-0.5 * rstd**3 * drstd",),
        "x": ("ddiff - ddiff.mean(2, keepdims=True)",),
    },
    effort={
        **{"gamma": (5, 1), "beta": (3, 0), "xhat": (2, 0), "rstd": (5, 1)},
        **{"var": (5, 0), "diff2": (5, 1), "diff": (5, 1), "mean": (5, 1)},
        **{"x": (10, 2)},
    },
    probes=("xhat", "diff"),
    least=("rstd", "xhat"),
)

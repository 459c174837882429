"""Cross entropy of a yes or no: logits against targets in [0, 1], mean over all.

    p = 1 / (1 + e^-z)           loss = sum -(t log p + (1 - t) log(1 - p)) / n

Since log p = z - s and log(1 - p) = -s, with s = log(1 + e^z) (softplus), an entry is

    l = s - t z

which neither overflows nor takes a logarithm of 0. Perturb z and t; s moves by p dz:

    l moves by  (p - t) dz - z dt

Elementwise, so the transpose is the same, with the cotangent dloss / n of each entry:

    dz = (p - t) dloss / n       dt = -z dloss / n

Check: t = p gives dz = 0; z = 0 gives log 2 and dz = (1/2 - t) / n; of a target 1 and a
large z nothing is left of l, of a target 0 it is z.
"""

from typing import NamedTuple

import jax
from jaxtyping import Array, Float

from jaxninja.rule import Case, Rule, mean_cotangent
from jaxninja.rules.losses.arguments import pair_of_floats


class Residuals(NamedTuple):
    logits: jax.Array  # [*shape], an argument: held anyway; p is computed again
    targets: jax.Array  # [*shape], an argument too


@jax.custom_vjp
def binary_cross_entropy(
    logits: Float[Array, "*shape"], targets: Float[Array, "*shape"]
) -> Float[Array, ""]:
    """Mean of -(t log p + (1 - t) log(1 - p)) with p = sigmoid(logits).

    Args:
        logits: [*shape], finite, of any size: no large one overflows.
        targets: [*shape] in [0, 1], the probability of a yes; they receive a gradient.

    Returns:
        Scalar, in nats.

    Raises:
        ValueError: the shapes differ, there is no entry (a mean of 0 / 0), or an array
            is not of floats.

    Source: Cox 1958, The Regression Analysis of Binary Sequences.
    """
    return binary_cross_entropy_fwd(logits, targets)[0]


def binary_cross_entropy_fwd(logits, targets):
    pair_of_floats("binary_cross_entropy", logits=logits, targets=targets)
    rows = jax.nn.softplus(logits) - targets * logits
    return rows.mean(), Residuals(logits, targets)


def binary_cross_entropy_bwd(res, dloss):
    """Returns dlogits and dtargets, [*shape] each."""
    each = mean_cotangent(dloss, res.logits.size)
    p = jax.nn.sigmoid(res.logits)
    return (p - res.targets) * each, -res.logits * each


binary_cross_entropy.defvjp(binary_cross_entropy_fwd, binary_cross_entropy_bwd)


def binary_cross_entropy_jvp(primals, tangents):
    loss, (logits, targets) = binary_cross_entropy_fwd(*primals)
    dz, dt = tangents
    p = jax.nn.sigmoid(logits)
    return loss, ((p - targets) * dz - logits * dt).mean()


def example(key, N, D):
    key_logits, key_targets = jax.random.split(key)
    logits = 2 * jax.random.normal(key_logits, (N, D))
    return logits, jax.random.uniform(key_targets, (N, D), minval=0.05, maxval=0.95)


rule = Rule(
    op=binary_cross_entropy,
    fwd=binary_cross_entropy_fwd,
    bwd=binary_cross_entropy_bwd,
    jvp=binary_cross_entropy_jvp,
    example=example,
    cases=(Case({"N": 3, "D": 5}), Case({"N": 1, "D": 1}), Case({"N": 4, "D": 4})),
    bench=Case({"N": 4096, "D": 512}),
    source="Cox 1958, The Regression Analysis of Binary Sequences",
)

"""Divergence of q from p, both given by their logarithms: sum over the last axis.

    kl[n] = sum_v p (log p - log q)          loss = sum_n kl[n] / N      (p = e^log_p)

Perturb both logarithms, as free variables; p moves by p dlog_p:

    kl moves by  sum_v p (log p - log q + 1) dlog_p - p dlog_q

A sum against a fixed array is its own transpose. With the cotangent dloss / N of a row:

    dlog_p = (p (log p - log q) + p) dloss / N
    dlog_q = -p dloss / N

Where p = 0 the term is 0, by the limit of p log p, and so are both gradients: log p is
-inf there, which is never multiplied.

Check: p = q gives 0, dlog_q = -p / N, dlog_p = p / N. Along the moves that log_softmax
allows (sum_v p dlog_p = 0) that dlog_p does nothing: p = q is the minimum.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxninja.rule import Case, Rule, expect, mean_cotangent
from jaxninja.rules.losses.arguments import pair_of_floats


class Residuals(NamedTuple):
    log_p: jax.Array  # [*batch, V], an argument: held anyway; p is computed again
    log_q: jax.Array  # [*batch, V], an argument too


@jax.custom_vjp
def kl_divergence(
    log_p: Float[Array, "*batch V"], log_q: Float[Array, "*batch V"]
) -> Float[Array, ""]:
    """Kullback-Leibler divergence: mean over the rows of sum_v p (log p - log q).

    Args:
        log_p: [*batch, V] logarithms of the true probabilities, as of log_softmax;
            -inf is a probability of 0, whose term and gradients are 0.
        log_q: [*batch, V] logarithms of the model's; -inf where p is above 0 gives inf.

    Returns:
        Scalar, in nats; 0 or more where the rows are probabilities.

    Raises:
        ValueError: the shapes differ, there is no entry or no axis to sum over, or an
            array is not of floats.

    Source: Kullback, Leibler 1951, On Information and Sufficiency.
    """
    return kl_divergence_fwd(log_p, log_q)[0]


def kl_divergence_fwd(log_p, log_q):
    _check_arguments(log_p, log_q)
    p, ratio = _terms(log_p, log_q)
    return (p * ratio).sum(-1).mean(), Residuals(log_p, log_q)


def kl_divergence_bwd(res, dloss):
    """Returns dlog_p and dlog_q, [*batch, V] each."""
    p, ratio = _terms(*res)
    pull = p * mean_cotangent(dloss, p.size // p.shape[-1])
    return pull * ratio + pull, -pull


kl_divergence.defvjp(kl_divergence_fwd, kl_divergence_bwd)


def kl_divergence_jvp(primals, tangents):
    loss, res = kl_divergence_fwd(*primals)
    dlog_p, dlog_q = tangents
    p, ratio = _terms(*res)
    return loss, (p * (ratio * dlog_p + dlog_p - dlog_q)).sum(-1).mean()


def _terms(log_p, log_q):
    """p, and log p - log q: 0 where p is."""
    p = jnp.exp(log_p)
    return p, jnp.where(p > 0, log_p, 0) - jnp.where(p > 0, log_q, 0)


def _check_arguments(log_p, log_q):
    has_axis = f"of shape {log_p.shape}", "[..., V]", log_p.ndim > 0
    expect("kl_divergence", "log_p", *has_axis)
    pair_of_floats("kl_divergence", log_p=log_p, log_q=log_q)


def example(key, N, V):
    keys = jax.random.split(key)
    p, q = (2 * jax.random.normal(k, (N, V)) for k in keys)
    return jax.nn.log_softmax(p), jax.nn.log_softmax(q)


rule = Rule(
    op=kl_divergence,
    fwd=kl_divergence_fwd,
    bwd=kl_divergence_bwd,
    jvp=kl_divergence_jvp,
    example=example,
    cases=(Case({"N": 3, "V": 5}), Case({"N": 1, "V": 2}), Case({"N": 4, "V": 4})),
    bench=Case({"N": 4096, "V": 512}),
    source="Kullback, Leibler 1951, On Information and Sufficiency",
)

"""Bijectors, natural parameters, weights of particles, and a calibrated bias."""

import jax
import jax.numpy as jnp
from jax import lax

from experiments.checker_benchmark.strangers.record import (
    Stranger,
    Twin,
    collect,
    normal,
)

CASES: list[Stranger] = []
case = collect(CASES)


def precision_form(rng):
    root = normal(rng, 3, 3)
    return normal(rng, 3), root @ root.T / 3 + jnp.eye(3, dtype=jnp.float32)


@case(
    "Gaussian sites by natural parameters, as in bayesnewton and dynamax",
    "transform with several outputs",
    precision_form,
    Twin(
        "precision in the mean",
        "term|path",
        "precision",
        "The precision moves covariance and normaliser, not the mean.",
    ),
    Twin(
        "symmetry",
        "transpose|term|mask",
        "precision",
        "The gradient is not made symmetric, though the precision is.",
    ),
    Twin(
        "log-determinant",
        "term|path",
        "precision",
        "The normaliser has the quadratic form's gradient only.",
    ),
    narrow=False,
    scales=(0.5, 1.0, 2.0),
)
def gaussian_from_natural(slip):
    """Mean, covariance and log-normaliser."""

    def plain(shift, precision):
        even = (precision + precision.T) / 2
        covariance = jnp.linalg.inv(even)
        mean = covariance @ shift
        logdet = jnp.linalg.slogdet(even)[1]
        return mean, covariance, 0.5 * (shift @ mean - logdet)

    moments = jax.custom_vjp(plain)

    def fwd(shift, precision):
        mean, covariance, normaliser = plain(shift, precision)
        return (mean, covariance, normaliser), (mean, covariance)

    def bwd(res, cotangents):
        mean, covariance = res
        gm, gc, gn = cotangents
        pulled = covariance @ gm
        d = -covariance @ gc @ covariance - 0.5 * gn * jnp.outer(mean, mean)
        if slip != "precision in the mean":
            d = d - jnp.outer(pulled, mean)
        if slip != "log-determinant":
            d = d - 0.5 * gn * covariance
        if slip != "symmetry":
            d = (d + d.T) / 2
        return pulled + gn * mean, d

    moments.defvjp(fwd, bwd)
    return moments, plain


@case(
    "calibrated gates whose sum is a budget, by bisection as in jaxopt.Bisection",
    "implicit solution",
    lambda rng: (normal(rng, 2, 5), jnp.full(2, 2.0, jnp.float32)),
    Twin(
        "bias held fixed",
        "term|path",
        "x",
        "The bias that keeps the sum is taken for a constant.",
    ),
    Twin(
        "uniform share",
        "operand|factor|function",
        "x budget",
        "The bias has the plain mean of what is pulled back, not the one by slopes.",
    ),
    Twin(
        "whole batch",
        "axis|sum",
        "x budget",
        "Sums are over all rows together.",
    ),
    fixed=(1,),
    narrow=False,
    scales=(0.1, 1.0, 3.0),
)
def budgeted_sigmoid(slip):
    """Sigmoids of x plus the row's bias with which they sum to the budget."""

    def plain(x, budget):
        def excess(bias):
            return jax.nn.sigmoid(x + bias[:, None]).sum(-1) - budget

        def halve(_, ends):
            low, high = ends
            middle = (low + high) / 2
            above = excess(middle) > 0
            return jnp.where(above, low, middle), jnp.where(above, middle, high)

        ends = -20 - x.max(-1), 20 - x.min(-1)
        bias = lax.stop_gradient(sum(lax.fori_loop(0, 40, halve, ends)) / 2)
        for _ in range(2):  # by Newton: exact, and differentiable
            y = jax.nn.sigmoid(x + bias[:, None])
            bias = bias - excess(bias) / (y * (1 - y)).sum(-1)
        return jax.nn.sigmoid(x + bias[:, None])

    gates = jax.custom_vjp(plain)

    def fwd(x, budget):
        y = plain(x, budget)
        return y, y

    def bwd(y, g):
        s = y * (1 - y)
        pulled, slope = s * g, s
        if slip == "uniform share":
            share = pulled.mean(-1, keepdims=True)
            return pulled - share, share[:, 0]
        if slip == "whole batch":
            share = jnp.full((len(y), 1), pulled.sum() / slope.sum())
        else:
            share = pulled.sum(-1, keepdims=True) / slope.sum(-1, keepdims=True)
        dx = pulled if slip == "bias held fixed" else pulled - s * share
        return dx, share[:, 0]

    gates.defvjp(fwd, bwd)
    return gates, plain

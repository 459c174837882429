"""Densities and bijectors as distrax has them."""

import jax
import jax.numpy as jnp

from experiments.checker_benchmark.strangers.record import (
    Stranger,
    Twin,
    collect,
    draw,
    normal,
)

CASES: list[Stranger] = []
case = collect(CASES)


@case(
    "distrax.Tanh with its log-determinant",
    "bijector with two outputs",
    draw(x=(3, 4)),
    Twin("log-determinant dropped", "path|term|cotangent|zero", "x", "Only dy."),
    Twin("log-determinant's sign", "sign|term|path|factor", "x", "+2 for -2."),
)
def tanh_bijector(slip):
    @jax.custom_vjp
    def forward_and_log_det(x):
        log_det = 2 * (jnp.log(2.0) - x - jax.nn.softplus(-2 * x))
        return jnp.tanh(x), log_det.sum(-1).astype(x.dtype)

    def fwd(x):
        return forward_and_log_det.fun(x), jnp.tanh(x)

    def bwd(y, g):
        dy, dlog = g
        sign = 2 if slip == "log-determinant's sign" else -2
        dx = dy * (1 - y * y)
        if slip != "log-determinant dropped":
            dx = dx + sign * y * dlog[..., None]
        return (dx,)

    forward_and_log_det.defvjp(fwd, bwd)
    return forward_and_log_det, forward_and_log_det.fun


@case(
    "distrax.MixtureSameFamily of Gaussians",
    "density",
    lambda rng: (normal(rng, 5), jnp.zeros(3), normal(rng, 3), jnp.zeros(3)),
    Twin(
        "prior for posterior",
        "operand|residual|function",
        "value logits mean logstd",
        "The mixture's weights for the responsibilities.",
    ),
    Twin(
        "std for log std",
        "factor|operand",
        "logstd",
        "d/dstd, not times std.",
        witness=lambda rng: (
            normal(rng, 5),
            normal(rng, 3),
            normal(rng, 3),
            normal(rng, 3, std=0.3),
        ),
    ),
    fixed=(3,),
)
def mixture_log_prob(slip):
    def parts(value, logits, mean, logstd):
        z = (value[:, None] - mean) * jnp.exp(-logstd)
        return jax.nn.log_softmax(logits) - 0.5 * z * z - logstd, z

    @jax.custom_vjp
    def log_prob(value, logits, mean, logstd):
        return jax.nn.logsumexp(parts(value, logits, mean, logstd)[0], -1)

    def fwd(value, logits, mean, logstd):
        terms, z = parts(value, logits, mean, logstd)
        y = jax.nn.logsumexp(terms, -1)
        return y, (jnp.exp(terms - y[:, None]), z, logits, logstd)

    def bwd(res, g):
        r, z, logits, logstd = res
        prior = jax.nn.softmax(logits)
        if slip == "prior for posterior":
            r = jnp.broadcast_to(prior, r.shape)
        r = r * g[:, None]
        pull = r * z * jnp.exp(-logstd)
        dstd = (r * (z * z - 1)).sum(0)
        if slip == "std for log std":
            dstd = dstd * jnp.exp(-logstd)
        return -pull.sum(1), r.sum(0) - prior * g.sum(), pull.sum(0), dstd

    log_prob.defvjp(fwd, bwd)
    return log_prob, log_prob.fun

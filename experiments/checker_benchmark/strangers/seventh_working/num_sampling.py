"""Samples as functions of their parameters, and bounds made of them."""

import jax
import jax.numpy as jnp

from experiments.checker_benchmark.strangers.record import (
    Stranger,
    Twin,
    collect,
    draw,
    normal,
    positive,
)

CASES: list[Stranger] = []
case = collect(CASES)


@case(
    "samples of MultivariateNormalTriL in distrax and numpyro's AutoMultivariateNormal",
    "sampling",
    draw(mean=(3,), raw=(3, 3), noise=(5, 3)),
    Twin(
        "above the diagonal",
        "mask|term",
        "raw",
        "What lies above the diagonal has a gradient.",
    ),
    Twin(
        "softplus of the diagonal",
        "function|factor|term",
        "raw",
        "The diagonal's gradient does not pass softplus.",
    ),
    Twin(
        "samples averaged",
        "ratio|sum|factor",
        "mean",
        "The mean's gradient is the samples' mean, not their sum.",
    ),
)
def mvn_sample(slip):
    def factor(raw):
        return jnp.tril(raw, -1) + jnp.diag(jax.nn.softplus(jnp.diag(raw)))

    def plain(mean, raw, noise):
        return mean + noise @ factor(raw).T

    sample = jax.custom_vjp(plain)

    def fwd(mean, raw, noise):
        return plain(mean, raw, noise), (raw, noise)

    def bwd(res, g):
        raw, noise = res
        df = g.T @ noise
        slope = jax.nn.sigmoid(jnp.diag(raw))
        if slip == "softplus of the diagonal":
            slope = jnp.ones_like(slope)
        if slip == "above the diagonal":
            dfactor = df - jnp.diag(jnp.diag(df))
        else:
            dfactor = jnp.tril(df, -1)
        dfactor = dfactor + jnp.diag(slope * jnp.diag(df))
        dmean = g.mean(0) if slip == "samples averaged" else g.sum(0)
        return dmean, dfactor, g @ factor(raw)

    sample.defvjp(fwd, bwd)
    return sample, plain


def uniforms(rng):
    return positive(rng, 5, low=0.1, high=0.9), positive(rng, 5, low=0.0, high=1.0)


@case(
    "Box-Muller sampling in rendering and simulation code on JAX",
    "sampling with two outputs",
    uniforms,
    Twin(
        "a full turn",
        "factor|ratio",
        "turn",
        "The angle's gradient lacks 2 pi.",
    ),
    Twin(
        "sine's slope",
        "sign",
        "turn",
        "Both outputs turn the same way: the cosine's minus is forgotten.",
    ),
    fixed=(0, 1),
)
def box_muller(slip):
    def plain(share, turn):
        radius = jnp.sqrt(-2 * jnp.log(share))
        angle = 2 * jnp.pi * turn
        return radius * jnp.cos(angle), radius * jnp.sin(angle)

    pair = jax.custom_vjp(plain)

    def fwd(share, turn):
        out = plain(share, turn)
        return out, (share, out)

    def bwd(res, g):
        share, (first, second) = res
        square = -2 * jnp.log(share)
        dshare = -(g[0] * first + g[1] * second) / (share * square)
        dangle = g[1] * first - g[0] * second
        if slip == "sine's slope":
            dangle = g[1] * first + g[0] * second
        return dshare, dangle if slip == "a full turn" else 2 * jnp.pi * dangle

    pair.defvjp(fwd, bwd)
    return pair, plain


def guide(rng):
    variational = {"loc": normal(rng, 3), "log_scale": normal(rng, 3, std=0.3)}
    return variational, normal(rng, 5, 3), normal(rng, 5), normal(rng, 4, 3), 0.5


@case(
    "mean-field ELBO with an analytic KL in numpyro and VAE examples on JAX",
    "variational bound",
    guide,
    Twin(
        "noise forgotten",
        "term",
        "variational",
        "The log-scale gets the gradient of the KL only.",
    ),
    Twin(
        "weight of the KL",
        "option|factor|ratio",
        "variational",
        "The KL's gradient is not weighted by the temperature.",
    ),
    Twin(
        "draws summed",
        "ratio|sum|factor",
        "design target",
        "The fit is a mean over the draws, its gradient a sum.",
    ),
    narrow=False,
)
def elbo_gaussian(slip):
    def latents(variational, noise):
        return variational["loc"] + jnp.exp(variational["log_scale"]) * noise

    def plain(variational, design, target, noise, temperature):
        miss = target - latents(variational, noise) @ design.T
        fit = -0.5 * (miss**2).sum(1).mean()
        s = variational["log_scale"]
        kl = 0.5 * (jnp.exp(2 * s) + variational["loc"] ** 2 - 1 - 2 * s).sum()
        return fit - temperature * kl

    bound = jax.custom_vjp(plain, nondiff_argnums=(4,))

    def fwd(variational, design, target, noise, temperature):
        value = plain(variational, design, target, noise, temperature)
        return value, (variational, design, target, noise)

    def bwd(temperature, res, g):
        variational, design, target, noise = res
        z = latents(variational, noise)
        scale = jnp.exp(variational["log_scale"])
        miss = g * (target - z @ design.T) / len(noise)
        dz = miss @ design
        share = g if slip == "weight of the KL" else g * temperature
        dlog = -share * (scale**2 - 1)
        if slip != "noise forgotten":
            dlog = dlog + scale * (dz * noise).sum(0)
        dparams = {"loc": dz.sum(0) - share * variational["loc"], "log_scale": dlog}
        times = len(noise) if slip == "draws summed" else 1
        return dparams, times * miss.T @ z, -times * miss.sum(0), dz * scale

    bound.defvjp(fwd, bwd)
    return bound, plain


def swarm(rng):
    return normal(rng, 5, 2), normal(rng, 5, 2), positive(rng, low=0.8)


@case(
    "direction of Stein variational gradient descent in blackjax and numpyro",
    "sampling",
    swarm,
    Twin(
        "repulsion as constant",
        "term",
        "particles",
        "The distance in the repulsion is not differentiated, only its kernel.",
    ),
    Twin(
        "half of the pair",
        "term|transpose",
        "particles",
        "Of the two particles of a kernel only the first is moved.",
    ),
    narrow=False,
)
def svgd_direction(slip):
    def pieces(x, bandwidth):
        apart = x[:, None] - x[None]
        squares = (apart**2).sum(-1)
        return apart, squares, jnp.exp(-0.5 * squares / bandwidth**2)

    def plain(x, score, bandwidth):
        apart, _, k = pieces(x, bandwidth)
        repulsion = (k[..., None] * apart).sum(1) / bandwidth**2
        return (k @ score + repulsion) / len(x)

    direction = jax.custom_vjp(plain)

    def fwd(x, score, bandwidth):
        return plain(x, score, bandwidth), (x, score, bandwidth)

    def bwd(res, g):
        x, score, h = res
        apart, squares, k = pieces(x, h)
        g = g / len(x)
        along = jnp.einsum("id,ijd->ij", g, apart)
        dk = g @ score.T + along / h**2
        pull = -(dk * k)[..., None] * apart / h**2
        if slip != "repulsion as constant":
            pull = pull + k[..., None] * g[:, None] / h**2
        dx = pull.sum(1)
        if slip != "half of the pair":
            dx = dx - pull.sum(0)
        dh = (dk * k * squares).sum() / h**3 - 2 * (k * along).sum() / h**3
        return dx, k.T @ g, dh

    direction.defvjp(fwd, bwd)
    return direction, plain


@case(
    "entropy of Categorical in distrax",
    "entropy",
    draw(logits=(3, 5)),
    Twin(
        "not centred",
        "term",
        "logits",
        "-p (log p + 1): the gradient of the probabilities, not of the logits.",
    ),
    Twin(
        "sign",
        "sign",
        "logits",
        "The entropy is plus, not minus, the sum of p log p.",
    ),
)
def categorical_entropy(slip):
    def plain(logits):
        logp = jax.nn.log_softmax(logits, axis=-1)
        return -(jnp.exp(logp) * logp).sum(-1)

    entropy = jax.custom_vjp(plain)

    def fwd(logits):
        out = plain(logits)
        return out, (jax.nn.log_softmax(logits, axis=-1), out)

    def bwd(res, g):
        logp, out = res
        level = 1.0 if slip == "not centred" else out[:, None]
        dlogits = -g[:, None] * jnp.exp(logp) * (logp + level)
        return (-dlogits if slip == "sign" else dlogits,)

    entropy.defvjp(fwd, bwd)
    return entropy, plain

"""More of diffusion, flows and variational models."""

import jax
import jax.numpy as jnp

from experiments.checker_benchmark.strangers.record import (
    Stranger,
    Twin,
    collect,
    normal,
)

CASES: list[Stranger] = []
case = collect(CASES)


def pixels_and_mixtures(log_scale, edges=False):
    def args(rng):
        levels = rng.integers(0, 256, 7)
        if edges:
            levels[:3] = 0, 255, 255
        x = jnp.asarray(levels / 127.5 - 1, jnp.float32)
        params = {
            "logits": normal(rng, 7, 3),
            "means": normal(rng, 7, 3, std=0.5),
            "log_scales": normal(rng, 7, 3, mean=log_scale, std=0.5),
        }
        return x, params

    return args


@case(
    "discretised mixtures of logistics (PixelCNN++) in flax models of images",
    "density",
    pixels_and_mixtures(-1.5),
    Twin(
        "prior weights",
        "operand|residual|function",
        "params",
        "The parts are weighed by the mixture's weights, not by their posteriors.",
    ),
    Twin(
        "darkest and brightest",
        "edge|region|mask|term|function",
        "params",
        "Levels at the ends are pulled back as the others, though a tail is added.",
        witness=pixels_and_mixtures(-1.5, True),
    ),
    Twin(
        "floor of the scales",
        "mask|region|predicate|edge",
        "params",
        "Scales that are raised to their floor get a gradient all the same.",
        witness=pixels_and_mixtures(-7.0),
    ),
    options=lambda plain: {"nondiff": ("x",)},
    fixed=(0,),
    narrow=False,
    scales=(0.3, 1.0, 2.0),
)
def logistic_mixture_nll(slip):
    def edges(x, params):
        log_scales = jnp.maximum(params["log_scales"], -7.0)
        inverse = jnp.exp(-log_scales)
        gap = x[:, None] - params["means"]
        half = 1 / 255
        return inverse * (gap + half), inverse * (gap - half), 2 * half * inverse

    def parts(x, params):
        above, below, width = edges(x, params)
        low = jax.nn.log_sigmoid(above)
        high = jax.nn.log_sigmoid(-below)
        middle = low + high + jnp.log(-jnp.expm1(-width))
        x = x[:, None]
        each = jnp.where(x < -0.999, low, jnp.where(x > 0.999, high, middle))
        return each + jax.nn.log_softmax(params["logits"])

    @jax.custom_vjp
    def nll(x, params):
        return -jax.nn.logsumexp(parts(x, params), axis=-1)

    def fwd(x, params):
        return nll.fun(x, params), (x, params)

    def bwd(res, g):
        x, params = res
        prior = jax.nn.softmax(params["logits"])
        posterior = jax.nn.softmax(parts(x, params))
        each = prior if slip == "prior weights" else posterior
        above, below, width = edges(x, params)
        up, down = jax.nn.sigmoid(-above), jax.nn.sigmoid(below)
        spread = width / jnp.expm1(width)
        if slip != "darkest and brightest":
            dark, bright = (x < -0.999)[:, None], (x > 0.999)[:, None]
            up = jnp.where(bright, 0, up)
            down = jnp.where(dark, 0, down)
            spread = jnp.where(dark | bright, 0, spread)
        weighed = -g[:, None] * each
        dscales = -weighed * (above * up - below * down + spread)
        log_scales = params["log_scales"]
        if slip != "floor of the scales":
            share = jnp.where(log_scales == -7.0, 0.5, log_scales > -7.0)
            dscales = dscales * share.astype(dscales.dtype)
        inverse = jnp.exp(-jnp.maximum(log_scales, -7.0))
        grads = {
            "logits": -g[:, None] * (posterior - prior),
            "means": -weighed * inverse * (up - down),
            "log_scales": dscales,
        }
        return jnp.zeros_like(x), grads

    nll.defvjp(fwd, bwd)
    return nll, nll.fun


@case(
    "beta-TCVAE's three terms by minibatch-weighted sampling, in flax VAEs",
    "variational",
    lambda rng: (normal(rng, 5, 3), normal(rng, 5, 3), normal(rng, 5, 3, std=0.5), 100),
    Twin(
        "others' posteriors",
        "term|path|index",
        "mean logvar",
        "A sample's density under the others' posteriors is not pulled back to them.",
    ),
    Twin(
        "product of the marginals",
        "sum|axis|term",
        "z mean logvar",
        "The marginals' sums over the batch are weighed as the joint's.",
    ),
    Twin(
        "prior of the samples",
        "term|path|sign",
        "z",
        "The samples get nothing through their density under the prior.",
    ),
    scales=(0.3, 1.0, 2.0),
)
def beta_tcvae_terms(slip):
    def pairs(z, mean, logvar):
        """log q(z_i | x_j) of every dimension, samples first."""
        square = (z[:, None] - mean) ** 2 * jnp.exp(-logvar)
        return -0.5 * (square + logvar + jnp.log(2 * jnp.pi).astype(z.dtype))

    def plain(z, mean, logvar, total):
        each = pairs(z, mean, logvar)
        n = z.shape[0]
        own = each[jnp.arange(n), jnp.arange(n)].sum(-1)
        norm = jnp.log(jnp.asarray(n * total, z.dtype))
        joint = jax.nn.logsumexp(each.sum(-1), axis=1) - norm
        marginals = (jax.nn.logsumexp(each, axis=1) - norm).sum(-1)
        prior = -0.5 * (z**2 + jnp.log(2 * jnp.pi).astype(z.dtype)).sum(-1)
        information, correlation = (own - joint).mean(), (joint - marginals).mean()
        return information, correlation, (marginals - prior).mean()

    terms = jax.custom_vjp(plain, nondiff_argnums=(3,))

    def fwd(z, mean, logvar, total):
        return plain(z, mean, logvar, total), (z, mean, logvar)

    def bwd(total, res, g):
        z, mean, logvar = res
        information, correlation, kl = (a / z.shape[0] for a in g)
        each = pairs(z, mean, logvar)
        eye = jnp.eye(z.shape[0], dtype=z.dtype)[..., None]
        joint = jax.nn.softmax(each.sum(-1), axis=1)[..., None]
        marginals = jax.nn.softmax(each, axis=1)
        if slip == "product of the marginals":
            marginals = jnp.broadcast_to(joint, each.shape)
        deach = information * eye + (correlation - information) * joint
        deach = deach + (kl - correlation) * marginals
        precision = jnp.exp(-logvar)
        gap = z[:, None] - mean
        dz = -(deach * gap * precision).sum(1)
        if slip != "prior of the samples":
            dz = dz + kl * z
        if slip == "others' posteriors":
            deach = deach * eye
        dmean = (deach * gap * precision).sum(0)
        dlogvar = 0.5 * (deach * (gap**2 * precision - 1)).sum(0)
        return dz, dmean, dlogvar

    terms.defvjp(fwd, bwd)
    return terms, plain

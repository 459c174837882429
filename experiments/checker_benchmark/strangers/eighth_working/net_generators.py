"""Flows, scores and adversaries: steps and losses of generative models."""

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


def mixed_channels(rng):
    weight = jnp.eye(3) + normal(rng, 3, 3, std=0.4)
    return normal(rng, 2, 4, 2, 3), weight.astype(jnp.float32)


@case(
    "invertible 1x1 convolution of Glow, in flows for JAX",
    "flow with two outputs",
    mixed_channels,
    Twin(
        "one pixel",
        "factor|ratio|sum",
        "weight",
        "The log-determinant's gradient is not multiplied by the number of pixels.",
    ),
    Twin(
        "inverse as it is",
        "transpose",
        "weight",
        "The gradient of the log-determinant is the inverse, not transposed.",
    ),
    Twin(
        "mixed the other way",
        "transpose",
        "x",
        "The cotangent of the pixels is mixed by the weight, not its transpose.",
    ),
    narrow=False,
)
def invertible_conv_1x1(slip):
    @jax.custom_vjp
    def mix(x, weight):
        pixels = x.shape[1] * x.shape[2]
        logdet = pixels * jnp.linalg.slogdet(weight)[1]
        return x @ weight, jnp.broadcast_to(logdet, x.shape[:1])

    def fwd(x, weight):
        return mix.fun(x, weight), (x, weight)

    def bwd(res, g):
        x, weight = res
        dy, dlogdet = g
        back = weight if slip == "mixed the other way" else weight.T
        inverse = jnp.linalg.inv(weight)
        if slip != "inverse as it is":
            inverse = inverse.T
        pixels = 1 if slip == "one pixel" else x.shape[1] * x.shape[2]
        dweight = jnp.einsum("bhwi,bhwj->ij", x, dy)
        return dy @ back, dweight + dlogdet.sum() * pixels * inverse

    mix.defvjp(fwd, bwd)
    return mix, mix.fun


def autoregression(rng):
    params = {
        "shift": normal(rng, 4, 4, std=0.5),
        "scale": normal(rng, 4, 4, std=0.5),
        "bias": normal(rng, 4, std=0.3),
    }
    return normal(rng, 5, 4), params, 1.5


@case(
    "inverse autoregressive flow in Pyro and TensorFlow Probability",
    "flow with two outputs",
    autoregression,
    Twin(
        "mask of the weights",
        "mask",
        "params",
        "The weights that the mask takes out have a gradient.",
    ),
    Twin(
        "log-determinant",
        "term|path",
        "x params",
        "The returned log-determinant's cotangent is not used.",
    ),
    Twin(
        "slope of the limit",
        "factor|option|function",
        "x params",
        "tanh's slope is taken of the bounded scale, without the limit.",
    ),
)
def iaf_step(slip):
    def earlier(w):
        return jnp.triu(w, 1)

    def scales(x, params, limit):
        raw = x @ earlier(params["scale"]) + params["bias"]
        return limit * jnp.tanh(raw / limit)

    def plain(x, params, limit):
        s = scales(x, params, limit)
        return x * jnp.exp(s) + x @ earlier(params["shift"]), s.sum(-1)

    step = jax.custom_vjp(plain, nondiff_argnums=(2,))

    def fwd(x, params, limit):
        return plain(x, params, limit), (x, params, scales(x, params, limit))

    def bwd(limit, res, g):
        x, params, s = res
        dy, dlog = g
        ds = dy * x * jnp.exp(s)
        if slip != "log-determinant":
            ds = ds + dlog[:, None]
        bounded = s if slip == "slope of the limit" else s / limit
        dz = ds * (1 - bounded**2)
        masked = (lambda w: w) if slip == "mask of the weights" else earlier
        dparams = {
            "shift": masked(x.T @ dy),
            "scale": masked(x.T @ dz),
            "bias": dz.sum(0),
        }
        dx = dy * jnp.exp(s) + dy @ earlier(params["shift"]).T
        return dx + dz @ earlier(params["scale"]).T, dparams

    step.defvjp(fwd, bwd)
    return step, plain


@case(
    "hinge losses of BigGAN, in ports to Flax",
    "adversarial losses",
    draw(real=(7,), fake=(5,)),
    Twin(
        "margin of the real",
        "predicate|region|sign|mask",
        "real",
        "Real logits are taken to be inside of the margin above -1, not below 1.",
    ),
    Twin(
        "count of the real",
        "ratio|factor",
        "fake",
        "The mean over the generated is divided by the number of real ones.",
    ),
    Twin(
        "generator's loss",
        "term|path",
        "fake",
        "The second output's cotangent is not used.",
    ),
)
def hinge_gan_losses(slip):
    @jax.custom_vjp
    def losses(real, fake):
        right = jnp.where(real < 1, 1 - real, 0).mean()
        wrong = jnp.where(fake > -1, 1 + fake, 0).mean()
        return {"discriminator": right + wrong, "generator": -fake.mean()}

    def fwd(real, fake):
        margin = real > -1 if slip == "margin of the real" else real < 1
        return losses.fun(real, fake), (margin, fake > -1)

    def bwd(res, g):
        in_real, in_fake = res
        d = g["discriminator"]
        count = in_real.size if slip == "count of the real" else in_fake.size
        dfake = jnp.where(in_fake, d, 0)
        if slip != "generator's loss":
            dfake = dfake - g["generator"]
        return jnp.where(in_real, -d, 0) / in_real.size, dfake / count

    losses.defvjp(fwd, bwd)
    return losses, losses.fun


def noised_images(rng):
    score, noise = draw(score=(4, 3, 2), noise=(4, 3, 2))(rng)
    return score, noise, normal(rng, 4, std=0.5), 1.5


@case(
    "denoising score matching of NCSN and score_sde",
    "loss of scores with a weight",
    noised_images,
    Twin(
        "weight is constant",
        "term|path",
        "log_sigma",
        "The weight, a power of sigma, is not differentiated.",
    ),
    Twin(
        "power of two",
        "option|factor",
        "score noise log_sigma",
        "The backward has sigma^2 for any power.",
    ),
    Twin(
        "noise grows",
        "sign",
        "log_sigma",
        "noise / sigma is pulled back as if it grew with sigma.",
    ),
    fixed=(2,),
)
def denoising_score_loss(slip):
    def rest(score, noise, log_sigma):
        wide = jnp.expand_dims(log_sigma, range(1, score.ndim))
        part = noise * jnp.exp(-wide)
        return score + part, part, wide

    def plain(score, noise, log_sigma, power):
        r, *_ = rest(score, noise, log_sigma)
        squares = (r * r).reshape(len(r), -1).sum(-1)
        return 0.5 * (jnp.exp(power * log_sigma) * squares).mean()

    loss = jax.custom_vjp(plain, nondiff_argnums=(3,))

    def fwd(score, noise, log_sigma, power):
        value = plain(score, noise, log_sigma, power)
        return value, (score, noise, log_sigma)

    def bwd(power, res, g):
        score, noise, log_sigma = res
        if slip == "power of two":
            power = 2
        r, part, wide = rest(score, noise, log_sigma)
        dr = g * jnp.exp(power * wide) * r / len(r)
        dlog = dr * part if slip == "noise grows" else -dr * part
        if slip != "weight is constant":
            dlog = dlog + 0.5 * power * dr * r
        return dr, dr * jnp.exp(-wide), dlog.reshape(len(r), -1).sum(-1)

    loss.defvjp(fwd, bwd)
    return loss, plain

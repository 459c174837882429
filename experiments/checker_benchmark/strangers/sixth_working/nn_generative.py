"""Diffusion, flows and variational models."""

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


def denoiser(rng):
    params = {
        "in": normal(rng, 6, 8, std=0.4),
        "noise": normal(rng, 8, std=0.4),
        "bias": jnp.zeros(8),
        "out": normal(rng, 8, 6, std=0.35),
    }
    sigma = jnp.exp(normal(rng, 5, 1, mean=-1.2, std=1.2))
    return normal(rng, 5, 6, std=0.5), normal(rng, 5, 6), sigma, params, 0.5


@case(
    "EDM's preconditioned denoiser and its weighted loss in JAX diffusion trainers",
    "diffusion",
    denoiser,
    Twin(
        "weights of the noise levels",
        "factor|ratio|term|function",
        "clean noise params",
        "The weights of the noise levels are missing from the gradient.",
    ),
    Twin(
        "skip connection",
        "term|path",
        "clean noise",
        "The noisy input is reached through the network only, not through the skip.",
    ),
    Twin(
        "scaled input",
        "factor|operand|residual",
        "params",
        "The first weights are given the noisy input as it was before its scaling.",
    ),
    options=lambda plain: {"nondiff": ("sigma",)},
    fixed=(2,),
)
def edm_denoising_loss(slip):
    def scalings(sigma, data):
        total = sigma**2 + data**2
        root = jnp.sqrt(total)
        return (
            data**2 / total,
            sigma * data / root,
            1 / root,
            total / (sigma * data) ** 2,
        )

    def parts(clean, noise, sigma, params, data):
        noisy = clean + sigma * noise
        skip, out, scale, weight = scalings(sigma, data)
        level = jnp.log(sigma) / 4
        inner = scale * noisy @ params["in"] + level * params["noise"] + params["bias"]
        error = skip * noisy + out * (jax.nn.silu(inner) @ params["out"]) - clean
        return noisy, level, inner, error, weight

    def plain(clean, noise, sigma, params, data):
        *_, error, weight = parts(clean, noise, sigma, params, data)
        return (weight * error**2).sum(-1).mean()

    loss = jax.custom_vjp(plain, nondiff_argnums=(4,))

    def fwd(clean, noise, sigma, params, data):
        return plain(clean, noise, sigma, params, data), (clean, noise, sigma, params)

    def bwd(data, res, g):
        clean, noise, sigma, params = res
        noisy, level, inner, error, weight = parts(clean, noise, sigma, params, data)
        skip, out, scale, _ = scalings(sigma, data)
        derror = 2 * g * error / clean.shape[0]
        if slip != "weights of the noise levels":
            derror = derror * weight
        dnet = out * derror
        gate = jax.nn.sigmoid(inner)
        dinner = (dnet @ params["out"].T) * gate * (1 + inner * (1 - gate))
        dnoisy = scale * (dinner @ params["in"].T)
        if slip != "skip connection":
            dnoisy = dnoisy + skip * derror
        seen = noisy if slip == "scaled input" else scale * noisy
        grads = {
            "in": seen.T @ dinner,
            "noise": (level * dinner).sum(0),
            "bias": dinner.sum(0),
            "out": (inner * gate).T @ dnet,
        }
        return dnoisy - derror, sigma * dnoisy, jnp.zeros_like(sigma), grads

    loss.defvjp(fwd, bwd)
    return loss, plain


@case(
    "rescaled classifier-free guidance of diffusers, ported to JAX",
    "diffusion",
    lambda rng: (normal(rng, 3, 4, 4), normal(rng, 3, 4, 4), 7.5, 0.7),
    Twin(
        "deviation of the conditional",
        "term|path",
        "conditional",
        "The deviation that is restored is taken for a constant.",
    ),
    Twin(
        "deviation of the guided",
        "term|path",
        "unconditional conditional",
        "The deviation that is divided by is taken for a constant.",
    ),
    Twin(
        "unbiased deviation",
        "ratio|factor|constant",
        "unconditional conditional",
        "The deviations' gradients are divided by one less than there are entries.",
    ),
)
def guidance_rescale(slip):
    def centred(x):
        axes = tuple(range(1, x.ndim))
        mean = x.mean(axes, keepdims=True)
        return x - mean, jnp.sqrt(((x - mean) ** 2).mean(axes, keepdims=True))

    def guide(unconditional, conditional, scale):
        return unconditional + scale * (conditional - unconditional)

    def plain(unconditional, conditional, scale, share):
        guided = guide(unconditional, conditional, scale)
        factor = centred(conditional)[1] / centred(guided)[1]
        return share * factor * guided + (1 - share) * guided

    combine = jax.custom_vjp(plain, nondiff_argnums=(2, 3))

    def fwd(unconditional, conditional, scale, share):
        out = plain(unconditional, conditional, scale, share)
        return out, (unconditional, conditional)

    def bwd(scale, share, res, g):
        unconditional, conditional = res
        axes = tuple(range(1, g.ndim))
        guided = guide(unconditional, conditional, scale)
        text, text_std = centred(conditional)
        both, both_std = centred(guided)
        count = guided[0].size - (slip == "unbiased deviation")
        dfactor = share * (g * guided).sum(axes, keepdims=True)
        dguided = (share * text_std / both_std + 1 - share) * g
        if slip != "deviation of the guided":
            dstd = -dfactor * text_std / both_std**2
            dguided = dguided + dstd * both / (count * both_std)
        dconditional = scale * dguided
        if slip != "deviation of the conditional":
            dstd = dfactor / both_std
            dconditional = dconditional + dstd * text / (count * text_std)
        return (1 - scale) * dguided, dconditional

    combine.defvjp(fwd, bwd)
    return combine, plain

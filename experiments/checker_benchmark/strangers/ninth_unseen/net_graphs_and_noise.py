"""Filters on graphs, losses of noise, steps by signs, masks of sources."""

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
    "Chebyshev graph convolution in jraph and spektral ports",
    "graph layer with a recursion",
    lambda rng: (normal(rng, 5, 3), normal(rng, 5, 5, std=0.4), normal(rng, 4, 3, 2)),
    Twin(
        "filter not transposed",
        "transpose",
        "x",
        "The recursion's cotangent goes through the filter instead of its transpose.",
    ),
    Twin(
        "two steps back",
        "term|path|sign",
        "x laplacian",
        "The part that is subtracted two steps later is left out.",
    ),
    Twin(
        "first step doubled",
        "factor|ratio|edge",
        "laplacian x",
        "The first step gets the two of the later ones.",
    ),
)
def cheb_conv(slip):
    def terms(x, laplacian, count):
        steps = [x, laplacian @ x]
        while len(steps) < count:
            steps.append(2 * laplacian @ steps[-1] - steps[-2])
        return steps[:count]

    @jax.custom_vjp
    def layer(x, laplacian, weights):
        steps = jnp.stack(terms(x, laplacian, len(weights)))
        return jnp.einsum("knc,kcd->nd", steps, weights)

    def fwd(x, laplacian, weights):
        steps = jnp.stack(terms(x, laplacian, len(weights)))
        out = jnp.einsum("knc,kcd->nd", steps, weights)
        return out, (steps, laplacian, weights)

    def bwd(res, g):
        steps, laplacian, weights = res
        d = list(jnp.einsum("nd,kcd->knc", g, weights))
        dlaplacian = jnp.zeros_like(laplacian)
        back = laplacian if slip == "filter not transposed" else laplacian.T
        for k in range(len(d) - 1, 0, -1):
            two = 2 if k > 1 or slip == "first step doubled" else 1
            dlaplacian = dlaplacian + two * d[k] @ steps[k - 1].T
            d[k - 1] = d[k - 1] + two * back @ d[k]
            if k > 1 and slip != "two steps back":
                d[k - 2] = d[k - 2] - d[k]
        return d[0], dlaplacian, jnp.einsum("knc,nd->kcd", steps, g)

    layer.defvjp(fwd, bwd)
    return layer, layer.fun


def velocities(rng):
    x, noise, guess = draw(x=(6, 4), noise=(6, 4), guess=(6, 4))(rng)
    log_snr = jnp.asarray([-2.0, 0.3, 2.5, 1.2, 4.0, -0.5], jnp.float32)
    return guess, x, noise, log_snr, 5.0


@case(
    "loss of velocities with min-SNR weights in diffusers' training scripts",
    "diffusion loss with learned noise levels",
    velocities,
    Twin(
        "weight constant",
        "term|path",
        "log_snr",
        "The weight's own dependence on the noise level is left out.",
    ),
    Twin(
        "cap not seen",
        "mask|region|option|predicate",
        "guess x noise log_snr",
        "The backward weighs samples above the cap as those below.",
    ),
    Twin(
        "sample's sign",
        "sign",
        "x",
        "The sample enters the velocity with a plus.",
    ),
    fixed=(3,),
)
def v_prediction_loss(slip):
    up = jax.nn.sigmoid

    def pieces(log_snr, cap):
        low = log_snr < jnp.log(cap)
        weight = jnp.where(low, up(log_snr), cap * up(-log_snr))
        return low, weight, jnp.sqrt(up(log_snr)), jnp.sqrt(up(-log_snr))

    def error(guess, x, noise, a, s):
        return guess - (a[:, None] * noise - s[:, None] * x)

    def plain(guess, x, noise, log_snr, cap):
        _, weight, a, s = pieces(log_snr, cap)
        return (weight * (error(guess, x, noise, a, s) ** 2).mean(1)).mean()

    loss = jax.custom_vjp(plain, nondiff_argnums=(4,))

    def fwd(guess, x, noise, log_snr, cap):
        return plain(guess, x, noise, log_snr, cap), (guess, x, noise, log_snr)

    def bwd(cap, res, g):
        guess, x, noise, log_snr = res
        low, weight, a, s = pieces(log_snr, cap)
        if slip == "cap not seen":
            low, weight = jnp.ones_like(low), up(log_snr)
        e = error(guess, x, noise, a, s)
        d = 2 * g * weight[:, None] * e / e.size
        da, ds = -(d * noise).sum(1), (d * x).sum(1)
        dlevel = (da * a * up(-log_snr) - ds * s * up(log_snr)) / 2
        if slip != "weight constant":
            slope = up(log_snr) * up(-log_snr) * jnp.where(low, 1, -cap)
            dlevel = dlevel + g * (e * e).sum(1) * slope / e.size
        dx = s[:, None] * d
        if slip == "sample's sign":
            dx = -dx
        return d, dx, -a[:, None] * d, dlevel

    loss.defvjp(fwd, bwd)
    return loss, plain


def lion(rng):
    params = {"w": normal(rng, 3, 4), "b": normal(rng, 4)}
    other = [{"w": normal(rng, 3, 4), "b": normal(rng, 4)} for _ in range(2)]
    return params, *other, 0.1, 0.2


@case(
    "Lion in optax, its step differentiated",
    "optimiser's step by signs",
    lion,
    Twin(
        "sign passes",
        "function|zero|term",
        "grads momentum",
        "The sign is pulled back as the identity.",
    ),
    Twin(
        "betas exchanged",
        "swap|factor|ratio|operand",
        "grads momentum",
        "The momentum is pulled back with the weights of the interpolation.",
    ),
    Twin(
        "decay forgotten",
        "factor|option|term",
        "params",
        "The weight decay is not applied in the backward.",
    ),
)
def lion_step(slip):
    b1, b2 = 0.9, 0.6

    def plain(params, momentum, grads, lr, decay):
        def one(p, m, g):
            move = jnp.sign(b1 * m + (1 - b1) * g)
            return p - lr * (move + decay * p), b2 * m + (1 - b2) * g

        both = {k: one(params[k], momentum[k], grads[k]) for k in params}
        return tuple({k: v[i] for k, v in both.items()} for i in (0, 1))

    step = jax.custom_vjp(plain, nondiff_argnums=(3, 4))

    def fwd(params, momentum, grads, lr, decay):
        return plain(params, momentum, grads, lr, decay), None

    def bwd(lr, decay, _, cot):
        dp, dm = cot
        keep = 1 if slip == "decay forgotten" else 1 - lr * decay
        beta = b1 if slip == "betas exchanged" else b2
        dmomentum = jax.tree.map(lambda d: beta * d, dm)
        dgrads = jax.tree.map(lambda d: (1 - beta) * d, dm)
        if slip == "sign passes":
            dmomentum = jax.tree.map(lambda d, u: d - lr * b1 * u, dmomentum, dp)
            dgrads = jax.tree.map(lambda d, u: d - lr * (1 - b1) * u, dgrads, dp)
        return jax.tree.map(lambda d: keep * d, dp), dmomentum, dgrads

    step.defvjp(fwd, bwd)
    return step, plain


@case(
    "ratio masks of norbert and asteroid, as a Wiener filter",
    "masks for separated sources",
    draw(estimates=(3, 4, 5), mixture=(4, 5)),
    Twin(
        "own source only",
        "term|path|sum",
        "estimates",
        "An estimate's effect on the other sources' masks is left out.",
    ),
    Twin(
        "square not pulled back",
        "factor|operand|ratio",
        "estimates",
        "The gradient is that of the squares.",
    ),
    Twin(
        "loudest source",
        "sum|term|index",
        "mixture",
        "The mixture gets the part of the source with the largest mask.",
    ),
)
def wiener_mask(slip):
    def masks(estimates):
        power = estimates**2
        total = power.sum(0) + 1e-8
        return power / total, total

    @jax.custom_vjp
    def separate(estimates, mixture):
        return masks(estimates)[0] * mixture

    def fwd(estimates, mixture):
        mask, total = masks(estimates)
        return mask * mixture, (estimates, mixture, mask, total)

    def bwd(res, g):
        estimates, mixture, mask, total = res
        dmask = g * mixture
        mixed = (dmask * mask).sum(0)
        if slip == "own source only":
            mixed = dmask * mask
        d = (dmask - mixed) / total
        if slip != "square not pulled back":
            d = 2 * estimates * d
        parts = g * mask
        if slip == "loudest source":
            parts = jnp.where(mask == mask.max(0), parts, 0)
        return d, parts.sum(0)

    separate.defvjp(fwd, bwd)
    return separate, separate.fun

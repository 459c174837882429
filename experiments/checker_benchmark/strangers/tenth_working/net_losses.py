"""Losses over frequencies, pairs and orthogonal updates."""

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


@case(
    "focal frequency loss for image synthesis, in jax ports",
    "loss in the frequency domain",
    lambda rng: (normal(rng, 2, 4, 5), normal(rng, 2, 4, 5)),
    Twin(
        "inverse normalisation",
        "factor|ratio|function",
        "fake real",
        "The way back is the inverse transform, with its division by the size.",
    ),
    Twin(
        "weight held",
        "factor|power|ratio",
        "fake real",
        "The weight is differentiated as if it were a constant.",
    ),
    Twin(
        "mean",
        "factor|ratio|sum",
        "fake real",
        "The mean over the images became a sum.",
    ),
    narrow=False,
)
def focal_frequency_loss(slip):
    # the weight is the distance itself, so that each frequency counts with power 3/2
    def spectrum(fake, real):
        return jnp.fft.fft2(fake - real, norm="ortho")

    def plain(fake, real):
        D = spectrum(fake, real)
        d2 = D.real**2 + D.imag**2
        return (d2 * d2).sum((1, 2)).mean()

    loss = jax.custom_vjp(plain)

    def fwd(fake, real):
        D = spectrum(fake, real)
        d2 = D.real**2 + D.imag**2
        return (d2 * d2).sum((1, 2)).mean(), D

    def bwd(D, g):
        d2 = D.real**2 + D.imag**2
        dD = (2 if slip == "weight held" else 4) * d2 * D
        norm = "backward" if slip == "inverse normalisation" else "ortho"
        back = jnp.fft.ifft2(dD, norm=norm).real
        dx = g * back / (1 if slip == "mean" else len(back))
        return dx, -dx

    loss.defvjp(fwd, bwd)
    return loss, plain


@case(
    "DirectAU's alignment and uniformity for recommenders, in jax ports",
    "contrastive loss over all pairs",
    lambda rng: (normal(rng, 5, 3), normal(rng, 5, 3), 0.7),
    Twin(
        "length",
        "path|term",
        "users items",
        "The gradient is not taken through the division by the length.",
    ),
    Twin(
        "one of a pair",
        "factor|term|sum|ratio",
        "users items",
        "Each pair pushes one of its two members.",
    ),
    Twin(
        "gamma",
        "factor|ratio|option",
        "items users",
        "Uniformity is not multiplied by gamma.",
    ),
    narrow=False,
)
def alignment_uniformity_loss(slip):
    def unit(a):
        return a / jnp.sqrt((a * a).sum(-1, keepdims=True) + 1e-6)

    def kernel(e):
        d2 = jnp.square(e[:, None] - e[None]).sum(-1)
        upper = jnp.triu(jnp.ones(d2.shape, bool), 1)
        return jnp.where(upper, jnp.exp(-2 * d2), 0)

    def plain(users, items, gamma):
        u, i = unit(users), unit(items)
        n = len(users) * (len(users) - 1) / 2
        pull = jnp.square(u - i).sum(-1).mean()
        push = [jnp.log(kernel(e).sum() / n) / 2 for e in (u, i)]
        return pull + gamma * sum(push)

    loss = jax.custom_vjp(plain, nondiff_argnums=(2,))

    def fwd(users, items, gamma):
        return plain(users, items, gamma), (users, items)

    def bwd(gamma, res, ct):
        def repel(e):
            K = kernel(e)
            K = K / K.sum()
            if slip != "one of a pair":
                K = K + K.T
            dif = e[:, None] - e[None]
            w = 1.0 if slip == "gamma" else gamma
            return -2 * w * jnp.einsum("ij,ijd->id", K, dif)

        def through_unit(a, de):
            r = 1 / jnp.sqrt((a * a).sum(-1, keepdims=True) + 1e-6)
            if slip == "length":
                return de * r
            return r * (de - (r * a) * (r * a * de).sum(-1, keepdims=True))

        users, items = res
        u, i = unit(users), unit(items)
        pull = 2 * (u - i) / len(u)
        du, di = repel(u) + pull, repel(i) - pull
        return ct * through_unit(users, du), ct * through_unit(items, di)

    loss.defvjp(fwd, bwd)
    return loss, plain


@case(
    "Muon's orthogonalisation in optax.contrib, unrolled",
    "matrix iteration",
    lambda rng: (normal(rng, 3, 4), (2.0, -1.5, 0.5), 3),
    Twin(
        "first norm",
        "path|term",
        "G",
        "The gradient is not taken through the division by the norm.",
    ),
    Twin(
        "one side of the gram",
        "term|path|factor",
        "G",
        "Of X X^T one of two equal factors is differentiated.",
    ),
    Twin(
        "iterate after",
        "residual|index|operand",
        "G",
        "Each step back takes the iterate after the step.",
    ),
    narrow=False,
    scales=(0.3, 1.0, 3.0),
)
def muon_newton_schulz(slip):
    def poly(X, abc):
        a, b, c = abc
        A = X @ X.T
        return a * X + (b * A + c * A @ A) @ X

    def plain(G, abc, steps):
        X = G / jnp.sqrt((G * G).sum() + 1e-7)
        for _ in range(steps):
            X = poly(X, abc)
        return X

    ortho = jax.custom_vjp(plain, nondiff_argnums=(1, 2))

    def fwd(G, abc, steps):
        xs = [G / jnp.sqrt((G * G).sum() + 1e-7)]
        for _ in range(steps):
            xs.append(poly(xs[-1], abc))
        return xs[-1], (G, tuple(xs))

    def bwd(abc, steps, res, dX):
        a, b, c = abc
        G, xs = res
        for i in reversed(range(steps)):
            X = xs[i + 1] if slip == "iterate after" else xs[i]
            A = X @ X.T
            P = b * A + c * A @ A
            dP = dX @ X.T
            dA = b * dP + c * (dP @ A + A @ dP)  # A is symmetric
            both = dA if slip == "one side of the gram" else dA + dA.T
            dX = a * dX + P @ dX + both @ X
        r = lax.rsqrt((G * G).sum() + 1e-7)
        dG = dX * r
        if slip != "first norm":
            dG = dG - G * (r**3 * (dX * G).sum())
        return (dG,)

    ortho.defvjp(fwd, bwd)
    return ortho, plain

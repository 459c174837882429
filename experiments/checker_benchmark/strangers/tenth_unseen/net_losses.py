"""Losses over frequencies, pairs and orthogonal updates."""

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


def dorefa_declared(args, dy):
    def squashed(v):
        t = jnp.tanh(v)
        return 2 * (t / (2 * jnp.abs(t).max()) + 0.5) - 1

    return jax.vjp(squashed, args[0])[1](dy)


@case(
    "DoReFa's weights: a declared straight-through round of squashed weights",
    "quantiser, declared",
    lambda rng: (normal(rng, 4, 3), 3),
    Twin(
        "largest",
        "path|term",
        "w",
        "The gradient of the largest weight, that all are divided by, is dropped.",
    ),
    Twin(
        "tanh",
        "factor|function|path",
        "w",
        "The derivative of the tanh is left out.",
    ),
    Twin(
        "half",
        "factor|ratio",
        "w",
        "The outer factor of 2 is forgotten.",
    ),
    options=lambda plain: {"surrogate": dorefa_declared},
    narrow=False,
)
def dorefa_weights(slip):
    def squash(w):
        t = jnp.tanh(w)
        return t, jnp.abs(t).max()

    def plain(w, bits):
        t, top = squash(w)
        levels = 2**bits - 1
        return 2 * jnp.round((t / (2 * top) + 0.5) * levels) / levels - 1

    quant = jax.custom_vjp(plain, nondiff_argnums=(1,))

    def fwd(w, bits):
        return plain(w, bits), squash(w)

    def bwd(bits, res, g):
        t, top = res
        g = g / 2 if slip == "half" else g
        dt = g / top
        hit = jnp.abs(t) == top
        dtop = -(g * t).sum() / top**2
        if slip != "largest":
            dt = dt + dtop * jnp.sign(t) * hit / hit.sum()
        return (dt if slip == "tanh" else dt * (1 - t * t),)

    quant.defvjp(fwd, bwd)
    return quant, plain


@case(
    "SLOPE, the sorted l1 norm (skglm) in jax",
    "penalty of sorted sizes",
    lambda rng: (normal(rng, 6), jnp.asarray([1.5, 1.2, 0.9, 0.5, 0.3, 0.1])),
    Twin(
        "order inverted",
        "index|operand|duplicates|transpose|function|residual",
        "beta",
        "The weights are gathered by the order where they should be scattered.",
    ),
    Twin(
        "signs",
        "sign|factor|term|function",
        "beta",
        "The signs of the coefficients are left out.",
    ),
    Twin(
        "unsorted",
        "index|operand|residual|function",
        "lam",
        "The weights' gradient takes the sizes in the order as given.",
    ),
)
def slope_penalty(slip):
    def plain(beta, lam):
        return -jnp.sort(-jnp.abs(beta)) @ lam

    pen = jax.custom_vjp(plain)

    def fwd(beta, lam):
        order = jnp.argsort(-jnp.abs(beta))
        top = jnp.abs(beta)[order]
        return top @ lam, (jnp.sign(beta), order, jnp.abs(beta), lam)

    def bwd(res, g):
        sign, order, size, lam = res
        if slip == "order inverted":
            placed = lam[order]
        else:
            placed = jnp.zeros_like(lam).at[order].set(lam)
        dbeta = g * placed * (1 if slip == "signs" else sign)
        return dbeta, g * (size if slip == "unsorted" else size[order])

    pen.defvjp(fwd, bwd)
    return pen, plain

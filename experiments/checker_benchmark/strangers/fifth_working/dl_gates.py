"""Gates over positions, and layers whose weights are codes of few values."""

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


def gated(rng):
    mixing = normal(rng, 5, 5, std=0.01)
    return normal(rng, 2, 5, 8), mixing, jnp.ones(5), 1e-5


@case(
    "spatial gating units of gMLP in timm and flax: positions are mixed in the gate",
    "gated layer",
    gated,
    Twin(
        "mixing transposed",
        "transpose",
        "x",
        "The gate's cotangent passes the matrix of positions the wrong way.",
    ),
    Twin(
        "bias of the channels",
        "sum|axis|ratio",
        "bias",
        "The bias of a position gets the mean over the channels.",
    ),
    Twin(
        "norm of the gate",
        "term|path",
        "x",
        "The gate's layer norm is pulled back by its scale alone.",
    ),
)
def spatial_gating_unit(slip):
    def parts(x, mixing, bias, eps):
        u, v = jnp.split(x, 2, -1)
        centred = v - v.mean(-1, keepdims=True)
        square = (centred * centred).mean(-1, keepdims=True)
        inverse = jax.lax.rsqrt(square + eps)
        normed = centred * inverse
        gate = jnp.einsum("ij,bjc->bic", mixing, normed) + bias[:, None]
        return u, normed, inverse, gate

    def plain(x, mixing, bias, eps):
        u, *_, gate = parts(x, mixing, bias, eps)
        return u * gate

    unit = jax.custom_vjp(plain, nondiff_argnums=(3,))

    def fwd(x, mixing, bias, eps):
        return plain(x, mixing, bias, eps), (x, mixing, bias)

    def bwd(eps, res, g):
        x, mixing, bias = res
        u, normed, inverse, gate = parts(x, mixing, bias, eps)
        dgate = g * u
        way = "ji,bjc->bic" if slip != "mixing transposed" else "ij,bjc->bic"
        dn = jnp.einsum(way, mixing, dgate)
        dv = dn
        if slip != "norm of the gate":
            dv = dn - dn.mean(-1, keepdims=True)
            dv = dv - normed * (dn * normed).mean(-1, keepdims=True)
        dmixing = jnp.einsum("bic,bjc->ij", dgate, normed)
        dbias = dgate.sum((0, 2))
        if slip == "bias of the channels":
            dbias = dbias / g.shape[-1]
        return jnp.concatenate([g * gate, inverse * dv], -1), dmixing, dbias

    unit.defvjp(fwd, bwd)
    return unit, plain


def by_codes(args, dy):
    x, w = args
    return dy @ ternary(w)[0].T, eight_bits(x)[0].T @ dy


def eight_bits(x):
    scale = 127 / jnp.maximum(jnp.abs(x).max(-1, keepdims=True), 1e-5)
    codes = jnp.clip(jnp.round(x * scale), -128, 127)
    return codes / scale, codes


def ternary(w):
    mean = jnp.maximum(jnp.abs(w).mean(), 1e-5)
    codes = jnp.clip(jnp.round(w / mean), -1, 1)
    return codes * mean, codes


@case(
    "BitLinear of BitNet b1.58 in JAX ports: ternary weights, inputs of eight bits",
    "quantised dense layer",
    lambda rng: (normal(rng, 5, 8), normal(rng, 8, 4, std=0.35)),
    Twin(
        "mean of the weights",
        "ratio|factor|operand",
        "x",
        "The codes of the weights are used without their mean absolute value.",
    ),
    Twin(
        "codes of the input",
        "ratio|factor|operand",
        "w",
        "The codes of the input are used without their scale.",
    ),
    Twin(
        "clipped weights",
        "mask|region|predicate",
        "w",
        "Weights beyond the range of the codes get no gradient.",
    ),
    options=lambda plain: {"surrogate": by_codes},
    narrow=False,
)
def bitlinear_ternary(slip):
    @jax.custom_vjp
    def dense(x, w):
        return eight_bits(x)[0] @ ternary(w)[0]

    def fwd(x, w):
        return dense.fun(x, w), (x, w)

    def bwd(res, g):
        x, w = res
        rows, row_codes = eight_bits(x)
        weights, weight_codes = ternary(w)
        back = weight_codes if slip == "mean of the weights" else weights
        seen = row_codes if slip == "codes of the input" else rows
        dw = seen.T @ g
        if slip == "clipped weights":
            dw = jnp.where(jnp.abs(w) <= jnp.abs(w).mean(), dw, 0)
        return g @ back.T, dw

    dense.defvjp(fwd, bwd)
    return dense, dense.fun

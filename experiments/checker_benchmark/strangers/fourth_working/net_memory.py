"""Blocks that keep little: inputs are found again, recomputed, or packed in bits."""

import jax
import jax.numpy as jnp
from jax import lax

from experiments.checker_benchmark.strangers.record import (
    Stranger,
    Twin,
    collect,
    normal,
    positive,
)

CASES: list[Stranger] = []
case = collect(CASES)


def coupled(rng):
    params = {"w": normal(rng, 3, 4, 4, std=0.5), "b": jnp.zeros((3, 4))}
    return normal(rng, 5, 4), jnp.zeros((5, 4)), params, 0.9


@case(
    "momentum residual networks, their states found again backwards, in JAX ports",
    "block without residuals",
    coupled,
    Twin(
        "state after the step",
        "residual|operand|index",
        "x v params",
        "The branch is linearised at the state that it gave, not at the one it took.",
    ),
    Twin(
        "velocity from the state",
        "term|path",
        "x v params",
        "The state's cotangent does not reach the velocity that moved it.",
    ),
    Twin(
        "share of the branch",
        "factor|ratio|option",
        "x params",
        "1 - gamma is in the forward and in the inversion only.",
    ),
    narrow=False,
)
def momentum_residual(slip):
    def branch(x, layer):
        return jnp.tanh(x @ layer["w"] + layer["b"])

    def plain(x, v, params, gamma):
        def step(state, layer):
            x, v = state
            v = gamma * v + (1 - gamma) * branch(x, layer)
            return (x + v, v), None

        return lax.scan(step, (x, v), params)[0]

    net = jax.custom_vjp(plain, nondiff_argnums=(3,))

    def fwd(x, v, params, gamma):
        end = plain(x, v, params, gamma)
        return end, (end, params)

    def bwd(gamma, res, g):
        (x, v), params = res

        def step(carry, layer):
            x, v, dx, dv = carry
            x_before = x - v
            v_before = (v - (1 - gamma) * branch(x_before, layer)) / gamma
            if slip != "velocity from the state":
                dv = dv + dx
            h = branch(x if slip == "state after the step" else x_before, layer)
            dh = dv if slip == "share of the branch" else (1 - gamma) * dv
            dz = dh * (1 - h) * (1 + h)
            seen = x if slip == "state after the step" else x_before
            grads = {"w": seen.T @ dz, "b": dz.sum(0)}
            return (x_before, v_before, dx + dz @ layer["w"].T, gamma * dv), grads

        start = (x, v, *g)
        (_, _, dx, dv), grads = lax.scan(step, start, params, reverse=True)
        return dx, dv, grads

    net.defvjp(fwd, bwd)
    return net, plain


def in_place(rng):
    return normal(rng, 3, 4, 5), jnp.ones(5), jnp.zeros(5), 0.01


def negative_gain(rng):
    gain = positive(rng, 5) * jnp.array([1, -1, 1, -1, 1])
    return normal(rng, 3, 4, 5), gain, normal(rng, 5), 0.01


@case(
    "in-place activated batch normalisation (InPlaceABN) of timm and its JAX ports",
    "normalisation with an activation",
    in_place,
    Twin(
        "activation not undone",
        "residual|operand",
        "x weight",
        "The normalised input is found from the output without undoing the leaky ReLU.",
    ),
    Twin(
        "sign of the weight",
        "sign|factor|ratio",
        "weight",
        "The weight's absolute value is used, its sign is not in the gradient.",
        witness=negative_gain,
    ),
    Twin(
        "mean of the cotangent",
        "term|path|sum",
        "x",
        "The path through the batch's mean is forgotten.",
    ),
    narrow=False,
)
def inplace_activated_norm(slip):
    eps = 1e-5

    def plain(x, weight, bias, slope):
        mean = x.mean((0, 1))
        var = ((x - mean) ** 2).mean((0, 1))
        z = (x - mean) * lax.rsqrt(var + eps) * (jnp.abs(weight) + eps) + bias
        return jax.nn.leaky_relu(z, slope)

    norm = jax.custom_vjp(plain, nondiff_argnums=(3,))

    def fwd(x, weight, bias, slope):
        mean = x.mean((0, 1))
        root = lax.rsqrt(((x - mean) ** 2).mean((0, 1)) + eps)
        z = (x - mean) * root * (jnp.abs(weight) + eps) + bias
        y = jax.nn.leaky_relu(z, slope)
        return y, (y, weight, bias, root)

    def bwd(slope, res, g):
        y, weight, bias, root = res
        gain = jnp.abs(weight) + eps
        z = y if slip == "activation not undone" else jnp.where(y < 0, y / slope, y)
        normed = (z - bias) / gain
        dz = jnp.where(y < 0, slope * g, g)
        dgain, dbias = (dz * normed).sum((0, 1)), dz.sum((0, 1))
        count = y.shape[0] * y.shape[1]
        total = 0 if slip == "mean of the cotangent" else dbias / count
        dx = gain * root * (dz - total - normed * dgain / count)
        if slip != "sign of the weight":
            dgain = jnp.where(weight < 0, -dgain, dgain)
        return dx, dgain, dbias

    norm.defvjp(fwd, bwd)
    return norm, plain


def rows_and_head(rng):
    return normal(rng, 2, 3, 6), jnp.ones(6), normal(rng, 6, 5, std=0.4), 1e-6


@case(
    "RMS norm fused with a linear layer, normalised rows recomputed (quack, Liger)",
    "normalisation and dense layer",
    rows_and_head,
    Twin(
        "raw rows",
        "operand|residual|factor",
        "w",
        "The weights' gradient is taken with rows that are not normalised.",
    ),
    Twin(
        "gain in the inner product",
        "term|operand|factor",
        "x",
        "The projection's inner product is taken before the gain.",
        witness=lambda rng: (
            normal(rng, 2, 3, 6),
            positive(rng, 6),
            normal(rng, 6, 5, std=0.4),
            1e-6,
        ),
    ),
    Twin(
        "sum of squares",
        "ratio|factor|sum",
        "x",
        "The inner product is summed, where the forward has a mean.",
    ),
    narrow=False,
)
def fused_norm_linear(slip):
    def plain(x, gain, w, eps):
        root = lax.rsqrt((x * x).mean(-1, keepdims=True) + eps)
        return (x * root * gain) @ w

    dense = jax.custom_vjp(plain, nondiff_argnums=(3,))

    def fwd(x, gain, w, eps):
        root = lax.rsqrt((x * x).mean(-1, keepdims=True) + eps)
        return (x * root * gain) @ w, (x, gain, w, root)

    def bwd(eps, res, g):
        x, gain, w, root = res
        normed = x * root
        dy = g @ w.T
        dn = dy * gain
        inner = dy if slip == "gain in the inner product" else dn
        along = (inner * normed).sum(-1, keepdims=True)
        if slip != "sum of squares":
            along = along / x.shape[-1]
        dx = root * (dn - normed * along)
        rows = x if slip == "raw rows" else normed
        flat = (rows * gain).reshape(-1, x.shape[-1])
        dw = flat.T @ g.reshape(-1, g.shape[-1])
        return dx, (dy * normed).sum(tuple(range(x.ndim - 1))), dw

    dense.defvjp(fwd, bwd)
    return dense, plain

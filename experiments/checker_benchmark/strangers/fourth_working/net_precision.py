"""Layers in few bits or mixed precision, as large models are trained and tuned."""

import jax
import jax.numpy as jnp

from experiments.checker_benchmark.strangers.record import (
    Stranger,
    Twin,
    collect,
    integers,
    normal,
    positive,
)

CASES: list[Stranger] = []
case = collect(CASES)


def hidden_states(rng):
    return normal(rng, 2, 3, 8), jnp.ones(8), 1e-6


@case(
    "Llama's RMS norm in flax ports: statistics in float32, the gain in x's dtype",
    "normalisation with mixed dtypes",
    hidden_states,
    Twin(
        "dtype of dx",
        "dtype|precision",
        "x",
        "dx stays in the dtype of the statistics.",
        witness=lambda rng: (
            normal(rng, 2, 3, 8).astype(jnp.bfloat16),
            jnp.ones(8),
            1e-6,
        ),
        proof="dtype",
    ),
    Twin(
        "epsilon beside the root",
        "eps|function|constant|option",
        "x weight",
        "The root is taken without epsilon, which is added to it afterwards.",
        witness=lambda rng: (1e-3 * normal(rng, 2, 3, 8), jnp.ones(8), 1e-6),
    ),
    Twin(
        "mean of the tokens",
        "ratio|sum|factor",
        "weight",
        "The gain's gradient is a mean over the tokens.",
    ),
)
def llama_rms_norm(slip):
    def wide(x):
        return x.astype(jnp.promote_types(x.dtype, jnp.float32))

    def plain(x, weight, eps):
        h = wide(x)
        h = h * jax.lax.rsqrt((h * h).mean(-1, keepdims=True) + eps)
        return weight.astype(x.dtype) * h.astype(x.dtype)

    norm = jax.custom_vjp(plain, nondiff_argnums=(2,))

    def fwd(x, weight, eps):
        return plain(x, weight, eps), (x, weight)

    def bwd(eps, res, g):
        x, weight = res
        h = wide(x)
        square = (h * h).mean(-1, keepdims=True)
        if slip == "epsilon beside the root":
            root = 1 / (jnp.sqrt(square) + eps)
        else:
            root = jax.lax.rsqrt(square + eps)
        normed = h * root
        dn = wide(g * weight.astype(x.dtype))
        dx = root * (dn - normed * (dn * normed).mean(-1, keepdims=True))
        dx = dx if slip == "dtype of dx" else dx.astype(x.dtype)
        each = wide(g) * normed.astype(x.dtype)
        axes = tuple(range(x.ndim - 1))
        dw = each.mean(axes) if slip == "mean of the tokens" else each.sum(axes)
        return dx, dw.astype(weight.dtype)

    norm.defvjp(fwd, bwd)
    return norm, plain


def quantised_base(rng):
    codes = integers(rng, 16, 8, 4).astype(jnp.uint8)
    params = {"a": normal(rng, 8, 2, std=0.35), "b": jnp.zeros((2, 4))}
    return normal(rng, 3, 8), codes, positive(rng, 2, 4), params, 2.0


def tuned(rng):
    x, codes, absmax, params, scale = quantised_base(rng)
    return x, codes, absmax, params | {"b": normal(rng, 2, 4, std=0.35)}, scale


@case(
    "QLoRA: a base in 4 bits with maxima of blocks, in JAX ports of bitsandbytes",
    "low-rank adapter",
    quantised_base,
    Twin(
        "maxima of the blocks",
        "factor|operand|residual|ratio",
        "x",
        "The input's gradient passes the table's values without the blocks' maxima.",
    ),
    Twin(
        "adapter into the input",
        "term|path",
        "x",
        "The input's gradient passes the base alone.",
        witness=tuned,
    ),
    Twin(
        "scaling",
        "ratio|factor|option",
        "params",
        "The adapter's scale is in the forward only.",
    ),
    options=lambda plain: {"nondiff": ("absmax",)},
)
def nf4_lora_dense(slip):
    levels = (-1, -0.7, -0.53, -0.39, -0.28, -0.18, -0.09, 0)
    levels += (0.08, 0.16, 0.25, 0.34, 0.44, 0.56, 0.72, 1)

    def base(codes, absmax):
        rows = jnp.asarray(levels, absmax.dtype)[codes]
        blocks = rows.reshape(len(absmax), -1, rows.shape[-1])
        return rows, (blocks * absmax[:, None]).reshape(rows.shape)

    def plain(x, codes, absmax, params, scale):
        return x @ base(codes, absmax)[1] + scale * (x @ params["a"]) @ params["b"]

    dense = jax.custom_vjp(plain, nondiff_argnums=(4,))

    def fwd(x, codes, absmax, params, scale):
        return plain(x, codes, absmax, params, scale), (x, codes, absmax, params)

    def bwd(scale, res, g):
        x, codes, absmax, params = res
        rows, w = base(codes, absmax)
        down = scale * (g @ params["b"].T)
        dx = g @ (rows if slip == "maxima of the blocks" else w).T
        if slip != "adapter into the input":
            dx = dx + down @ params["a"].T
        share = 1.0 if slip == "scaling" else scale
        da = x.T @ (share * (g @ params["b"].T))
        db = share * ((x @ params["a"]).T @ g)
        return dx, None, jnp.zeros_like(absmax), {"a": da, "b": db}

    dense.defvjp(fwd, bwd)
    return dense, plain

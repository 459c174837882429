"""Bugs of layers with their threads."""

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


def normed_and_gated(rng):
    params = {"gain": jnp.ones(6), "w": normal(rng, 6, 4, std=0.4), "b": jnp.zeros(4)}
    return normal(rng, 5, 6), normal(rng, 5, 6), params, 1e-5


@case(
    "fla-org/flash-linear-attention#1071",
    "normalisation",
    normed_and_gated,
    Twin(
        "as reported",
        "operand|residual|factor|term",
        "params",
        "The rows are computed again without the gate for the weights' gradient.",
    ),
    kind="bug",
    name="gated_norm_linear flash-linear-attention#1071",
)
def gated_norm_linear(slip):
    def parts(x, gate, params, eps):
        inverse = jax.lax.rsqrt((x * x).mean(-1, keepdims=True) + eps)
        return x * inverse, inverse, jax.nn.silu(gate)

    def plain(x, gate, params, eps):
        normed, _, opened = parts(x, gate, params, eps)
        return normed * params["gain"] * opened @ params["w"] + params["b"]

    layer = jax.custom_vjp(plain, nondiff_argnums=(3,))

    def fwd(x, gate, params, eps):
        return plain(x, gate, params, eps), (x, gate, params)

    def bwd(eps, res, g):
        x, gate, params = res
        normed, inverse, opened = parts(x, gate, params, eps)
        before = normed * params["gain"]
        rows = before if slip else before * opened
        drows = g @ params["w"].T
        share = jax.nn.sigmoid(gate)
        dgate = drows * before * share * (1 + gate * (1 - share))
        dn = drows * opened * params["gain"]
        dx = inverse * (dn - normed * (dn * normed).mean(-1, keepdims=True))
        dgain = (drows * opened * normed).sum(0)
        return dx, dgate, {"gain": dgain, "w": rows.T @ g, "b": g.sum(0)}

    layer.defvjp(fwd, bwd)
    return layer, plain


def clipped_pass(args, dy):
    """Past the rounding, but not where a value is out of the range."""
    x, low, high, bits = args
    scale = (high - low) / (2**bits - 1)
    zero = jnp.round(-low / scale)
    q = jnp.round(x / scale) + zero
    inside = (q >= 0) & (q <= 2**bits - 1)
    return jnp.where(inside, dy, 0), jnp.zeros_like(low), jnp.zeros_like(high)


@case(
    "microsoft/nni#3159",
    "quantisation",
    lambda rng: (normal(rng, 6, 5), jnp.float32(-1.5), jnp.float32(1.5), 8),
    Twin(
        "as reported",
        "mask|region|predicate|edge",
        "x",
        "The cotangent is passed on where values are clipped as well.",
    ),
    kind="bug",
    name="uniform_quantise nni#3159",
    options=lambda plain: {"surrogate": clipped_pass, "nondiff": ("low", "high")},
    fixed=(1, 2),
    narrow=False,
)
def uniform_quantise(slip):
    def codes(x, low, high, bits):
        scale = (high - low) / (2**bits - 1)
        zero = jnp.round(-low / scale)
        return jnp.round(x / scale) + zero, scale, zero

    def plain(x, low, high, bits):
        q, scale, zero = codes(x, low, high, bits)
        return scale * (jnp.clip(q, 0, 2**bits - 1) - zero)

    quantise = jax.custom_vjp(plain, nondiff_argnums=(3,))

    def fwd(x, low, high, bits):
        return plain(x, low, high, bits), (x, low, high)

    def bwd(bits, res, g):
        x, low, high = res
        q = codes(x, low, high, bits)[0]
        inside = (q >= 0) & (q <= 2**bits - 1)
        dx = g if slip else jnp.where(inside, g, 0)
        return dx, jnp.zeros_like(low), jnp.zeros_like(high)

    quantise.defvjp(fwd, bwd)
    return quantise, plain


def adapted_with_dropout(rng):
    lora = {"a": normal(rng, 6, 2, std=0.4), "b": normal(rng, 2, 4, std=0.1)}
    w, key = normal(rng, 6, 4, std=0.4), jax.random.PRNGKey(5)
    return normal(rng, 5, 6), w, lora, key, 2.0, 0.25


@case(
    "foundation-model-stack/fms-acceleration#97",
    "low-rank adapter",
    adapted_with_dropout,
    Twin(
        "as reported",
        "mask|region|predicate|term|factor",
        "x",
        "What comes back through the adapter is not masked as its input was.",
    ),
    kind="bug",
    name="dropout_lora fms-acceleration#97",
    options=lambda plain: {"nondiff": ("w", "key")},
)
def dropout_lora(slip):
    def dropped(x, key, rate):
        kept = jax.random.bernoulli(key, 1 - rate, x.shape)
        return jnp.where(kept, x / (1 - rate), 0)

    def plain(x, w, lora, key, scale, rate):
        return x @ w + scale * (dropped(x, key, rate) @ lora["a"] @ lora["b"])

    layer = jax.custom_vjp(plain, nondiff_argnums=(4, 5))

    def fwd(x, w, lora, key, scale, rate):
        return plain(x, w, lora, key, scale, rate), (x, w, lora, key)

    def bwd(scale, rate, res, g):
        x, w, lora, key = res
        rows = dropped(x, key, rate)
        dinner = scale * g @ lora["b"].T
        back = dinner @ lora["a"].T
        if not slip:
            back = dropped(back, key, rate)
        grads = {"a": rows.T @ dinner, "b": scale * (rows @ lora["a"]).T @ g}
        return g @ w.T + back, jnp.zeros_like(w), grads, None

    layer.defvjp(fwd, bwd)
    return layer, plain


@case(
    "mlpack/mlpack#1540",
    "activation",
    lambda rng: (normal(rng, 5, 6), 1.6732632, 1.0507010),
    Twin(
        "as reported",
        "function|factor|term|option",
        "x",
        "The slope is found from the output as if its scale were 1.",
    ),
    kind="bug",
    name="scaled_elu mlpack#1540",
)
def scaled_elu(slip):
    def plain(x, alpha, scale):
        negative = alpha * jnp.expm1(jnp.where(x > 0, 0, x))
        return scale * jnp.where(x > 0, x, negative)

    unit = jax.custom_vjp(plain, nondiff_argnums=(1, 2))

    def fwd(x, alpha, scale):
        y = plain(x, alpha, scale)
        return y, (x, y)

    def bwd(alpha, scale, res, g):
        x, y = res
        if slip:
            below = scale * (y + alpha)
        else:
            below = scale * alpha * jnp.exp(jnp.where(x > 0, 0, x))
        return (g * jnp.where(x > 0, scale, below),)

    unit.defvjp(fwd, bwd)
    return unit, plain


def rows_to_fill(*index):
    def args(rng):
        return normal(rng, 5, 4), jnp.asarray(index, jnp.int32), jnp.float32(-2.5)

    return args


@case(
    "pytorch/pytorch#57006",
    "indexing",
    rows_to_fill(3, 0),
    Twin(
        "as reported",
        "duplicates|index|sum|ratio",
        "value",
        "A row that is named twice is counted twice for the value.",
        witness=rows_to_fill(2, 2),
    ),
    kind="bug",
    name="index_fill pytorch#57006",
)
def index_fill(slip):
    @jax.custom_vjp
    def fill(x, index, value):
        return x.at[index].set(value)

    def fwd(x, index, value):
        return fill.fun(x, index, value), (index, jnp.zeros_like(value))

    def bwd(res, g):
        index, value = res
        kept = g.at[index].set(0)
        dvalue = g[index].sum() if slip else (g - kept).sum()
        return kept, None, dvalue.astype(value.dtype)

    fill.defvjp(fwd, bwd)
    return fill, fill.fun

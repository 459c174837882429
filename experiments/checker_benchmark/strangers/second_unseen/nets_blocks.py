"""Parts of models: gated layers, experts, tied tables, blocks that can be undone."""

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
    "gated MLPs with one fused kernel in t5x and big_vision",
    "gated MLP",
    draw(x=(3, 4), wi=(4, 2, 5), wo=(5, 4)),
    Twin(
        "halves exchanged",
        "swap|operand",
        "wi x",
        "The gate's kernel has the gradient of the linear half.",
    ),
    Twin(
        "slope of the other gelu",
        "function",
        "x wi",
        "The forward has the tanh form, the backward the sigmoid form's slope.",
    ),
)
def fused_geglu(slip):
    @jax.custom_vjp
    def mlp(x, wi, wo):
        a, b = jnp.moveaxis(jnp.einsum("nd,dcf->ncf", x, wi), 1, 0)
        return (jax.nn.gelu(a) * b) @ wo

    def slope(a):
        if slip == "slope of the other gelu":
            s = jax.nn.sigmoid(1.702 * a)
            return s + 1.702 * a * s * (1 - s)
        inner = 0.7978845608028654 * (a + 0.044715 * a**3)
        t = jnp.tanh(inner)
        dinner = 0.7978845608028654 * (1 + 3 * 0.044715 * a * a)
        return 0.5 * (1 + t) + 0.5 * a * (1 - t * t) * dinner

    def fwd(x, wi, wo):
        return mlp.fun(x, wi, wo), (x, wi, wo)

    def bwd(res, g):
        x, wi, wo = res
        a, b = jnp.moveaxis(jnp.einsum("nd,dcf->ncf", x, wi), 1, 0)
        dh = g @ wo.T
        da, db = dh * b * slope(a), dh * jax.nn.gelu(a)
        if slip == "halves exchanged":
            da, db = db, da
        both = jnp.stack([da, db], 1)
        dwi = jnp.einsum("nd,ncf->dcf", x, both)
        dx = jnp.einsum("ncf,dcf->nd", both, wi)
        return dx, dwi, (jax.nn.gelu(a) * b).T @ g

    mlp.defvjp(fwd, bwd)
    return mlp, mlp.fun


@case(
    "stochastic depth of residual branches in scenic and big_vision",
    "stochastic depth",
    lambda rng: (normal(rng, 8, 3), normal(rng, 8, 3), jax.random.key(3), 0.5),
    Twin(
        "rate for its complement",
        "ratio|factor|option",
        "branch",
        "Over the rate, not over 1 - rate; the same for a half.",
        witness=lambda rng: (
            normal(rng, 8, 3),
            normal(rng, 8, 3),
            jax.random.key(3),
            0.25,
        ),
    ),
    Twin(
        "entries drawn one by one",
        "mask|region",
        "branch",
        "The mask is drawn again for every entry instead of every row.",
    ),
    Twin(
        "skip is dropped as well",
        "mask|region|term|path|factor",
        "x",
        "The rows that are dropped lose the identity's cotangent.",
    ),
    narrow=False,
)
def drop_path(slip):
    def mask(shape, key, rate, dtype):
        kept = jax.random.bernoulli(key, 1 - rate, shape)
        return kept.astype(dtype)

    def rows(x):
        return (len(x),) + (1,) * (x.ndim - 1)

    def plain(x, branch, key, rate):
        return x + branch * mask(rows(x), key, rate, x.dtype) / (1 - rate)

    add = jax.custom_vjp(plain, nondiff_argnums=(3,))

    def fwd(x, branch, key, rate):
        return plain(x, branch, key, rate), key

    def bwd(rate, key, g):
        shape = g.shape if slip == "entries drawn one by one" else rows(g)
        kept = mask(shape, key, rate, g.dtype)
        over = rate if slip == "rate for its complement" else 1 - rate
        dx = g * kept if slip == "skip is dropped as well" else g
        return dx, g * kept / over, None

    add.defvjp(fwd, bwd)
    return add, plain
